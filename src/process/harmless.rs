//! Text from elsewhere that goes to a terminal or into a line. Colours are in `commands`.

/// Whether a character could control the terminal, or show text in another order than it is in.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// Text from elsewhere, with an escape such as `\u{1b}` for each character that could harm a terminal.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// JSON on one line that means the same, with an escape such as `\u009b` for each character that could harm a terminal.
/// In valid JSON such characters are only in texts.
pub fn harmless_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) { out.push_str(&format!("\\u{:04x}", u32::from(c))) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_control_a_terminal() {
        assert_eq!(harmless("a\u{1b}[31m\r\n\u{9b}b\u{202e}"), "a\\u{1b}[31m\\r\\n\\u{9b}b\\u{202e}");
        assert_eq!(harmless("Grüße, 世界 \"x\""), "Grüße, 世界 \"x\"");
    }

    #[test]
    fn json_from_elsewhere_keeps_its_meaning() {
        let text = "a\u{1b}[31m\r\n\u{7f}\u{9b}b\u{202e}\u{2069}Grüße\"\\";
        let json = harmless_json(&serde_json::to_string(text).unwrap());
        assert!(!json.contains(is_unsafe), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
