//! Types of events, such as `order.paid`, and the patterns by which a destination chooses among them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::FieldError;

/// Longest type or pattern, in bytes. All of them are ASCII characters.
pub const MAX_LENGTH: usize = 128;

/// Most patterns of a destination.
pub const MAX_PATTERNS: usize = 50;

/// The type of an event: 1 to 128 of `A-Z a-z 0-9 . _ : / -`, of which the first is a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventType(Arc<str>);

impl EventType {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A type that was valid when it was stored.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }
}

fn is_in_type(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte)
}

impl FromStr for EventType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=MAX_LENGTH).contains(&text.len())
            && text.bytes().all(is_in_type)
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(format!(
                "must have 1 to {MAX_LENGTH} letters, digits or . _ : / - and begin with a letter or digit, such as order.paid"
            ))
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which types a destination gets: the type must match one of the patterns. In a pattern `*` stands for any run of
/// characters, also for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypePatterns(Arc<[Box<str>]>);

impl EventTypePatterns {
    /// The patterns of a destination: 1 to [`MAX_PATTERNS`].
    ///
    /// # Errors
    /// The number of patterns, and each pattern that no type could match, by its place in the list.
    pub fn parse(patterns: Vec<String>) -> Result<Self, Vec<FieldError>> {
        if !(1..=MAX_PATTERNS).contains(&patterns.len()) {
            let message = format!("must have 1 to {MAX_PATTERNS} patterns; give null for events of every type");
            return Err(vec![FieldError::new("event_types", message)]);
        }
        let wrong: Vec<_> = patterns
            .iter()
            .enumerate()
            .filter(|(_, pattern)| {
                !(1..=MAX_LENGTH).contains(&pattern.len())
                    || !pattern.bytes().all(|byte| byte == b'*' || is_in_type(byte))
            })
            .map(|(place, _)| {
                let message = format!(
                    "must have 1 to {MAX_LENGTH} letters, digits, . _ : / - or *, such as order.paid or order.*"
                );
                FieldError::new(format!("event_types[{place}]"), message)
            })
            .collect();
        if wrong.is_empty() { Ok(Self(patterns.into_iter().map(String::into_boxed_str).collect())) } else { Err(wrong) }
    }

    /// The patterns, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pattern| &**pattern)
    }

    /// Whether an event of this type is for the destination. An event without a type is not.
    pub fn match_type(&self, event_type: Option<&EventType>) -> bool {
        event_type.is_some_and(|event_type| self.iter().any(|pattern| matches(pattern, event_type.as_str())))
    }

    /// The patterns as a JSON array, as they are stored.
    pub fn to_json(&self) -> String {
        serde_json::Value::from(self.iter().collect::<Vec<_>>()).to_string()
    }

    /// Patterns that were valid when they were stored. `None` if the text is no array of strings.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str::<Vec<Box<str>>>(text).ok().map(|patterns| Self(patterns.into()))
    }
}

/// Whether `text` matches `pattern`. Each part between two `*` is looked for once, behind the one before: taking the
/// earliest place never excludes a later part, so nothing is tried twice.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(place) = text.find(part) else { return false };
        text = &text[place + part.len()..];
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn patterns(patterns: &[&str]) -> Result<EventTypePatterns, Vec<FieldError>> {
        EventTypePatterns::parse(patterns.iter().map(|pattern| (*pattern).to_owned()).collect())
    }

    /// The same by trying every place.
    fn matches_slowly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skipped| matches_slowly(rest, &text[skipped..])),
            Some((byte, rest)) => text.first() == Some(byte) && matches_slowly(rest, &text[1..]),
        }
    }

    #[test]
    fn a_type_is_a_short_word_of_ascii() {
        for right in ["a", "order.paid", "Order/Paid:v1_2-x", &"a".repeat(128)] {
            assert_eq!(right.parse::<EventType>().unwrap().as_str(), right);
        }
        for wrong in ["", ".a", "a b", "é", "a*", "a\n", &"a".repeat(129)] {
            assert!(wrong.parse::<EventType>().unwrap_err().contains("order.paid"), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_pattern_is_named_by_its_place() {
        let fields = |wrong: Vec<FieldError>| wrong.into_iter().map(|error| error.field).collect::<Vec<_>>();
        assert_eq!(fields(patterns(&[]).unwrap_err()), ["event_types"]);
        assert_eq!(fields(patterns(&["a"; 51]).unwrap_err()), ["event_types"]);
        assert_eq!(fields(patterns(&["a", "", "*", "a b"]).unwrap_err()), ["event_types[1]", "event_types[3]"]);
    }

    #[test]
    fn an_event_without_a_type_matches_no_pattern() {
        let all = patterns(&["*"]).unwrap();
        assert!(all.match_type(Some(&"a".parse().unwrap())) && !all.match_type(None));
    }

    #[test]
    fn patterns_are_stored_as_json() {
        let some = patterns(&["order.*", "a"]).unwrap();
        assert_eq!(some.to_json(), r#"["order.*","a"]"#);
        assert_eq!(EventTypePatterns::from_json(&some.to_json()), Some(some));
        assert_eq!(EventTypePatterns::from_json("{}"), None);
    }

    proptest! {
        #[test]
        fn a_star_stands_for_any_run_of_characters(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), matches_slowly(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
