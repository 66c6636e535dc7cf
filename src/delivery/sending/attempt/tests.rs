use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::delivery::sending::resolver::GuardedResolver;
use crate::delivery::sending::tls::trust::Trust;
use crate::domain::event_type::EventType;
use crate::domain::headers::Headers;
use crate::domain::ids::{DestinationKey, EventId};
use crate::domain::network::NetworkPolicy;
use crate::domain::outgoing::OutgoingRequest;
use crate::domain::secret::SigningSecret;
use crate::domain::time::Timestamp;

const DOCUMENT: &[u8] = br#" {"b": "x y", "a": [1, 2.50]} "#;

/// Receives one request as bytes, and answers it with 200.
fn receive(listener: &TcpListener) -> Vec<u8> {
    let mut reader = BufReader::new(listener.accept().unwrap().0);
    let (mut bytes, mut length) = (Vec::new(), 0);
    while !bytes.ends_with(b"\r\n\r\n") {
        let before = bytes.len();
        assert!(reader.read_until(b'\n', &mut bytes).unwrap() > 0, "the request ends in its head");
        let line = String::from_utf8_lossy(&bytes[before..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    bytes.extend(body);
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    bytes
}

/// The bytes of a request, with everything that the domain says of it.
fn written(request: &OutgoingRequest<'_>, origin: &str) -> Vec<u8> {
    let target = request.url.strip_prefix(origin).unwrap();
    let mut bytes = format!("{} {target} HTTP/1.1\r\n", request.method).into_bytes();
    for (name, value) in &request.headers {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(request.body.unwrap_or_default());
    bytes
}

fn timestamp(received: &[u8]) -> Timestamp {
    let text = String::from_utf8_lossy(received);
    let value = text.lines().find_map(|line| line.strip_prefix("webhook-timestamp: ")).unwrap();
    Timestamp::from_millis(value.parse::<i64>().unwrap() * 1_000)
}

/// Sends `document` to a listener; gives the bytes that arrive and those that the domain says.
fn exchange(method: HttpMethod, own: Headers, document: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let mut destination = Destination::example(DestinationKey(1), &format!("{origin}/in/here?k=v"));
    destination.secrets.previous = Some((SigningSecret::generate(), Timestamp::LATEST));
    (destination.fields.method, destination.fields.headers) = (method, own);
    let resolver = GuardedResolver::new(Arc::new(NetworkPolicy::dev(Vec::new())));
    let connections = DestinationConnections::new(resolver, Trust::default());
    let client = Client::isolated(&connections, Arc::new(destination.clone()), Duration::from_secs(10));
    let receiver = thread::spawn(move || receive(&listener));
    let event_type = EventType::from_stored("order.paid");
    let event = OutgoingEvent { id: EventId(77), event_type: Some(&event_type), document, made_headers: &[] };
    let sent = send(&event, &client.session(false), &|_| None).unwrap();
    assert_eq!(sent.outcome.status(), Some(200), "{method}: {:?}", sent.detail);
    let received = receiver.join().unwrap();
    let built = OutgoingRequest::build(&destination, &event, timestamp(&received)).unwrap();
    let expected = written(&built, &origin);
    (received, expected)
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    Headers::parse(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()).unwrap()
}

#[test]
fn what_arrives_is_what_the_domain_says_is_sent() {
    let many: Vec<_> = (0..100).rev().map(|at| (format!("X-Header-{at}"), at.to_string())).collect();
    let replaced =
        [("Accept", "a/b"), ("X-One", "1"), ("USER-AGENT", "mine"), ("Content-Type", "text/x"), ("authorization", "T")];
    for own in [Headers::default(), headers(&replaced), Headers::parse(many).unwrap()] {
        for method in HttpMethod::ALL {
            let (received, expected) = exchange(method, own.clone(), DOCUMENT);
            assert_eq!(String::from_utf8_lossy(&received), String::from_utf8_lossy(&expected), "{method}");
        }
    }
}

#[test]
fn a_document_that_is_more_than_one_write_arrives_as_it_was_accepted() {
    let document = format!("[{}1]", "1234567890123456789,".repeat(20_000));
    let (received, expected) = exchange(HttpMethod::Post, Headers::default(), document.as_bytes());
    assert!(received == expected, "{} bytes and not {}", received.len(), expected.len());
}
