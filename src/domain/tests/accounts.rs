//! The fields of accounts, and origins and URLs beside them.

use proptest::prelude::*;

use super::{grammar, odd, says_what_is_wrong, shows_the_same};
use crate::domain::access_token::TokenName;
use crate::domain::account::{AccountName, Email, Website};
use crate::domain::network::NetworkPolicy;
use crate::domain::origin::Origin;
use crate::domain::target_url::{MAX_URL_BYTES, TargetUrl};

/// A few of those that nobody sees and no script needs.
const HIDDEN: [char; 3] = ['\u{202e}', '\u{feff}', '\u{ad}'];

#[test]
fn an_address_has_one_at_and_a_domain_and_nothing_that_nobody_sees() {
    let grammar = grammar(r#"[^\s@"(),:;<>\[\]\\\p{Cc}]{1,64}@([\p{Alphabetic}\p{N}-]+\.)*[\p{Alphabetic}\p{N}-]+"#);
    odd::hold(&["ada@example.com", "a.b+tag@sub.example.co", "root@localhost", "\u{e4}@ex\u{e4}mple.org"], |text| {
        match text.parse::<Email>() {
            Ok(email) => {
                prop_assert!(grammar.is_match(text) && text.len() <= 254);
                prop_assert_eq!(email.as_str(), text);
                let folded = email.folded();
                prop_assert_eq!(folded.parse::<Email>().map_or(folded.clone(), |again| again.folded()), folded);
                shows_the_same(&email)
            }
            Err(error) => says_what_is_wrong(&error),
        }
    });
}

#[test]
fn a_name_has_1_to_200_characters_without_control_characters() {
    odd::hold(&["Ada Lovelace", "  Ada  ", "\u{1f469}\u{200d}\u{1f467}", "Zoe\u{308}"], |text| {
        let trimmed = text.trim();
        let fits = (1..=200).contains(&trimmed.chars().count()) && !trimmed.chars().any(char::is_control);
        match text.parse::<AccountName>() {
            Ok(name) => {
                prop_assert!(fits && name.as_str() == trimmed && !trimmed.contains(HIDDEN), "{}", name);
                shows_the_same(&name)
            }
            Err(error) => {
                prop_assert!(!fits || error.contains("invisible"), "{}", error);
                says_what_is_wrong(&error)
            }
        }
    });
}

#[test]
fn a_name_of_a_token_is_a_shorter_one() {
    odd::hold(&["ci", "  Ada's phone ", "a\u{200d}b"], |text| match text.parse::<TokenName>() {
        Ok(name) => {
            prop_assert!(text.parse::<AccountName>().is_ok() && name.as_str().chars().count() <= 100, "{}", name);
            shows_the_same(&name)
        }
        Err(error) => {
            prop_assert!(text.parse::<AccountName>().is_err() || text.trim().chars().count() > 100, "{}", error);
            says_what_is_wrong(&error)
        }
    });
}

#[test]
fn a_website_is_an_absolute_url_that_a_browser_opens_there() {
    let documented = grammar(r"(?s)[Hh][Tt][Tt][Pp][Ss]?://.*");
    odd::hold(&["https://example.com/a?b", "HTTP://example.com", "https://b\u{fc}cher.example/"], |text| match text
        .parse::<Website>(
    ) {
        Ok(website) => {
            prop_assert!(documented.is_match(text) && text.len() <= 2_048);
            let url = url::Url::parse(text).expect("it was taken");
            prop_assert!(url.has_host() && url.username().is_empty() && matches!(url.scheme(), "http" | "https"));
            shows_the_same(&website)
        }
        Err(error) => says_what_is_wrong(&error),
    });
}

#[test]
fn an_origin_is_scheme_host_and_port_in_one_spelling() {
    let spelling = grammar(r"https?://[^/?#@\\\s%*]+");
    odd::hold(&["https://push.example.com", "HTTPS://Push.Example.COM:443/", "http://[::1]:3000/"], |text| {
        match Origin::parse(text) {
            Ok(origin) => {
                let kept = origin.as_str();
                prop_assert!(spelling.is_match(kept) && kept.is_ascii(), "{}", kept);
                prop_assert_eq!(url::Url::parse(kept).expect("a URL").origin().ascii_serialization(), kept);
                prop_assert_eq!(Origin::parse(kept), Ok(origin.clone()));
                prop_assert!(origin.has_host(kept.split_once("://").expect("a scheme").1));
                Ok(())
            }
            Err(error) => says_what_is_wrong(&error),
        }
    });
}

#[test]
fn the_url_of_a_destination_is_what_the_document_says_and_no_error_repeats_its_path() {
    // As in the document; a fragment is refused there and here.
    let documented = grammar(r"[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\\s][^#\\\s]*");
    let anywhere = NetworkPolicy::new(vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]);
    let valid =
        ["https://example.com/in?key=canary", "http://127.0.0.1:9/canary", "http://[::1]/", "https://a:99999/canary"];
    odd::hold(&valid, |text| match TargetUrl::parse(text, &anywhere) {
        Ok(url) => {
            prop_assert!(documented.is_match(text), "{}", url.as_str());
            let hidden = format!("{url:?}");
            prop_assert!(url.as_str().len() <= MAX_URL_BYTES && !hidden.contains("canary"), "{}", hidden);
            prop_assert_eq!(TargetUrl::parse(url.as_str(), &anywhere), Ok(url.clone()));
            Ok(())
        }
        Err(error) => {
            prop_assert!(!error.contains("canary"), "{}", error);
            says_what_is_wrong(&error)
        }
    });
}
