//! Turns a document into the query parameters of a GET.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::target_url::TargetUrl;

/// Longest URL that is sent, in bytes. Servers and proxies commonly refuse longer URLs.
pub const MAX_SENT_URL_BYTES: usize = 8_000;

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URL of a GET would be longer than [`MAX_SENT_URL_BYTES`]. Holds the URL's length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlTooLong(pub usize);

/// `url` with `document` as query parameters, after the query that `url` already has.
///
/// # Errors
/// [`UrlTooLong`].
pub fn url_with_document(url: &TargetUrl, document: &[u8]) -> Result<String, UrlTooLong> {
    let mut whole = url.as_str().to_owned();
    let query = parameters(document);
    if !query.is_empty() {
        match whole.find('?') {
            None => whole.push('?'),
            Some(at) if at + 1 < whole.len() && !whole.ends_with('&') => whole.push('&'),
            Some(_) => {}
        }
        whole.push_str(&query);
    }
    if whole.len() > MAX_SENT_URL_BYTES { Err(UrlTooLong(whole.len())) } else { Ok(whole) }
}

/// The part of `url` after its first `?`, or an empty text. The signature of a GET covers this part.
pub fn query_part(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}

/// Percent-encoded `name=value` pairs of a checked document, joined by `&`, in document order.
fn parameters(document: &[u8]) -> String {
    let text = std::str::from_utf8(document).unwrap_or_default().trim_matches([' ', '\t', '\n', '\r']);
    let mut query = Query::default();
    match serde_json::from_str::<Members>(text) {
        Ok(members) if text.starts_with('{') => {
            for (name, value) in &members.0 {
                query.add_member(name, value.get());
            }
        }
        _ => query.add("data", text),
    }
    query.0
}

#[derive(Default)]
struct Query(String);

impl Query {
    fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(utf8_percent_encode(name, ENCODED));
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, ENCODED));
    }

    fn add_member(&mut self, name: &str, json: &str) {
        if json.starts_with('[') {
            let elements: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            for element in elements {
                self.add_value(name, element.get());
            }
        } else {
            self.add_value(name, json);
        }
    }

    fn add_value(&mut self, name: &str, json: &str) {
        match json.as_bytes().first() {
            Some(b'n') => {}
            Some(b'"') => {
                let text: Cow<'_, str> = serde_json::from_str(json).unwrap_or(Cow::Borrowed(json));
                self.add(name, &text);
            }
            _ => self.add(name, json),
        }
    }
}

/// Members of an object in document order. Repeated names are kept, and values stay as written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    members.push((Cow::Owned(name), map.next_value::<&'de RawValue>()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mapped(document: &str) -> String {
        parameters(document.as_bytes())
    }

    fn with(url: &str, document: &str) -> Result<String, UrlTooLong> {
        url_with_document(&TargetUrl::from_stored(url.to_owned()), document.as_bytes())
    }

    #[test]
    fn an_object_gives_a_parameter_a_key_in_document_order() {
        assert_eq!(mapped(r#"{"b":"x y","a":true,"c":false,"n":null}"#), "b=x%20y&a=true&c=false");
        assert_eq!(mapped(r#"{"a":1,"a":2}"#), "a=1&a=2");
        assert_eq!(mapped("{}"), "");
    }

    #[test]
    fn numbers_go_exactly_as_written() {
        assert_eq!(
            mapped(r#"{"a":12345678901234567890,"b":1.0,"c":1e2,"d":-0}"#),
            "a=12345678901234567890&b=1.0&c=1e2&d=-0"
        );
    }

    #[test]
    fn arrays_repeat_and_nested_values_go_as_their_text() {
        assert_eq!(mapped(r#"{"a":[1,"x",null,true]}"#), "a=1&a=x&a=true");
        assert_eq!(mapped(r#"{"a":[{"b": 1},[2, 3]],"e":[]}"#), "a=%7B%22b%22%3A%201%7D&a=%5B2%2C%203%5D");
        assert_eq!(mapped(r#"{"a":{"b" :  1.0}}"#), "a=%7B%22b%22%20%3A%20%201.0%7D");
    }

    #[test]
    fn other_documents_go_as_data() {
        assert_eq!(mapped(" [1, 2] "), "data=%5B1%2C%202%5D");
        assert_eq!(mapped(r#""hi""#), "data=%22hi%22");
        assert_eq!(mapped("null"), "data=null");
        assert_eq!(mapped("1e2"), "data=1e2");
    }

    #[test]
    fn parameters_follow_the_query_that_the_url_has() {
        assert_eq!(with("http://h/p", r#"{"a":1}"#).unwrap(), "http://h/p?a=1");
        assert_eq!(with("http://h/p?k=v", r#"{"a":1}"#).unwrap(), "http://h/p?k=v&a=1");
        assert_eq!(with("http://h/p?", r#"{"a":1}"#).unwrap(), "http://h/p?a=1");
        assert_eq!(with("http://h/p?k=v", "{}").unwrap(), "http://h/p?k=v");
        assert_eq!(query_part("http://h/p?k=v&a=1?"), "k=v&a=1?");
    }

    #[test]
    fn a_url_over_the_limit_is_not_made() {
        let room = MAX_SENT_URL_BYTES - "http://h/?a=".len();
        assert!(with("http://h/", &format!(r#"{{"a":"{}"}}"#, "x".repeat(room))).is_ok());
        assert_eq!(
            with("http://h/", &format!(r#"{{"a":"{}"}}"#, "x".repeat(room + 1))),
            Err(UrlTooLong(MAX_SENT_URL_BYTES + 1))
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_the_query_as_it_was(pairs in proptest::collection::vec(("\\PC{0,8}", any::<String>()), 0..6)) {
            let members: Vec<String> = pairs.iter().map(|(name, value)| {
                format!("{}:{}", serde_json::to_string(name).unwrap(), serde_json::to_string(value).unwrap())
            }).collect();
            let query = mapped(&format!("{{{}}}", members.join(",")));
            let back: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            prop_assert_eq!(back, pairs);
        }
    }
}
