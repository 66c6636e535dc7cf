//! Text in lines, of which only the first are shown: bodies of any length for a terminal. JSON is indented without
//! being read into values, so that numbers, escapes and repeated names show as they came.

use crate::commands::terminal::{Style, push_styled};
use crate::domain::json;
use crate::process::harmless::harmless;

/// How much of a body is shown.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most lines.
    pub lines: usize,
    /// Most characters of a line.
    pub width: usize,
}

impl Bounds {
    /// Everything is shown.
    pub const NONE: Self = Self { lines: usize::MAX, width: usize::MAX };
    /// About two screens.
    pub const SOME: Self = Self { lines: 60, width: 400 };
}

/// Spaces before each line.
const MARGIN: &str = "  ";

/// Lines that are being filled.
pub struct Folded {
    bounds: Bounds,
    colours: bool,
    out: String,
    lines: usize,
    /// Characters of the current line that are shown.
    width: usize,
    /// Characters of the current line that are not.
    cut: usize,
    is_empty: bool,
}

impl Folded {
    /// No lines yet.
    pub fn new(bounds: Bounds, colours: bool) -> Self {
        Self { bounds, colours, out: String::new(), lines: 0, width: 0, cut: 0, is_empty: true }
    }

    /// Appends to the current line. The text must be harmless for a terminal and have no line break.
    pub fn push(&mut self, text: &str, style: Style) {
        if text.is_empty() {
            return;
        }
        self.is_empty = false;
        if self.lines >= self.bounds.lines {
            return;
        }
        if self.width == 0 && self.cut == 0 {
            self.out.push_str(MARGIN);
        }
        let room = self.bounds.width - self.width;
        let end = text.char_indices().nth(room).map_or(text.len(), |(end, _)| end);
        push_styled(&mut self.out, &text[..end], style, self.colours);
        self.width += text[..end].chars().count();
        self.cut += text[end..].chars().count();
    }

    /// Ends the current line.
    pub fn end_line(&mut self) {
        if self.lines < self.bounds.lines {
            if self.cut > 0 {
                let more = format!(" … {} more characters", self.cut);
                push_styled(&mut self.out, &more, Style::Dim, self.colours);
            }
            self.out.push('\n');
        }
        (self.lines, self.width, self.cut, self.is_empty) = (self.lines + 1, 0, 0, true);
    }

    /// All lines that are shown, and how many are not.
    pub fn finish(mut self) -> String {
        if !self.is_empty {
            self.end_line();
        }
        if self.lines > self.bounds.lines {
            let more = format!("… {} more lines; --full shows them", self.lines - self.bounds.lines);
            self.out.push_str(MARGIN);
            push_styled(&mut self.out, &more, Style::Dim, self.colours);
            self.out.push('\n');
        }
        self.out
    }
}

/// Appends a body: JSON indented, other text as it is, and anything else by its length alone.
pub fn push_body(out: &mut Folded, body: &[u8]) {
    match std::str::from_utf8(body) {
        Ok(text) if json::check(body).is_ok() => push_json(out, text),
        Ok(text) => {
            for line in text.lines() {
                out.push(&harmless(line), Style::Plain);
                out.end_line();
            }
        }
        Err(_) => out.push(&format!("({} bytes that are no text)", body.len()), Style::Dim),
    }
}

