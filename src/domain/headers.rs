//! A destination's own headers: which ones may be set, and which values are hidden in lists.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde_json::{Map, Value};

use crate::error::{FieldError, MAX_FIELD_ERRORS};

/// Most headers of a destination.
pub const MAX_HEADERS: usize = 100;

/// Most bytes of all names and values together.
pub const MAX_BYTES: usize = 32 * 1024;

/// Replaces a value that holds a secret, in lists.
pub const MASK: &str = "********";

/// Names that may not be set: the server sets these headers, or they belong to one connection. The last two carry the
/// tokens of the data handler and must not be passed on.
const REFUSED: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
    "cl-xtoken",
    "cl-x-token",
];

/// Prefixes of names that may not be set: headers of proxies, and Standard Webhooks' headers with id and signature.
const REFUSED_PREFIXES: [&str; 2] = ["proxy-", "webhook-"];

/// A header whose name contains one of these words is treated as a secret (`_` counts as `-`).
///
/// Only the name can show that a value is a secret, so too many values are hidden rather than too few. A value that is
/// hidden without need costs one request for the destination itself. A value that is shown by mistake reveals a
/// credential. So `auth` also hides `X-Author`.
const SECRET_WORDS: [&str; 13] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "api-key",
    "apikey",
    "credential",
    "signature",
    "session",
    "jwt",
    "private",
];

/// Checked headers in the order given. `Debug` hides values that hold a secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Checks the headers that a client gave.
    ///
    /// # Errors
    /// Every error, with the field `headers.NAME`, or `headers` for all headers together. No error repeats a value.
    pub fn parse(pairs: Vec<(String, String)>) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        if pairs.len() > MAX_HEADERS {
            faults.push(FieldError::new("headers", format!("must be at most {MAX_HEADERS} headers")));
        }
        if pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_BYTES {
            let message = format!("must be at most {MAX_BYTES} bytes, names and values together");
            faults.push(FieldError::new("headers", message));
        }
        let of_one = |(name, value): &(String, String)| {
            let messages: Vec<String> = name_fault(name).into_iter().chain(value_fault(name, value)).collect();
            messages.into_iter().map(|message| fault(name, message)).collect::<Vec<_>>()
        };
        faults.extend(pairs.iter().flat_map(of_one).take(MAX_FIELD_ERRORS));
        faults.extend(repeated(pairs.iter().map(|(name, _)| name.as_str())));
        if faults.is_empty() { Ok(Self(pairs)) } else { Err(faults) }
    }

    /// Reads [`Self::to_json`] from the database. The rules are not applied again, so that a new rule does not make
    /// stored destinations unreadable. Values that are not strings are skipped.
    pub fn from_json(text: &str) -> Self {
        let object: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        Self(
            object
                .into_iter()
                .filter_map(|(name, value)| match value {
                    Value::String(value) => Some((name, value)),
                    _ => None,
                })
                .collect(),
        )
    }

    /// A JSON object of strings, in order. Holds the secrets.
    pub fn to_json(&self) -> String {
        let object: Map<String, Value> =
            self.0.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
        Value::Object(object).to_string()
    }

    /// The headers after an RFC 7396 merge patch: a value sets a header, and `None` removes it. Names match without
    /// regard to case. A header that exists keeps its place and gets the new spelling.
    ///
    /// # Errors
    /// As [`Self::parse`], for the resulting headers. Also names in the patch that differ only in case.
    pub fn patched(&self, changes: Vec<(String, Option<String>)>) -> Result<Self, Vec<FieldError>> {
        let ambiguous = repeated(changes.iter().map(|(name, _)| name.as_str()));
        if !ambiguous.is_empty() {
            return Err(ambiguous);
        }
        let mut pairs = self.0.clone();
        // Names are found by hash, so that a patch with very many names stays cheap.
        let mut places: HashMap<String, usize> =
            pairs.iter().enumerate().map(|(at, (name, _))| (name.to_ascii_lowercase(), at)).collect();
        let mut removed = HashSet::new();
        for (name, value) in changes {
            let place = places.get(&name.to_ascii_lowercase()).copied();
            match (place, value) {
                (Some(at), Some(value)) => pairs[at] = (name, value),
                (Some(at), None) => {
                    removed.insert(at);
                }
                (None, Some(value)) => {
                    places.insert(name.to_ascii_lowercase(), pairs.len());
                    pairs.push((name, value));
                }
                (None, None) => {}
            }
        }
        let mut at = 0..;
        pairs.retain(|_| at.next().is_none_or(|at| !removed.contains(&at)));
        Self::parse(pairs)
    }

    /// Name and value of each header, in order. Holds the secrets.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of the header `name`, without regard to case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Name and value of each header for lists. [`MASK`] replaces a value that holds a secret.
    pub fn masked(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|(name, value)| (name.clone(), if holds_secret(name) { MASK.to_owned() } else { value.clone() }))
            .collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(name, value)| (name, if holds_secret(name) { "***" } else { value }));
        f.debug_map().entries(shown).finish()
    }
}

/// Whether the value of the header `name` is hidden in lists.
pub fn holds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    name == "key" || name.ends_with("-key") || SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// An error in one header. A name may be as long as a body, so only its beginning is repeated.
fn fault(name: &str, message: String) -> FieldError {
    const SHOWN: usize = 128;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => FieldError::new(format!("headers.{}…", &name[..end]), message),
        None => FieldError::new(format!("headers.{name}"), message),
    }
}

/// Errors for names that were given before, in the same or another case.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Vec<FieldError> {
    let mut seen = HashSet::new();
    names
        .filter(|name| !seen.insert(name.to_ascii_lowercase()))
        .map(|name| fault(name, "is given more than once; names of headers must differ in more than case".to_owned()))
        .take(MAX_FIELD_ERRORS)
        .collect()
}

fn name_fault(name: &str) -> Option<String> {
    // `tchar` of RFC 9110, 5.6.2.
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
        return Some("is not a header name: letters, digits and !#$%&'*+-.^_`|~ are allowed, at least one".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    if REFUSED.contains(&lower.as_str()) {
        return Some("may not be set: it is the server's own, or of one connection only".to_owned());
    }
    let prefix = REFUSED_PREFIXES.iter().find(|prefix| lower.starts_with(**prefix))?;
    Some(format!("may not be set: names that begin with {prefix} are kept for the server"))
}

/// An error in a value. The value is never repeated, because it may be a secret.
fn value_fault(name: &str, value: &str) -> Option<String> {
    if value == MASK && holds_secret(name) {
        return Some(format!("has the value {MASK}, which stands for a hidden one; give the value itself"));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Some("must have no control characters (line breaks among them) in its value".to_owned());
    }
    // `obs-text` of RFC 9110 is bytes of no known charset. Clients and servers read it in different ways.
    if !value.is_ascii() {
        return Some("must have a value of ASCII characters only; encode others, such as with Base64".to_owned());
    }
    if value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']) {
        return Some("must have no space or tab at the ends of its value: receivers drop them".to_owned());
    }
    None
}

#[cfg(test)]
mod tests;
