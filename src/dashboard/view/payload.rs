//! Documents and bodies of responses, as text for people. What is shown is bounded; the whole document can be loaded.

/// Most bytes of a document that a page shows.
pub const SHOWN_BYTES: usize = 64 * 1024;

/// Blanks for each level.
const INDENT: &str = "  ";

/// A text that is shown, and whether something was left out at its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// The text.
    pub text: String,
    /// Whether the whole is longer.
    pub is_cut: bool,
}

/// The beginning of `bytes` as text. Bytes that are not UTF-8 become U+FFFD.
pub fn raw(bytes: &[u8]) -> Shown {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    Shown { text: String::from_utf8_lossy(shown).into_owned(), is_cut: shown.len() < bytes.len() }
}

/// The beginning of a JSON document with line breaks and indentation. Every value keeps its own bytes, so numbers look
/// as they were received. Text that is not JSON comes out unchanged, apart from blanks.
pub fn pretty(document: &[u8]) -> Shown {
    let Shown { text, is_cut } = raw(document);
    let mut out = String::with_capacity(text.len() * 2);
    let mut level = 0usize;
    let mut letters = text.chars().peekable();
    let new_line = |out: &mut String, level: usize| {
        out.push('\n');
        // Deeper levels are not indented further, so that the text stays bounded.
        (0..level.min(32)).for_each(|_| out.push_str(INDENT));
    };
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                out.push('"');
                while let Some(letter) = letters.next() {
                    out.push(letter);
                    match letter {
                        '\\' => out.extend(letters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                out.push(letter);
                while letters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = letters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    level += 1;
                    new_line(&mut out, level);
                }
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                new_line(&mut out, level);
                out.push(letter);
            }
            ',' => {
                out.push(',');
                new_line(&mut out, level);
            }
            ':' => out.push_str(": "),
            blank if blank.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    Shown { text: out, is_cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_own_bytes() {
        let text = pretty(br#"{"total":19.90,"a,b":"x: \"{y}\" ", "list":[1,{}, []]}"#).text;
        assert_eq!(
            text,
            "{\n  \"total\": 19.90,\n  \"a,b\": \"x: \\\"{y}\\\" \",\n  \"list\": [\n    1,\n    {},\n    []\n  ]\n}"
        );
        assert_eq!(pretty(b"1e400").text, "1e400");
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let deep = "[".repeat(SHOWN_BYTES + 10);
        let shown = pretty(deep.as_bytes());
        assert!(shown.is_cut && shown.text.len() < SHOWN_BYTES * 70);
        assert_eq!(raw(b"\xff").text, "\u{fffd}");
    }
}
