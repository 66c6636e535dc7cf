//! Text for terminals: its colours, and what comes from elsewhere.

/// A colour or weight of text, by its number in the escape sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain = 0,
    /// Bold.
    Bold = 1,
    /// Dim.
    Dim = 2,
    /// What is wrong.
    Red = 31,
    /// What is right, and texts.
    Green = 32,
    /// Numbers, and what is not quite right.
    Yellow = 33,
    /// `true`, `false` and `null`.
    Magenta = 35,
    /// Names.
    Cyan = 36,
}

/// Appends `text` in this style. Without `colours` the text alone.
pub fn push_styled(out: &mut String, text: &str, style: Style, colours: bool) {
    if colours && style != Style::Plain && !text.is_empty() {
        out.push_str(&format!("\u{1b}[{}m{text}\u{1b}[0m", style as u8));
    } else {
        out.push_str(text);
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_control_a_terminal() {
        assert_eq!(harmless("a\u{1b}[31m\r\n\u{9b}b\u{202e}"), "a\\u{1b}[31m\\r\\n\\u{9b}b\\u{202e}");
        assert_eq!(harmless("Grüße, 世界 \"x\""), "Grüße, 世界 \"x\"");
    }

    #[test]
    fn a_style_ends_behind_its_text() {
        let styled = |style, colours| {
            let mut out = String::new();
            push_styled(&mut out, "a", style, colours);
            out
        };
        assert_eq!(styled(Style::Red, true), "\u{1b}[31ma\u{1b}[0m");
        assert_eq!((styled(Style::Red, false), styled(Style::Plain, true)), ("a".to_owned(), "a".to_owned()));
    }
}
