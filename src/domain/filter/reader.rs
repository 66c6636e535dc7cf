//! Reads JSON in place, value by value, without a tree and without recursion. It relies on a document that was checked;
//! of any other text it makes something or nothing, and never fails.

use super::text::Text;

/// A place in JSON text. Methods return `None` where the text ends too early.
pub(super) struct Reader<'d> {
    json: &'d str,
    at: usize,
}

impl<'d> Reader<'d> {
    pub(super) fn new(json: &'d str) -> Self {
        Self { json, at: 0 }
    }

    /// A reader of what is between the brackets of a list or object.
    fn within(container: &'d str) -> Self {
        Self { json: container, at: 1 }
    }

    /// Index of the byte that is next.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Moves over one byte.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// The next byte that is neither white space nor a comma. Commas only separate, so nothing is lost with them.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                b' ' | b',' | b'\n' | b'\r' | b'\t' => self.at += 1,
                other => return Some(other),
            }
        }
    }

    /// Moves over the key that is next, and over the colon after it.
    pub(super) fn key(&mut self) -> Option<Text<'d>> {
        let start = self.at + 1;
        let escaped = self.string()?;
        let key = Text::json(self.json.get(start..self.at - 1)?, escaped);
        while self.byte()? != b':' {
            self.at += 1;
        }
        self.at += 1;
        Some(key)
    }

    /// Moves over the value that is next, and returns it as it is written.
    pub(super) fn value(&mut self) -> Option<&'d str> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => {
                self.at += 1;
                self.rest_of_container()?;
            }
            _ => self.word(),
        }
        self.json.get(start..self.at)
    }

    /// Moves over all that is left of the list or object, and its closing bracket. Only strings are looked at, as they
    /// may have brackets inside.
    pub(super) fn rest_of_container(&mut self) -> Option<()> {
        let mut open = 1usize;
        loop {
            match self.byte()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Some(());
            }
        }
    }

    /// Moves over the string whose quote is next. Returns whether it has escapes.
    fn string(&mut self) -> Option<bool> {
        let bytes = self.json.as_bytes();
        let mut escaped = false;
        self.at += 1;
        loop {
            match bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(escaped);
                }
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
    }

    /// Moves over a number, `true`, `false` or `null`.
    fn word(&mut self) {
        while let Some(byte) = self.byte()
            && !matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t')
        {
            self.at += 1;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }
}

/// The elements of a list, as they are written.
pub(super) fn elements(list: &str) -> impl Iterator<Item = &str> {
    let mut reader = Reader::within(list);
    std::iter::from_fn(move || match reader.peek()? {
        b']' => None,
        _ => reader.value().filter(|value| !value.is_empty()),
    })
}

/// The keys of an object, in order, repeated ones as often as they are there.
pub(super) fn keys(object: &str) -> impl Iterator<Item = Text<'_>> {
    let mut reader = Reader::within(object);
    std::iter::from_fn(move || match reader.peek()? {
        b'}' => None,
        _ => {
            let key = reader.key()?;
            reader.value()?;
            Some(key)
        }
    })
}