/// Appends one JSON document, which must be valid.
fn push_json(out: &mut Folded, text: &str) {
    let bytes = text.as_bytes();
    let blank = |at: &usize| matches!(bytes.get(*at), Some(b' ' | b'\t' | b'\r' | b'\n'));
    let skip = |at: usize| (at..).find(|at| !blank(at)).unwrap_or(at);
    let begin_line = |out: &mut Folded, depth: usize| {
        out.end_line();
        out.push(&"  ".repeat(depth), Style::Plain);
    };
    let (mut at, mut depth) = (skip(0), 0_usize);
    while let Some(&byte) = bytes.get(at) {
        let begin = at;
        at += 1;
        match byte {
            b'{' | b'[' => {
                let next = skip(at);
                if matches!(bytes.get(next), Some(b'}' | b']')) {
                    out.push(if byte == b'{' { "{}" } else { "[]" }, Style::Plain);
                    at = next + 1;
                } else {
                    depth += 1;
                    out.push(&text[begin..at], Style::Plain);
                    begin_line(out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                begin_line(out, depth);
                out.push(&text[begin..at], Style::Plain);
            }
            b',' => {
                out.push(",", Style::Plain);
                begin_line(out, depth);
            }
            b':' => out.push(": ", Style::Plain),
            b'"' => {
                while let Some(&byte) = bytes.get(at) {
                    at += if byte == b'\\' { 2 } else { 1 };
                    if byte == b'"' {
                        break;
                    }
                }
                let is_name = bytes.get(skip(at)) == Some(&b':');
                out.push(&harmless(&text[begin..at]), if is_name { Style::Cyan } else { Style::Green });
            }
            _ => {
                at = (at..).find(|at| bytes.get(*at).is_none_or(|byte| b",]} \t\r\n".contains(byte))).unwrap_or(at);
                let is_number = byte == b'-' || byte.is_ascii_digit();
                out.push(&text[begin..at], if is_number { Style::Yellow } else { Style::Magenta });
            }
        }
        at = skip(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(body: &[u8], bounds: Bounds) -> String {
        let mut out = Folded::new(bounds, false);
        push_body(&mut out, body);
        out.finish()
    }

    #[test]
    fn json_is_indented_and_every_value_is_as_it_came() {
        let body = r#"{"total":19.90,"n":1E+2, "n":-0,"t":"a\u0041\"{","e":{ },"l":[ ],"a":[true,null,{"b":"c"}]}"#;
        let lines = [
            "  {",
            "    \"total\": 19.90,",
            "    \"n\": 1E+2,",
            "    \"n\": -0,",
            "    \"t\": \"a\\u0041\\\"{\",",
            "    \"e\": {},",
            "    \"l\": [],",
            "    \"a\": [",
            "      true,",
            "      null,",
            "      {",
            "        \"b\": \"c\"",
            "      }",
            "    ]",
            "  }",
            "",
        ];
        assert_eq!(shown(body.as_bytes(), Bounds::SOME), lines.join("\n"));
        assert_eq!(shown(b" 7 ", Bounds::SOME), "  7\n");
    }

    #[test]
    fn a_long_body_says_how_much_is_left_out() {
        let body = format!("[{}]", vec!["1"; 100].join(","));
        let text = shown(body.as_bytes(), Bounds { lines: 3, width: 10 });
        assert_eq!(text, "  [\n    1,\n    1,\n  … 99 more lines; --full shows them\n");
        let text = shown(format!("\"{}\"", "x".repeat(30)).as_bytes(), Bounds { lines: 3, width: 10 });
        assert_eq!(text, "  \"xxxxxxxxx … 22 more characters\n");
        assert_eq!(shown(body.as_bytes(), Bounds::NONE).lines().count(), 102);
    }

    #[test]
    fn other_bodies_are_shown_as_text_or_by_their_length() {
        assert_eq!(shown(b"a=b\x1b[2J\nc", Bounds::SOME), "  a=b\\u{1b}[2J\n  c\n");
        assert_eq!(shown(b"\xff\x00", Bounds::SOME), "  (2 bytes that are no text)\n");
        assert_eq!(shown(b"", Bounds::SOME), "");
    }

    #[test]
    fn colours_are_only_those_of_the_values() {
        let mut out = Folded::new(Bounds::SOME, true);
        push_body(&mut out, br#"{"a":1}"#);
        assert_eq!(out.finish(), "  {\n    \u{1b}[36m\"a\"\u{1b}[0m: \u{1b}[33m1\u{1b}[0m\n  }\n");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_the_same_document(value in any_json()) {
            let text = value.to_string();
            let shown = shown(text.as_bytes(), Bounds::NONE);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }

        #[test]
        fn nothing_that_comes_breaks_it(body: Vec<u8>) {
            shown(&body, Bounds { lines: 2, width: 3 });
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[ -~äß]{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
                proptest::collection::vec(("[a-z\"\\\\:,]{0,4}", inner), 0..4)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }
}
