//! Headers of destinations, fixed ones and templates of them. What they do once they are taken is tested beside them.

use proptest::prelude::*;

use super::{grammar, odd, says_what_is_wrong};
use crate::domain::headers::{Headers, MASK, holds_secret};
use crate::domain::templates::HeaderTemplates;
use crate::error::MAX_FIELD_ERRORS;

const NAMES: [&str; 6] = ["X-Id", "Authorization", "my_key", "Host", "webhook-id", "cl-xtoken"];
const VALUES: [&str; 4] = ["a", "Bearer canary", "a\tb", MASK];

/// Whether the rules of the documentation take a name, without their exceptions.
fn is_free(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let own = grammar(
        "host|content-length|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|accept-encoding|\
         cl-xtoken|cl-x-token|(?s:proxy-.*|webhook-.*)",
    );
    !own.is_match(&lower)
}

#[test]
fn a_header_is_a_token_and_a_value_of_visible_ascii() {
    let name_grammar = grammar("[!#$%&'*+.^_`|~0-9A-Za-z-]+");
    let value_grammar = grammar(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?");
    odd::hold(&NAMES, |name| {
        let read = Headers::parse(vec![(name.to_owned(), "canary".to_owned())]);
        let fits = name_grammar.is_match(name) && is_free(name) && name.len() < 32_000;
        prop_assert_eq!(read.is_ok(), fits);
        for error in read.err().into_iter().flatten() {
            prop_assert!(!error.message.contains("canary") && error.field.len() < 1_024);
            says_what_is_wrong(&error.message)?;
        }
        Ok(())
    });
    odd::hold(&VALUES, |value| {
        let read = Headers::parse(vec![("X-Token".to_owned(), value.to_owned())]);
        let fits = value_grammar.is_match(value) && value != MASK && value.len() < 32_000;
        prop_assert_eq!(read.is_ok(), fits);
        for error in read.err().into_iter().flatten() {
            prop_assert!(value.len() < 4 || value == MASK || !error.message.contains(value), "{}", error.message);
        }
        Ok(())
    });
}

#[test]
fn a_mask_is_never_taken_for_a_template_either() {
    odd::hold(&NAMES, |name| {
        let pair = |source: &str| vec![(name.to_owned(), source.to_owned())];
        let Ok(templates) = HeaderTemplates::parse(pair("canary")) else { return Ok(()) };
        let masked = HeaderTemplates::parse(templates.masked());
        prop_assert_eq!(masked.is_err(), holds_secret(name));
        prop_assert!(!masked.err().into_iter().flatten().any(|error| error.message.contains("canary")));
        Ok(())
    });
}

#[test]
fn so_many_faults_are_listed_and_no_more() {
    let wrong: Vec<(String, String)> = (0..200_000).map(|n| (format!("a b{n}"), "\u{e4}".to_owned())).collect();
    assert!(Headers::parse(wrong.clone()).unwrap_err().len() <= 2 * MAX_FIELD_ERRORS + 2);
    assert!(HeaderTemplates::parse(wrong).unwrap_err().len() <= 2 * MAX_FIELD_ERRORS + 100);
    let twice = vec![("X-A".to_owned(), "a".to_owned()); 200_000];
    assert!(Headers::parse(twice).unwrap_err().len() <= MAX_FIELD_ERRORS + 2);
}
