use super::*;
use crate::domain::headers::Headers;
use crate::domain::ids::DestinationKey;
use crate::domain::secret::SigningSecret;

const NOW: Timestamp = Timestamp::EPOCH;

fn destination(method: HttpMethod, url: &str, own: &[(&str, &str)]) -> Destination {
    let mut destination = Destination::example(DestinationKey(1), url);
    destination.secrets.current = SigningSecret::from_bytes([7; 32]);
    destination.fields.method = method;
    destination.fields.headers =
        Headers::parse(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()).unwrap();
    destination
}

fn event(document: &[u8]) -> OutgoingEvent<'_> {
    OutgoingEvent { id: EventId(5), event_type: None, document, made_headers: &[] }
}

fn names<'a>(request: &'a OutgoingRequest<'_>) -> Vec<&'a str> {
    request.headers.iter().map(|(name, _)| name.as_ref()).collect()
}

fn value<'a>(request: &'a OutgoingRequest<'_>, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
}

#[test]
fn a_body_is_the_document_and_headers_come_in_a_fixed_order() {
    let destination = destination(HttpMethod::Post, "https://h:8443/p?k=v", &[("X-Team", "red")]);
    let request = OutgoingRequest::build(&destination, &event(b"{ }"), NOW).unwrap();
    assert_eq!((request.url.as_ref(), request.body), ("https://h:8443/p?k=v", Some(b"{ }".as_slice())));
    let expected = ["content-length", "accept", "host", "user-agent", "content-type", "x-team"];
    let webhook = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    assert_eq!(names(&request), [expected.as_slice(), &webhook].concat());
    assert_eq!(value(&request, "content-length"), Some("3"));
    assert_eq!(value(&request, "host"), Some("h:8443"));
    assert_eq!(value(&request, "webhook-id"), Some(EventId(5).to_string().as_str()));
    assert_eq!(value(&request, "user-agent"), Some(USER_AGENT));
}

#[test]
fn a_get_has_the_document_in_its_url_and_signs_the_query() {
    let destination = destination(HttpMethod::Get, "http://h/p?k=v", &[]);
    let request = OutgoingRequest::build(&destination, &event(br#"{"a":1}"#), NOW).unwrap();
    assert_eq!((request.url.as_ref(), request.body), ("http://h/p?k=v&a=1", None));
    assert_eq!(value(&request, "content-length").or(value(&request, "content-type")), None);
    let signed = signature::signatures(destination.secrets.valid_at(NOW), &EventId(5).to_string(), NOW, b"k=v&a=1");
    assert_eq!(value(&request, "webhook-signature"), Some(signed.as_str()));
}

#[test]
fn own_headers_replace_default_ones_of_the_same_name_in_any_case() {
    let own = [("ACCEPT", "text/plain"), ("Content-Type", "text/csv"), ("User-agent", "mine")];
    let destination = destination(HttpMethod::Put, "http://h/", &own);
    let request = OutgoingRequest::build(&destination, &event(b"1"), NOW).unwrap();
    assert_eq!(names(&request)[..5], ["content-length", "host", "accept", "content-type", "user-agent"]);
    assert_eq!(value(&request, "content-type"), Some("text/csv"));
    assert_eq!(default_headers(&destination.fields).count(), 0);
}

#[test]
fn a_get_whose_url_would_be_too_long_is_no_request() {
    let destination = destination(HttpMethod::Get, "http://h/", &[]);
    let document = format!(r#"{{"a":"{}"}}"#, "x".repeat(query::MAX_SENT_URL_BYTES));
    let built = OutgoingRequest::build(&destination, &event(document.as_bytes()), NOW);
    assert_eq!(built.map(|_| ()), Err(UrlTooLong(query::MAX_SENT_URL_BYTES + "http://h/?a=".len())));
}

#[test]
fn debug_output_shows_no_secret() {
    let destination = destination(HttpMethod::Get, "http://h/?key=abc", &[("X-Api-Key", "def")]);
    let request = OutgoingRequest::build(&destination, &event(br#"{"a":"ghi"}"#), NOW).unwrap();
    let shown = format!("{request:?}");
    assert!(["abc", "def", "ghi"].iter().all(|secret| !shown.contains(secret)), "{shown}");
}
