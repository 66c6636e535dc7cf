//! Ids, names of instances, types of events, keys and cursors: short words of a few characters.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::{grammar, odd, reads, says_what_is_wrong};
use crate::domain::event::IdempotencyKey;
use crate::domain::event_type::{EventType, EventTypePatterns, MAX_PATTERNS};
use crate::domain::ids::{AccountId, DeliveryId, DestinationId, EventId, TokenId};
use crate::domain::instance::InstanceName;
use crate::domain::page::Cursor;

#[test]
fn ids_are_what_their_grammar_says() {
    reads::<AccountId>("[A-Za-z0-9._-]{1,64}", &["acc_V1StGXR8_Z5jdHi6B-myT", "a", ".", "A.b-c"]);
    reads::<DestinationId>("[A-Za-z0-9._-]{1,64}", &["dst_kq3nB7vXcT0pL9sYw2RfE"]);
    reads::<TokenId>("[A-Za-z0-9._-]{1,64}", &["tok_V1StGXR8_Z5jdHi6B-myT"]);
    // 63 bits: the first of 13 digits has three.
    reads::<EventId>(
        "evt_[0-7][0-9a-hjkmnp-tv-z]{12}",
        &["evt_36vsdqb000000", "evt_7zzzzzzzzzzzz", "evt_8000000000000"],
    );
    reads::<DeliveryId>("dlv_[0-7][0-9a-hjkmnp-tv-z]{12}", &["dlv_36vsdqb000001", "evt_36vsdqb000000"]);
}

#[test]
fn an_id_that_a_client_chooses_survives_in_a_path() {
    let grammar = grammar("[A-Za-z0-9._-]{1,64}");
    odd::hold(&["acc_1", ".", "..", "..."], |text| {
        let chosen = AccountId::choose(text);
        prop_assert_eq!(chosen.is_ok(), grammar.is_match(text) && text != "." && text != "..");
        if let Ok(id) = chosen {
            let url = url::Url::parse(&format!("http://a/v1/accounts/{id}/events")).expect("a URL");
            prop_assert_eq!(url.path(), format!("/v1/accounts/{text}/events"));
        }
        Ok(())
    });
}

#[test]
fn names_of_instances_and_types_of_events_are_what_their_grammars_say() {
    reads::<InstanceName>("[a-z0-9]{1,16}", &["eu2", "abcdefghijklmnop"]);
    reads::<EventType>("[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", &["order.paid", "Order/Paid:v1_2-x", "0"]);
}

#[test]
fn a_cursor_is_what_its_grammar_says() {
    reads::<Cursor>("c1-[0-7][0-9a-f]{15}", &["c1-00000000000003e8", "c1-7fffffffffffffff", "c1-8000000000000000"]);
}

#[test]
fn an_idempotency_key_is_any_visible_ascii_and_is_kept_as_it_came() {
    let grammar = grammar("[ -~]{1,255}");
    odd::hold(&["order-1042", "a b", "\"quoted\""], |text| {
        let read = text.parse::<IdempotencyKey>();
        prop_assert_eq!(read.is_ok(), grammar.is_match(text));
        match read {
            Ok(key) => prop_assert_eq!(key.as_str(), text),
            Err(error) => says_what_is_wrong(&error)?,
        }
        Ok(())
    });
}

#[test]
fn patterns_of_types_match_what_the_same_regular_expression_matches() {
    let grammar = grammar("[A-Za-z0-9._:/*-]{1,128}");
    odd::hold(&["order.*", "*", "a*b*c", "order.paid", "**"], |text| {
        let read = EventTypePatterns::parse(vec![text.to_owned()]);
        prop_assert_eq!(read.is_ok(), grammar.is_match(text));
        let Ok(patterns) = read else { return Ok(()) };
        let all = text.split('*').map(regex::escape).collect::<Vec<_>>().join(".*");
        let same = super::grammar(&all);
        for word in ["order.paid", "a", "abc", "aXbYc", "order."] {
            let event_type: EventType = word.parse().expect("a type");
            prop_assert_eq!(patterns.match_type(Some(&event_type)), same.is_match(word), "{} {}", text, word);
        }
        prop_assert_eq!(EventTypePatterns::from_json(&patterns.to_json()), Some(patterns));
        Ok(())
    });
}

#[test]
fn too_many_patterns_are_one_error_however_many_they_are() {
    for count in [0, MAX_PATTERNS + 1, 100_000] {
        assert_eq!(EventTypePatterns::parse(vec![" ".to_owned(); count]).unwrap_err().len(), 1);
    }
    let mut text = String::new();
    for error in EventTypePatterns::parse(vec!["\u{e4}".repeat(10_000); MAX_PATTERNS]).unwrap_err() {
        let _ = write!(text, "{}{}", error.field, error.message);
    }
    assert!(text.len() < MAX_PATTERNS * 200, "{}", text.len());
}
