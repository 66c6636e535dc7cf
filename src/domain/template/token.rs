//! Reads the tokens of a template, with the same boundaries as the engine does.
//!
//! What the engine would read otherwise must not get past `check`, so the rules here are the engine's: tags, comments,
//! raw blocks, strings, and where a tag ends.

use super::failure::TemplateError;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `{{`.
    PrintBegin,
    /// `{%`.
    TagBegin,
    /// `}}` or `%}`.
    End,
    /// A name or keyword.
    Name,
    /// A number.
    Number,
    /// A string with its quotes.
    Text,
    /// An operator, bracket or separator.
    Sign,
}

/// A token, as a part of the source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'s> {
    pub(super) kind: Kind,
    /// Byte where it begins.
    pub(super) at: usize,
    pub(super) text: &'s str,
}

/// The tokens in all tags of a template. Text between them, comments and raw blocks have none.
///
/// # Errors
/// Something is not closed, or a character belongs nowhere.
pub(super) fn tokens(source: &str) -> Result<Vec<Token<'_>>, TemplateError> {
    let mut reader = Reader { source, at: 0, tokens: Vec::new() };
    while let Some(found) = find_tag(source, reader.at) {
        reader.at = found;
        reader.tag()?;
    }
    Ok(reader.tokens)
}

/// Where the next `{{`, `{%` or `{#` is, from `at` on.
fn find_tag(source: &str, at: usize) -> Option<usize> {
    let pairs = source.as_bytes().get(at..)?.windows(2);
    let mut tags = pairs.enumerate().filter(|(_, pair)| matches!(pair, [b'{', b'{' | b'%' | b'#']));
    tags.next().map(|(offset, _)| at + offset)
}

struct Reader<'s> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token<'s>>,
}

impl<'s> Reader<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn fault<T>(&self, at: usize, message: &str) -> Result<T, TemplateError> {
        Err(TemplateError::at(self.source, at, message))
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let text = &self.rest()[..length];
        self.tokens.push(Token { kind, at: self.at, text });
        self.at += length;
    }

    /// Reads a tag or comment from its beginning to its end.
    fn tag(&mut self) -> Result<(), TemplateError> {
        let (start, opening) = (self.at, &self.rest()[..2]);
        // A sign right after the opening is about white space.
        let length = if self.rest()[2..].starts_with(['-', '+']) { 3 } else { 2 };
        match opening {
            "{#" => match self.rest()[length..].find("#}") {
                Some(end) => {
                    self.at += length + end + 2;
                    Ok(())
                }
                None => self.fault(start, "this comment is not closed; it ends with #}"),
            },
            "{{" => {
                self.push(Kind::PrintBegin, length);
                self.expression(start, "}}")
            }
            _ => match bare_tag(&self.rest()[length..], "raw") {
                Some(end) => {
                    self.at += length + end;
                    self.raw_block(start)
                }
                None => {
                    self.push(Kind::TagBegin, length);
                    self.expression(start, "%}")
                }
            },
        }
    }

    fn raw_block(&mut self, start: usize) -> Result<(), TemplateError> {
        while let Some(found) = self.rest().find("{%") {
            self.at += found + 2;
            let rest = self.rest();
            let name = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            if let Some(end) = bare_tag(name, "endraw") {
                self.at += rest.len() - name.len() + end;
                return Ok(());
            }
        }
        self.fault(start, "this block is not closed; it ends with {% endraw %}")
    }

    /// Reads up to `closing`, which counts only outside of brackets.
    fn expression(&mut self, start: usize, closing: &str) -> Result<(), TemplateError> {
        let mut open = 0usize;
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_ascii_start().len();
            let rest = self.rest();
            let Some(first) = rest.bytes().next() else {
                return self.fault(start, &format!("this tag is not closed; it ends with {closing}"));
            };
            let unsigned = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            if open == 0 && unsigned.starts_with(closing) {
                self.push(Kind::End, rest.len() - unsigned.len() + 2);
                return Ok(());
            }
            match first {
                b'"' | b'\'' => self.string(first)?,
                b'0'..=b'9' => {
                    let after_dot = self.source[..self.at].ends_with('.');
                    self.push(Kind::Number, number_length(rest.as_bytes(), after_dot));
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                    let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
                    self.push(Kind::Name, length);
                }
                _ if ["//", "**", "==", "!=", ">=", "<="].iter().any(|sign| rest.starts_with(sign)) => {
                    self.push(Kind::Sign, 2);
                }
                b'(' | b'[' | b'{' => {
                    open += 1;
                    self.push(Kind::Sign, 1);
                }
                b')' | b']' | b'}' if open == 0 => {
                    return self.fault(self.at, &format!("{} closes nothing that is open here", char::from(first)));
                }
                b')' | b']' | b'}' => {
                    open -= 1;
                    self.push(Kind::Sign, 1);
                }
                b'+' | b'-' | b'*' | b'/' | b'%' | b'.' | b',' | b':' | b'~' | b'|' | b'=' | b'>' | b'<' => {
                    self.push(Kind::Sign, 1);
                }
                _ => {
                    let character = rest.chars().next().unwrap_or_default();
                    let message =
                        format!("{character:?} belongs into quotes or nowhere; names have letters, digits and _");
                    return self.fault(self.at, &message);
                }
            }
        }
    }

    fn string(&mut self, quote: u8) -> Result<(), TemplateError> {
        let mut escaped = false;
        let end = self.rest().bytes().skip(1).position(|byte| {
            let ends = byte == quote && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        match end {
            Some(end) => {
                self.push(Kind::Text, end + 2);
                Ok(())
            }
            None => self.fault(self.at, "this text is not closed; it ends with the quote that it begins with"),
        }
    }
}

/// Length of a tag with nothing but `name`, after its opening. `None` if it is another tag.
fn bare_tag(rest: &str, name: &str) -> Option<usize> {
    let after = rest.trim_ascii_start().strip_prefix(name)?.trim_ascii_start();
    let after = after.strip_prefix(['-', '+']).unwrap_or(after).strip_prefix("%}")?;
    Some(rest.len() - after.len())
}

/// Length of the number at the beginning of `bytes`.
fn number_length(bytes: &[u8], after_dot: bool) -> usize {
    let prefix = bytes.get(1).map(|byte| byte.to_ascii_lowercase()).filter(|_| bytes[0] == b'0');
    if let Some(radix @ (b'b' | b'o' | b'x')) = prefix {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'_' || radix == b'x' && byte.is_ascii_hexdigit();
        return 2 + bytes[2..].iter().take_while(|byte| is_digit(byte)).count();
    }
    let mut fraction = after_dot;
    let mut exponent = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'0'..=b'9' | b'_' => {}
            b'.' if !fraction && !exponent => {
                let next = bytes.get(at + 1).copied().unwrap_or(b' ');
                let sign = bytes.get(at + 2).copied().unwrap_or(b' ');
                let is_power = matches!(next, b'e' | b'E') && matches!(sign, b'+' | b'-' | b'0'..=b'9');
                // `1.name` is an attribute.
                if !is_power && (next.is_ascii_alphabetic() || next == b'_') {
                    break;
                }
                fraction = true;
            }
            b'e' | b'E' if !exponent => {
                exponent = true;
                if matches!(bytes.get(at + 1), Some(b'+' | b'-')) {
                    at += 1;
                }
            }
            _ => break,
        }
        at += 1;
    }
    at
}
