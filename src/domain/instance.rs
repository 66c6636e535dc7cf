//! The name of an instance, where several servers share the accounts behind one proxy. What a proxy does with it is in
//! `docs/scaling.md`.

use std::fmt;
use std::str::FromStr;

/// Longest name, in bytes.
const MAX_LENGTH: usize = 16;

/// The name of an instance: 1 to 16 of `a-z 0-9`. App secret tokens contain it, between two `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceName(String);

impl InstanceName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(is_in_name) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("must be 1 to {MAX_LENGTH} characters out of a-z and 0-9"))
        }
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_only_what_cannot_be_taken_for_the_rest_of_a_token() {
        for text in ["a", "eu", "eu2", "0", "abcdefghijklmnop"] {
            assert_eq!(text.parse::<InstanceName>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "EU", "eu-1", "eu_1", "e u", "\u{e4}", "abcdefghijklmnopq"] {
            assert!(text.parse::<InstanceName>().is_err(), "{text}");
        }
    }
}
