//! Why copies beside the database are not sealed, in one line for people that says what to do.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::store::file::shell_word::word;

/// Why copies could not all be sealed.
#[derive(Debug)]
pub struct Left {
    /// The first of them. `None` if none of them is the reason.
    pub copy: Option<PathBuf>,
    /// Why.
    pub why: io::Error,
    /// How many more cannot be sealed.
    pub more: usize,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { copy, why, more } = self;
        let Some(copy) = copy else { return why.fmt(f) };
        let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
        write!(f, "the copy {}{more} beside it cannot be sealed: {why}; {}move it away", word(copy), first_advice(why))
    }
}

/// What to do first where a copy cannot be sealed. It can always be moved away.
fn first_advice(why: &io::Error) -> &'static str {
    match why.kind() {
        ErrorKind::PermissionDenied => "give it and its folder to the user that this runs as (chown), or ",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => "make room, or ",
        ErrorKind::ReadOnlyFilesystem => "make its folder writable, or ",
        ErrorKind::InvalidData => "if it is not needed, delete it, or ",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_that_for_the_error() {
        for (kind, advice) in [
            (ErrorKind::PermissionDenied, "chown"),
            (ErrorKind::StorageFull, "make room"),
            (ErrorKind::ReadOnlyFilesystem, "writable"),
            (ErrorKind::InvalidData, "delete it"),
        ] {
            let left = Left { copy: Some(PathBuf::from("a")), why: kind.into(), more: 0 };
            let line = left.to_string();
            assert!(line.contains(advice) && line.ends_with(", or move it away"), "{line}");
            assert_eq!(line.contains("make room"), advice == "make room", "{line}");
        }
    }
}
