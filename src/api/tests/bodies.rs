//! Fields of bodies: however many a body has, the work and the answer are bounded.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::api::model::destination_bodies::DestinationCreate;
use crate::api::request::body::FromBody as _;
use crate::api::request::fields::Fields;
use crate::domain::network::NetworkPolicy;
use crate::domain::tests::odd;
use crate::error::{Error, MAX_FIELD_ERRORS};

/// What is wrong with a body for a destination.
fn refused(body: &str) -> Option<Error> {
    let json = serde_json::from_str(body).ok()?;
    let read = Fields::of(json, body.as_bytes().to_vec()).and_then(|mut fields| {
        let read = DestinationCreate::read(&mut fields, &NetworkPolicy::default());
        fields.finish(read)
    });
    read.err()
}

fn length(error: &Error) -> usize {
    error.field_errors().iter().map(|fault| fault.field.len() + fault.message.len()).sum()
}

/// A megabyte of members or items.
fn many(one: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0..100_000 {
        let _ = write!(text, "{}{}", if n == 0 { "" } else { "," }, one(n));
    }
    text
}

#[test]
fn a_body_full_of_faults_is_answered_by_so_many_and_no_more() {
    let right = r#""url":"https://example.com/","http_method":"POST","headers":{}"#;
    for body in [
        format!("{{{}}}", many(|n| format!("\"f{n}\":1"))),
        format!("{{{}}}", many(|_| "\"url\":1".to_owned())),
        format!("{{{right},\"retry_schedule\":[{}]}}", many(|_| "\"x\"".to_owned())),
        format!("{{{right},\"event_types\":[{}]}}", many(|_| "1".to_owned())),
        format!("{{{right},\"header_templates\":{{{}}}}}", many(|n| format!("\"X-{n}\":\"{{{{\""))),
        format!("{{\"headers\":{{{}}}}}", many(|n| format!("\"a b{n}\":1"))),
        format!("{{\"headers\":{{{}}}}}", many(|n| format!("\"a b{n}\":\"\\n\""))),
    ] {
        let error = refused(&body).expect("it is wrong");
        let listed = error.field_errors().len();
        assert!((1..=MAX_FIELD_ERRORS).contains(&listed), "{listed}: {}", &body[..100]);
        assert!(length(&error) < 1 << 19, "{} bytes: {}", length(&error), &body[..100]);
    }
}

#[test]
fn the_name_of_an_unknown_field_is_repeated_at_its_beginning_only() {
    let error = refused(&format!("{{\"{}\":1}}", "x".repeat(1 << 20))).unwrap();
    assert!(length(&error) < 2_000, "{}", length(&error));
}

#[test]
fn whatever_stands_in_a_field_of_a_destination_it_is_taken_or_refused_and_no_header_is_repeated() {
    odd::hold(&["POST", "https://example.com/", "5s", "order.*", "data.a == 1", "10/s"], |text| {
        let value = serde_json::Value::from(text);
        for field in ["url", "http_method", "filter", "rate_limit", "ordering", "body_template"] {
            let body =
                serde_json::json!({"http_method": "POST", "headers": {"X-Token": "canary\u{e4}"}, (field): value});
            let error = refused(&body.to_string()).expect("the header is wrong, and the URL is missing or as before");
            let said = format!("{error:?}");
            prop_assert!(!said.contains("canary"), "{}", said);
        }
        Ok(())
    });
}
