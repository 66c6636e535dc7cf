//! Tokens, secrets, keys and codes. What is said about a wrong one does not depend on it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::prelude::*;

use super::{grammar, odd};
use crate::domain::export::TokenHint;
use crate::domain::login::{CODE_LIFETIME, LoginKey};
use crate::domain::secret::{AdminToken, AppToken, SigningSecret, TokenDigest};
use crate::domain::time::Timestamp;

const SIGNING: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// Base64 of 32 bytes without its `=`: the last character holds four bits.
const KEY: &str = "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]";

/// Checks that exactly the texts of a grammar are taken and kept as they are, that `Debug` hides them, and that there
/// are at most `errors` errors in all, whatever came.
fn holds<T: Debug>(
    pattern: &str,
    valid: &[&str],
    errors: usize,
    parse: impl Fn(&str) -> Result<T, String>,
    reveal: impl Fn(&T) -> String,
) {
    let (grammar, seen) = (grammar(pattern), RefCell::new(BTreeSet::new()));
    odd::hold(valid, |text| {
        let read = parse(text);
        prop_assert_eq!(read.is_ok(), grammar.is_match(text));
        match read {
            Ok(secret) => {
                prop_assert!(reveal(&secret).eq_ignore_ascii_case(text));
                prop_assert_eq!(format!("{secret:?}"), "***");
            }
            Err(error) => drop(seen.borrow_mut().insert(error)),
        }
        Ok(())
    });
    let seen = seen.into_inner();
    assert!((1..=errors).contains(&seen.len()), "{seen:?}");
}

#[test]
fn a_token_is_what_its_grammar_says_and_no_error_repeats_it() {
    holds("[!-~]{4,512}", &["cl_0123456789", "abcd", "abc"], 1, AppToken::parse, |token| token.reveal().to_owned());
    let valid = ["0123456789abcdef", "adm_0123456789abcdef", "0123456789abcde"];
    holds("[!-~]{16,512}", &valid, 2, AdminToken::parse, |token| token.reveal().to_owned());
}

#[test]
fn a_digest_is_what_its_grammar_says_and_no_error_repeats_it() {
    holds("[0-9A-Fa-f]{64}", &[DIGEST, &DIGEST.to_uppercase()], 1, str::parse::<TokenDigest>, TokenDigest::reveal);
}

#[test]
fn a_signing_secret_is_what_its_grammar_says_and_no_error_repeats_it() {
    let unpadded = SIGNING.replace('=', "");
    let loose = SIGNING.replace("8=", "9=");
    let valid = [SIGNING, &unpadded, &loose, &SIGNING["whsec_".len()..]];
    holds(&format!("whsec_{KEY}="), &valid, 1, str::parse::<SigningSecret>, SigningSecret::reveal);
    let why = SigningSecret::parse("").err();
    odd::hold(&valid, |text| {
        let read = SigningSecret::parse(&format!(" {text}\n"));
        prop_assert_eq!(read.is_ok(), text.trim().parse::<SigningSecret>().is_ok());
        prop_assert!(read.is_ok() || read.err() == why);
        Ok(())
    });
}

#[test]
fn the_key_of_login_codes_is_what_its_grammar_says() {
    let key = LoginKey::generate().reveal();
    let grammar = grammar("[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]");
    odd::hold(&[&key, &format!("{key}=")], |text| {
        let read = LoginKey::parse(text);
        prop_assert_eq!(read.is_some(), grammar.is_match(text));
        if let Some(read) = read {
            prop_assert_eq!((read.reveal(), format!("{:?}", read)), (text.to_owned(), "***".to_owned()));
        }
        Ok(())
    });
}

#[test]
fn only_a_code_itself_is_a_code_and_only_in_its_time() {
    let (key, now) = (LoginKey::generate(), Timestamp::from_millis(1_767_225_600_500));
    let code = key.code(now).reveal().to_owned();
    odd::hold(&[&code], |text| {
        prop_assert_eq!(key.check(text, now).is_some(), text == code);
        prop_assert_eq!(key.check(text, now.plus(CODE_LIFETIME)), None);
        Ok(())
    });
    odd::run(&(0..2 * CODE_LIFETIME.as_secs()), |seconds| {
        let later = now.plus(std::time::Duration::from_secs(seconds));
        // The end is kept in whole seconds.
        let is_good = later < Timestamp::from_millis((now.seconds() + 600) * 1_000);
        prop_assert_eq!(key.check(&code, later).is_some(), is_good);
        Ok(())
    });
}

#[test]
fn only_the_admin_token_is_the_admin_token() {
    const TOKEN: &str = "adm_0123456789abcdef";
    let token = AdminToken::parse(TOKEN).unwrap();
    odd::hold_bytes(&[TOKEN.as_bytes()], |bytes| {
        prop_assert_eq!(token.matches(bytes), bytes == TOKEN.as_bytes());
        Ok(())
    });
}

#[test]
fn the_end_of_a_token_is_four_characters() {
    super::reads::<TokenHint>("[!-~]{4}", &["abcd", "abc", "a bc"]);
}
