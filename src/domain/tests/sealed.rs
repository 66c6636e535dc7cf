//! Key files, and what is sealed with a key: a value, a text, a whole file. Only what was sealed for a place opens there.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{grammar, odd, says_what_is_wrong};
use crate::domain::sealing::file::{self, SealingWriter};
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::domain::sealing::value::{self, Place};

const PLACE: Place<'_> = Place { owner: "dst_1", column: "secret" };

/// A file that was sealed with `key`.
fn sealed_file(key: &SecretsKey, plain: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    let mut writer = SealingWriter::new(key, &mut sealed).unwrap();
    std::io::Write::write_all(&mut writer, plain).unwrap();
    writer.finish().unwrap();
    sealed
}

fn opened_file(keys: &SecretsKeys, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut opened = Vec::new();
    file::open(keys, &mut &*bytes, &mut opened, || Ok(())).ok().map(|()| opened)
}

#[test]
fn a_key_is_base64_of_32_bytes_and_no_error_repeats_it() {
    let key = SecretsKey::generate();
    let text = key.reveal();
    let grammar = grammar(r"\s*[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\s*");
    let errors = RefCell::new(BTreeSet::new());
    let valid =
        [&**text, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9="];
    odd::hold(&valid, |text| {
        let read = SecretsKey::parse(text);
        prop_assert_eq!(read.is_ok(), grammar.is_match(text));
        match read {
            Ok(key) => {
                prop_assert_eq!(key.reveal().to_string(), text.trim());
                prop_assert_eq!(format!("{:?}", key), "***");
            }
            Err(error) => {
                says_what_is_wrong(&error)?;
                // How long it is, is all that is said of it.
                errors.borrow_mut().insert(error.replace(|c: char| c.is_ascii_digit(), "0").replace("00", "0"));
            }
        }
        Ok(())
    });
    assert!(errors.borrow().len() < 10, "{:?}", errors.borrow());
}

#[test]
fn only_what_was_sealed_for_a_place_opens_there() {
    let (key, other) = (SecretsKey::generate(), SecretsKey::generate());
    let keys = SecretsKeys::new(Some(key.clone()));
    let sealed = value::seal(&key, PLACE, b"canary");
    let foreign = value::seal(&other, PLACE, b"canary");
    let moved = value::seal(&key, Place { owner: "dst_2", ..PLACE }, b"canary");
    odd::hold_bytes(&[&sealed, &foreign, &moved], |bytes| {
        let opened = value::open(&keys, PLACE, bytes);
        prop_assert_eq!(opened.as_ref().map(|plain| plain.as_slice()), (bytes == sealed).then_some(&b"canary"[..]));
        Ok(())
    });
    let text = value::seal_text(&key, PLACE, "canary");
    odd::hold(&[&text, "sealed:", "sealed:AAAA"], |given| {
        let opened = value::open_text(&keys, PLACE, given);
        prop_assert_eq!(opened.as_ref().map(|plain| plain.as_str()), (given == text).then_some("canary"));
        prop_assert!(value::text_key_id(given).is_none() || value::is_sealed_text(given));
        Ok(())
    });
}

#[test]
fn any_text_comes_back_from_its_seal() {
    let key = SecretsKey::generate();
    let keys = SecretsKeys::new(Some(key.clone()));
    odd::hold(&["canary"], |text| {
        let sealed = value::seal_text(&key, PLACE, text);
        prop_assert_eq!(value::open_text(&keys, PLACE, &sealed).map(|plain| plain.to_string()), Some(text.to_owned()));
        let opened = opened_file(&keys, &sealed_file(&key, text.as_bytes()));
        prop_assert_eq!(opened, Some(text.as_bytes().to_vec()));
        Ok(())
    });
}

#[test]
fn a_file_that_was_cut_changed_or_put_together_does_not_open() {
    let key = SecretsKey::generate();
    let keys = SecretsKeys::new(Some(key.clone()));
    let (long, short) = (sealed_file(&key, &[7; 150_000]), sealed_file(&key, b"canary"));
    odd::hold_bytes(&[&long, &short], |bytes| {
        let opened = opened_file(&keys, bytes);
        prop_assert_eq!(opened.is_some(), bytes == long || bytes == short);
        Ok(())
    });
    let piece = long.len() - (150_000 - 2 * 65_536) - 16;
    for cut in [0, 16, 24, 43, 44, 59, piece, long.len() - 1] {
        assert!(opened_file(&keys, &long[..cut]).is_none(), "{cut}");
    }
}
