//! Text of a document, of an event or of a filter. Documents are read in place: escapes are decoded one character at a
//! time, so no text is copied, whatever its length.

use std::char::{REPLACEMENT_CHARACTER, ToLowercase};
use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};
use std::str::Chars;

/// A text, with what has still to be done to its characters when they are read.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    written: &'a str,
    /// Whether `written` has escapes of JSON.
    escaped: bool,
    /// Whether the characters are read in lower case.
    lower: bool,
}

impl<'a> Text<'a> {
    /// A text that is what it says.
    pub(super) fn plain(text: &'a str) -> Self {
        Self { written: text, escaped: false, lower: false }
    }

    /// A string of a document, without its quotes.
    pub(super) fn json(written: &'a str, escaped: bool) -> Self {
        Self { written, escaped, lower: false }
    }

    /// The same text in lower case.
    pub(super) fn lowered(self) -> Self {
        Self { lower: true, ..self }
    }

    pub(super) fn is_empty(self) -> bool {
        self.written.is_empty()
    }

    /// The number of characters (Unicode scalar values).
    pub(super) fn length(self) -> usize {
        self.verbatim().map_or_else(|| self.characters().count(), |text| text.chars().count())
    }

    /// Compares character by character, by code point.
    pub(super) fn order(self, other: Text<'_>) -> Ordering {
        match (self.verbatim(), other.verbatim()) {
            // The order of bytes in UTF-8 is the order of code points.
            (Some(this), Some(other)) => this.cmp(other),
            _ => self.characters().cmp(other.characters()),
        }
    }

    pub(super) fn equals(self, other: Text<'_>) -> bool {
        match (self.verbatim(), other.verbatim()) {
            (Some(this), Some(other)) => this == other,
            _ => self.characters().eq(other.characters()),
        }
    }

    pub(super) fn starts_with(self, start: Text<'_>) -> bool {
        self.characters().starts_with(start)
    }

    pub(super) fn ends_with(self, end: Text<'_>) -> bool {
        if let (Some(this), Some(end)) = (self.verbatim(), end.verbatim()) {
            return this.ends_with(end);
        }
        match self.length().checked_sub(end.length()) {
            Some(before) => self.characters().skip(before).eq(end.characters()),
            None => false,
        }
    }

    /// Whether `part` is somewhere in this text. Takes time in proportion to both lengths, and no memory.
    ///
    /// Where characters have to be decoded, this is the search of Rabin and Karp: a hash of as many characters as `part`
    /// has moves along the text, and only where it is the hash of `part` the characters are compared. The hash has a
    /// random base, so nobody can write a document in which it is often wrong. The answer does not depend on it.
    pub(super) fn contains(self, part: Text<'_>) -> bool {
        if let (Some(this), Some(part)) = (self.verbatim(), part.verbatim()) {
            return this.contains(part);
        }
        let base = RandomState::new().hash_one(()) % hash::MODULUS;
        let (mut wanted, mut window) = (0, 0);
        // What a character weighs in `window` when it leaves it.
        let mut weight = 1;
        let mut ahead = self.characters();
        for character in part.characters() {
            let Some(entering) = ahead.next() else { return false };
            wanted = hash::add(hash::multiply(wanted, base), u64::from(character));
            window = hash::add(hash::multiply(window, base), u64::from(entering));
            weight = hash::multiply(weight, base);
        }
        let mut behind = self.characters();
        loop {
            if window == wanted && behind.clone().starts_with(part) {
                return true;
            }
            let (Some(entering), Some(leaving)) = (ahead.next(), behind.next()) else { return false };
            let left = hash::multiply(u64::from(leaving), weight);
            window = hash::add(hash::multiply(window, base), u64::from(entering));
            window = hash::add(window, hash::MODULUS - left);
        }
    }

    /// The text, if its characters are the ones that are written.
    fn verbatim(self) -> Option<&'a str> {
        (!self.escaped && !self.lower).then_some(self.written)
    }

    pub(super) fn characters(self) -> Characters<'a> {
        Characters { rest: self.written.chars(), escaped: self.escaped, lower: self.lower, pending: None }
    }
}

/// The characters of a text, one by one.
#[derive(Clone)]
pub(super) struct Characters<'a> {
    rest: Chars<'a>,
    escaped: bool,
    lower: bool,
    /// What is left of a character whose lower case is more than one character.
    pending: Option<ToLowercase>,
}

impl Characters<'_> {
    fn starts_with(mut self, start: Text<'_>) -> bool {
        start.characters().all(|character| self.next() == Some(character))
    }

    /// The next character, as it is written or escaped.
    fn unescaped(&mut self) -> Option<char> {
        match self.rest.next()? {
            '\\' if self.escaped => self.escape(),
            itself => Some(itself),
        }
    }

    /// The next character in lower case.
    fn lowered(&mut self) -> Option<char> {
        if let Some(character) = self.pending.as_mut().and_then(Iterator::next) {
            return Some(character);
        }
        let character = self.unescaped()?;
        if character.is_ascii() {
            return Some(character.to_ascii_lowercase());
        }
        self.pending.insert(character.to_lowercase()).next()
    }

    /// The character of the escape whose backslash has been read. A document that was checked has no other escapes, and
    /// no half of a surrogate pair alone.
    fn escape(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.code_point()?,
            itself => itself,
        })
    }

    /// The character after `\u`: four hexadecimal digits, or a surrogate pair.
    fn code_point(&mut self) -> Option<char> {
        let first = self.code_unit()?;
        if !(0xD800..0xDC00).contains(&first) {
            return Some(char::from_u32(first).unwrap_or(REPLACEMENT_CHARACTER));
        }
        // The second half begins with `\u` as well.
        self.rest.next()?;
        self.rest.next()?;
        let second = self.code_unit()?;
        let scalar = 0x1_0000 + ((first & 0x3FF) << 10 | second & 0x3FF);
        Some(char::from_u32(scalar).unwrap_or(REPLACEMENT_CHARACTER))
    }

    fn code_unit(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit << 4 | self.rest.next()?.to_digit(16)?;
        }
        Some(unit)
    }
}

impl Iterator for Characters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if self.lower { self.lowered() } else { self.unescaped() }
    }
}

/// Arithmetic of the hash: modulo the prime 2^61 - 1, so that two texts of a million characters have the same hash for
/// one base in 2^41.
mod hash {
    pub(super) const MODULUS: u64 = (1 << 61) - 1;

    /// The sum of a number below the modulus and one that is at most the modulus; below it again.
    pub(super) fn add(a: u64, b: u64) -> u64 {
        let sum = a + b;
        if sum >= MODULUS { sum - MODULUS } else { sum }
    }

    /// The product of two numbers below the modulus; below it again.
    pub(super) fn multiply(a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        // 2^61 is 1 in this arithmetic, so the upper half is simply added.
        add(product as u64 & MODULUS, (product >> 61) as u64)
    }
}
