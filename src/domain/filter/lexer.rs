//! Splits the text of a filter into tokens. What Jinja has and filters have not is refused here if a character shows it.

use super::Mistake;

/// The smallest parts of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'s> {
    /// A name or a word of the language.
    Name(&'s str),
    /// A string, with its escapes resolved.
    Text(String),
    /// A number, as written and without a sign.
    Number(&'s str),
    /// Everything else, such as `==`.
    Symbol(&'static str),
    /// The end of the filter.
    End,
}

/// The symbols that filters have. One that begins another comes after it.
const SYMBOLS: [&str; 14] = ["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", ".", "|", "-"];

/// What filters do not have, by its first characters, and what to do instead.
const REFUSED: [(&[&str], &str); 12] = [
    (&["{", "}", "%}"], "a filter is the expression alone, without {{ }} or {% %}, and has no objects"),
    (&["&"], "conditions are joined with `and`"),
    (&["!"], "a condition is negated with `not`, and != says that values differ"),
    (&["="], "values are compared with `==`"),
    (&["~"], "strings cannot be joined; compare the parts one by one"),
    (&["+", "*", "/", "%"], CANNOT_CALCULATE),
    (&[":"], "there are no parts of lists or strings (such as [1:2]); one element is written [0]"),
    (&["?"], NO_CHOICE),
    (
        &["\u{201C}", "\u{201D}", "\u{201E}", "\u{2018}", "\u{2019}", "`"],
        "a string is written in straight quotes: 'x' or \"x\"",
    ),
    (&["#"], "there are no comments"),
    (&["$", "@"], "a path begins with `data`, without a sign before it: data.name"),
    (&[";"], "a filter is one expression; join conditions with `and` or `or`"),
];

pub(super) const CANNOT_CALCULATE: &str = "a filter cannot calculate; compare values as they are";

pub(super) const NO_CHOICE: &str = "there is no choice (`a if b else c`); use `and`, `or` and `not`";

/// Reads tokens from left to right.
#[derive(Clone)]
pub(super) struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, at: 0 }
    }

    /// The next token, and the index of its first byte.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'s>), Mistake> {
        self.skip(|byte| byte.is_ascii_whitespace());
        let start = self.at;
        let token = match self.rest().bytes().next() {
            None => Token::End,
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => Token::Name(self.skip(is_word)),
            Some(b'0'..=b'9') => Token::Number(self.number()?),
            Some(b'\'' | b'"') => Token::Text(self.text()?),
            Some(_) => Token::Symbol(self.symbol()?),
        };
        Ok((start, token))
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// Moves over the ASCII characters that fit, and returns them.
    fn skip(&mut self, fits: impl Fn(u8) -> bool) -> &'s str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !(byte.is_ascii() && fits(byte))).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn symbol(&mut self) -> Result<&'static str, Mistake> {
        let rest = self.rest();
        if rest.starts_with("||") {
            return Err(Mistake::new(self.at, "conditions are joined with `or`"));
        }
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            self.at += symbol.len();
            return Ok(symbol);
        }
        let mut refused = REFUSED.iter();
        if let Some((_, instead)) = refused.find(|(begins, _)| begins.iter().any(|begin| rest.starts_with(begin))) {
            return Err(Mistake::new(self.at, *instead));
        }
        let character = rest.chars().next().unwrap_or_default();
        Err(Mistake::new(
            self.at,
            if character.is_alphabetic() {
                "names have letters from a to z; any other key is written in brackets and quotes: data['clé']"
                    .to_owned()
            } else {
                format!("the character {} (U+{:04X}) has no place here", character.escape_debug(), u32::from(character))
            },
        ))
    }

    /// A number as in JSON. Jinja also has other notations, which readers understand in different ways.
    fn number(&mut self) -> Result<&'s str, Mistake> {
        let start = self.at;
        let whole = self.skip(|byte| byte.is_ascii_digit());
        let mut is_whole = true;
        if self.rest().starts_with('.') {
            self.at += 1;
            is_whole = false;
            self.digits("a fraction has digits after the point")?;
        }
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            is_whole = false;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
            self.digits("an exponent has digits, as in 1e6")?;
        }
        if self.rest().bytes().next().is_some_and(|byte| is_word(byte) || byte == b'.') {
            return Err(Mistake::new(self.at, "a number is written in decimal digits, as 1000, -1, 0.5 or 1e6"));
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(Mistake::new(
                start,
                "a number has no 0 before its digits; an id that has one is a string: '007'",
            ));
        }
        if is_whole && whole.len() > 38 {
            return Err(Mistake::new(start, "a whole number has at most 38 digits, as Jinja has no longer ones"));
        }
        Ok(&self.source[start..self.at])
    }

    fn digits(&mut self, missing: &str) -> Result<(), Mistake> {
        let digits = self.skip(|byte| byte.is_ascii_digit());
        if digits.is_empty() { Err(Mistake::new(self.at, missing)) } else { Ok(()) }
    }

    fn text(&mut self) -> Result<String, Mistake> {
        let start = self.at;
        let quote = self.character();
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.character() {
                None => return Err(Mistake::new(start, "the string that begins here has no closing quote")),
                end if end == quote => return Ok(text),
                Some('\\') => text.push(self.escape(at)?),
                Some(character) => text.push(character),
            }
        }
    }

    /// The character of an escape whose backslash, at `start`, has been read.
    fn escape(&mut self, start: usize) -> Result<char, Mistake> {
        Ok(match self.character() {
            Some(itself @ ('\\' | '/' | '\'' | '"')) => itself,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('x') => char::from(self.hexadecimal(start, 2)? as u8),
            Some('u') => self.code_point(start)?,
            _ => {
                let known = r"a backslash is written \\; what else begins with one is \n \r \t \b \f \' \u00e9 \xe9";
                return Err(Mistake::new(start, known));
            }
        })
    }

    /// The character after `\u`: four hexadecimal digits, or a surrogate pair.
    fn code_point(&mut self, start: usize) -> Result<char, Mistake> {
        let mut units = vec![self.hexadecimal(start, 4)? as u16];
        if (0xD800..0xDC00).contains(&units[0]) && self.rest().starts_with("\\u") {
            self.at += 2;
            units.push(self.hexadecimal(start, 4)? as u16);
        }
        String::from_utf16(&units).ok().and_then(|text| text.chars().next()).ok_or_else(|| {
            Mistake::new(start, r"half of a surrogate pair is no character; a pair is written as \ud83d\ude00")
        })
    }

    fn hexadecimal(&mut self, start: usize, digits: usize) -> Result<u32, Mistake> {
        let mut value = 0;
        for _ in 0..digits {
            let Some(digit) = self.character().and_then(|digit| digit.to_digit(16)) else {
                return Err(Mistake::new(start, format!("this escape has {digits} hexadecimal digits")));
            };
            value = value << 4 | digit;
        }
        Ok(value)
    }

    fn character(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        Some(character)
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
