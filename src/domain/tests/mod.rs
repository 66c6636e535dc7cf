//! What holds for everything that is read from outside. The documented grammar decides what is taken, and is written here
//! once more, as a pattern that no parser uses. What is shown is read back the same. An error repeats the beginning of
//! what came at most, and nothing of a secret. No text makes a parser panic.
//!
//! Filters, templates, addresses and URLs have tests of this kind beside them. What only HTTP has is tested in `web`,
//! `api` and `dashboard`.

pub(crate) mod odd;

mod accounts;
mod documents;
mod headers;
mod quantities;
mod sealed;
mod secrets;
mod words;

use std::fmt::Display;
use std::str::FromStr;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use regex::Regex;

/// Longest error about a text from outside, in bytes: a sentence, and the beginning of the text.
pub(crate) const MAX_ERROR: usize = 640;

/// A documented grammar. The whole text must match.
pub(crate) fn grammar(pattern: &str) -> Regex {
    Regex::new(&format!(r"\A(?:{pattern})\z")).expect("the pattern is written here")
}

/// Checks that exactly the texts of a grammar are taken, and that what is taken is shown in a form that is read as the
/// same.
pub(crate) fn reads<T: FromStr<Err = String> + Display>(pattern: &str, valid: &[&str]) {
    let grammar = grammar(pattern);
    odd::hold(valid, |text| {
        let read = text.parse::<T>();
        prop_assert_eq!(read.is_ok(), grammar.is_match(text), "{}", shown(&read));
        match read {
            Ok(value) => shows_the_same(&value),
            Err(error) => says_what_is_wrong(&error),
        }
    });
}

/// Checks that the text of a value is read as a value with the same text.
pub(crate) fn shows_the_same<T: FromStr<Err = String> + Display>(value: &T) -> Result<(), TestCaseError> {
    let text = value.to_string();
    prop_assert_eq!(text.parse::<T>().map(|again| again.to_string()), Ok(text));
    Ok(())
}

/// Checks that an error is a short sentence, whatever came.
pub(crate) fn says_what_is_wrong(error: &str) -> Result<(), TestCaseError> {
    prop_assert!(!error.is_empty() && error.len() <= MAX_ERROR, "{} bytes: {error}", error.len());
    Ok(())
}

fn shown<T: Display>(read: &Result<T, String>) -> String {
    read.as_ref().map_or_else(|error| format!("refused: {error}"), |value| format!("taken as {value}"))
}
