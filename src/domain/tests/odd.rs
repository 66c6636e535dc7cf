//! The odd texts with which each property test of a parser begins: what people, programs and attackers send in place of
//! what is meant. Found ones are added here. Nothing here knows a grammar.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Characters that look like others, that nobody sees, or that change their length with their case.
const ODD_CHARACTERS: [&str; 14] = [
    "\u{430}da",
    "\u{ff11}\u{ff12}",
    "\u{661}\u{662}",
    "\u{b2}",
    "\u{131}",
    "\u{df}",
    "\u{fb01}",
    "\u{212a}",
    "e\u{301}",
    "a\u{200d}b",
    "a\u{202e}b",
    "\u{feff}a",
    "\u{2028}",
    "\u{10ffff}",
];

const CONTROLS: [&str; 12] =
    ["\0", "a\0b", "\n", "\r\n", "a\r\nx: y", "a\nb", "\t", "\u{b}", "\u{1b}[31m", "\u{7f}", "\u{85}", "\u{a0}"];

const NUMBERS: [&str; 25] = [
    "0",
    "00",
    "01",
    "-1",
    "-0",
    "+1",
    "1.5",
    ".5",
    "5.",
    "1e3",
    "0x10",
    "1_000",
    "1,000",
    "NaN",
    "inf",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    "000000000000000000000000000000000000005",
];

const PUNCTUATION: [&str; 29] = [
    "",
    " ",
    "  ",
    "\"",
    "\"\"",
    "\"a",
    "a\"b,c\"d",
    "'",
    "\\",
    "\\\"",
    ",",
    ",,",
    ";",
    "a;b",
    "=",
    "a=b",
    ":",
    "::",
    "/",
    "//",
    ".",
    "..",
    "../..",
    "*",
    "%",
    "%2",
    "%zz",
    "%00",
    "%2e%2e%2f",
];

const WORDS: [&str; 14] = [
    "null",
    "true",
    "undefined",
    "{}",
    "[]",
    "<script>",
    "{{7*7}}",
    "${jndi:ldap://a}",
    "' or 1=1 --",
    "$(id)",
    "//evil.example",
    "Bearer a",
    "a=b&a=c",
    "%C0%AF",
];

/// Lengths at which something ends: each is taken, and one more or less too.
const LENGTHS: [usize; 14] = [1, 4, 13, 16, 20, 44, 50, 64, 128, 200, 254, 512, 2_048, 32_768];

/// All odd texts.
pub(crate) fn texts() -> Vec<String> {
    let short = [&ODD_CHARACTERS[..], &CONTROLS, &NUMBERS, &PUNCTUATION, &WORDS].concat();
    let long = LENGTHS.iter().flat_map(|length| [length - 1, *length, length + 1]).map(|length| "a".repeat(length));
    let deep = ["[".repeat(129), "{\"a\":".repeat(129), "[".repeat(100_000), "\u{e4}".repeat(100), "9".repeat(400)];
    short.into_iter().map(str::to_owned).chain(long).chain(deep).collect()
}

/// Odd bytes: the texts, and what is no UTF-8.
pub(crate) fn bytes() -> Vec<Vec<u8>> {
    let broken: [&[u8]; 7] =
        [b"\xff", b"\x80", b"a\xffb", b"\xc3\x28", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"];
    texts().into_iter().map(String::into_bytes).chain(broken.map(<[u8]>::to_vec)).collect()
}

/// Checks `holds` with each odd text, each of `valid`, and with texts near to them. As many of the latter as proptest is
/// told by `PROPTEST_CASES`, 256 otherwise.
pub(crate) fn hold(valid: &[&str], holds: impl Fn(&str) -> Result<(), TestCaseError>) {
    let seeds = texts().into_iter().chain(valid.iter().map(|text| (*text).to_owned()));
    for text in seeds {
        holds(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
    run(&near(valid), |text| holds(&text));
}

/// The same with bytes.
pub(crate) fn hold_bytes(valid: &[&[u8]], holds: impl Fn(&[u8]) -> Result<(), TestCaseError>) {
    let seeds = bytes().into_iter().chain(valid.iter().map(|bytes| bytes.to_vec()));
    for bytes in seeds {
        holds(&bytes).unwrap_or_else(|error| panic!("{:?}: {error}", String::from_utf8_lossy(&bytes)));
    }
    let valid: Vec<Vec<u8>> = valid.iter().map(|bytes| bytes.to_vec()).collect();
    let near = prop_oneof![
        spliced(valid, bytes()),
        select(bytes()),
        proptest::collection::vec(any::<u8>(), 0..64),
        "[ -~]{0,32}".prop_map(String::into_bytes),
    ];
    run(&near, |bytes| holds(&bytes));
}

/// Runs a property. A case that fails is in the message, and belongs into this file; it is not written beside the code.
pub(crate) fn run<S: Strategy>(strategy: &S, holds: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: std::fmt::Debug,
{
    let config = Config { failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(strategy, holds).unwrap_or_else(|failure| panic!("{failure}"));
}

/// Texts near to valid ones.
pub(crate) fn near(valid: &[&str]) -> impl Strategy<Value = String> + use<> {
    let all: Vec<Vec<u8>> = valid.iter().map(|text| text.as_bytes().to_vec()).collect();
    let odd = texts().into_iter().map(String::into_bytes).collect();
    let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let valid: Vec<String> = valid.iter().map(|text| (*text).to_owned()).collect();
    let twice = (select(valid.clone()), select(valid.clone())).prop_map(|(one, other)| one + &other);
    prop_oneof![
        2 => select(valid),
        1 => select(texts()),
        4 => spliced(all, odd).prop_map(lossy),
        1 => twice,
        1 => any::<String>(),
        1 => "[ -~]{0,24}",
    ]
}

/// A valid one with an odd one put into it, in place of some of its bytes or of none.
fn spliced(valid: Vec<Vec<u8>>, odd: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (select(valid), select(odd), any::<Index>(), 0_usize..3).prop_map(|(valid, odd, at, left_out)| {
        let at = at.index(valid.len() + 1);
        let rest = valid.len().min(at + left_out);
        [&valid[..at], &odd, &valid[rest..]].concat()
    })
}

#[test]
fn what_is_near_to_a_text_is_often_the_text_and_often_not() {
    let (mut same, mut other) = (0, 0);
    let count = std::cell::RefCell::new((&mut same, &mut other));
    run(&near(&["order.paid"]), |text| {
        let mut count = count.borrow_mut();
        *(if text == "order.paid" { &mut *count.0 } else { &mut *count.1 }) += 1;
        Ok(())
    });
    assert!(same > 0 && other > same, "{same} {other}");
}
