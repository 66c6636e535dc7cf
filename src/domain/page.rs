//! Pages of lists, and the opaque cursors that lead to the next page.

use std::str::FromStr;

/// Items of a page if the client gives no limit.
pub const DEFAULT_LIMIT: u16 = 50;

/// Most items of a page.
pub const MAX_LIMIT: u16 = 200;

/// A position in a list: the order key of the last item before the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub i64);

/// Marks version 1 of the text form, so that later versions can be distinguished.
const PREFIX: &str = "c1-";

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix(PREFIX)
            .filter(|digits| digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
            .and_then(|digits| i64::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| "is not a cursor; take `next_cursor` of the page before as it is".to_owned())
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{:016x}", self.0)
    }
}

/// The page that a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// Most items of the page, 1 to [`MAX_LIMIT`].
    pub limit: u16,
    /// Where the previous page ended. `None` for the first page.
    pub cursor: Option<Cursor>,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Items of the page. There may be fewer than asked for, or none, even if more pages follow.
    pub items: Vec<T>,
    /// Cursor of the next page. `None` on the last page.
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_texts_are_no_cursors() {
        for text in
            ["", "0", "c1-", "c1-00000000000000zz", "c1-000000000000000A", "c1-ffffffffffffffff", "c1-+00000000000000f"]
        {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_cursor_reads_back_the_same(value in 0..=i64::MAX) {
            prop_assert_eq!(Cursor(value).to_string().parse(), Ok(Cursor(value)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,24}") {
            let _ = text.parse::<Cursor>();
        }
    }
}
