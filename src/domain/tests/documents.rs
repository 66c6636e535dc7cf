//! Documents: that they are JSON is decided by another reader of JSON, with the rules that come on top.

use proptest::prelude::*;

use super::{odd, says_what_is_wrong};
use crate::domain::json;

const VALID: [&str; 8] = [
    "{\"a\":[1,2.50,{\"b\":null}]}",
    " [true, \"\\ud83d\\ude00 \u{e4}\"] ",
    "{\"k\":1e2,\"k\":-0.0}",
    "\"\\ud800\"",
    "12345678901234567890123",
    "1e999",
    "\"\\u0000\"",
    "{\"a\":1}{}",
];

#[test]
fn a_document_is_what_another_reader_takes_no_deeper_than_128() {
    let valid: Vec<Vec<u8>> = VALID.iter().map(|text| text.as_bytes().to_vec()).chain([128, 129].map(nested)).collect();
    let valid: Vec<&[u8]> = valid.iter().map(Vec::as_slice).collect();
    odd::hold_bytes(&valid, |bytes| {
        let other: Result<Box<serde_json::value::RawValue>, _> = serde_json::from_slice(bytes);
        let checked = json::check(bytes);
        if checked.is_ok() {
            prop_assert!(other.is_ok() && depth(bytes) <= json::MAX_DEPTH);
        } else if other.is_ok() {
            // It is JSON, and refused for one of the rules on top.
            let text = String::from_utf8_lossy(bytes).to_lowercase();
            prop_assert!(depth(bytes) > json::MAX_DEPTH || text.contains("\\ud"), "{:?}", checked);
        }
        checked.map_or_else(|error| says_what_is_wrong(&error), |()| Ok(()))
    });
}

fn nested(depth: usize) -> Vec<u8> {
    ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes()
}

/// How deep brackets stand in one another, outside strings.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
