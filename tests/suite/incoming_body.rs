//! Bodies of the data handler: their length, their encoding, and what counts as JSON.

use crate::harness::client::{INCOMING, NewAccount};
use crate::harness::{Answer, Client, Server, Setup, wire};

const MIB: usize = 1024 * 1024;

struct Case {
    client: Client,
    account: NewAccount,
    server: Server,
}

impl Case {
    fn new(flags: &[&str]) -> Self {
        let server = Setup::dev().flags(flags).start();
        let client = server.client();
        Self { account: client.create_account("ada"), client, server }
    }

    /// The head of a push, up to the header that gives the body's length.
    fn head(&self) -> String {
        let token = &self.account.token;
        format!(
            "POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {token}\r\ncontent-type: application/json\r\n"
        )
    }

    fn with_length(&self, length: usize, body: &[u8]) -> Vec<u8> {
        [format!("{}content-length: {length}\r\n\r\n", self.head()).as_bytes(), body].concat()
    }

    fn chunked(&self, body: &[u8]) -> Vec<u8> {
        [format!("{}transfer-encoding: chunked\r\n\r\n", self.head()).as_bytes(), body].concat()
    }

    fn events(&self) -> usize {
        self.client.all(&format!("/v1/accounts/{}/events", self.account.id)).len()
    }
}

/// A JSON string of exactly `bytes` bytes.
fn document(bytes: usize) -> Vec<u8> {
    format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes()
}

#[track_caller]
fn too_large(answer: Option<Answer>) {
    let answer = answer.expect("the answer can be read");
    assert_eq!(answer.problem(413)["title"], "Payload Too Large");
}

#[test]
fn a_mebibyte_is_taken_and_a_byte_more_is_not() {
    let case = Case::new(&[]);
    case.client.push_with(&case.account.token, &[], &document(MIB)).expect(202);
    too_large(Some(case.client.push_with(&case.account.token, &[], &document(MIB + 1))));
    let chunks = |body: &[u8]| wire::chunked(&body.chunks(100_000).collect::<Vec<_>>());
    wire::send(case.server.address, &case.chunked(&chunks(&document(MIB)))).expect("an answer").expect(202);
    too_large(wire::send(case.server.address, &case.chunked(&chunks(&document(MIB + 1)))));
    assert_eq!(case.events(), 2);
}

#[test]
fn the_refusal_of_a_long_body_can_be_read_by_a_client_that_sends_all_first() {
    let case = Case::new(&[]);
    for megabytes in [2, 5, 8] {
        let body = document(megabytes * 1_000_000);
        too_large(wire::send_whole(case.server.address, &case.with_length(body.len(), &body)));
        too_large(wire::send_whole(
            case.server.address,
            &case.chunked(&wire::chunked(&body.chunks(65_536).collect::<Vec<_>>())),
        ));
    }
    assert_eq!(case.events(), 0);
}

#[test]
fn a_refused_body_that_never_comes_to_its_end_is_not_waited_for() {
    let case = Case::new(&[]);
    // The connection stays open, so only the limit of draining lets the answer come.
    too_large(wire::send(case.server.address, &case.with_length(5 * MIB, &document(2 * MIB))));
    let one_chunk = [b"500000\r\n".as_slice(), &vec![b'x'; 2 * MIB]].concat();
    too_large(wire::send(case.server.address, &case.chunked(&one_chunk)));
}

#[test]
fn the_limit_is_what_max_body_says() {
    let case = Case::new(&["--max-body", "1000"]);
    case.client.push_with(&case.account.token, &[], &document(1_000)).expect(202);
    too_large(Some(case.client.push_with(&case.account.token, &[], &document(1_001))));
}

#[test]
fn a_body_that_ends_early_is_not_taken() {
    let case = Case::new(&[]);
    for bytes in [
        case.with_length(100, b"{}"),
        case.chunked(b"5\r\n{}"),
        case.chunked(b"2\r\n{}\r\n"),
        case.chunked(b"xyz\r\n{}\r\n0\r\n\r\n"),
        case.chunked(b"-2\r\n{}\r\n0\r\n\r\n"),
        case.chunked(b"fffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        case.chunked(b"2\r\n{}XX0\r\n\r\n"),
    ] {
        // No answer is right too. A 202 would be wrong.
        if let Some(answer) = wire::send_and_finish(case.server.address, &bytes) {
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
    }
    assert_eq!(case.events(), 0);
    case.client.push(&case.account, "{}");
}

#[test]
fn two_lengths_are_not_taken() {
    let case = Case::new(&[]);
    let head = case.head();
    for lengths in [
        "content-length: 2\r\ncontent-length: 3\r\n\r\n{}1",
        "content-length: 2, 3\r\n\r\n{}1",
        "content-length: -2\r\n\r\n{}",
        "content-length: x\r\n\r\n{}",
        "content-length: 99999999999999999999999\r\n\r\n{}",
        "transfer-encoding: gzip\r\n\r\n{}",
    ] {
        let answer = wire::send_and_finish(case.server.address, format!("{head}{lengths}").as_bytes());
        assert!(answer.as_ref().is_none_or(|answer| answer.status / 100 == 4), "{lengths}: {answer:?}");
    }
    assert_eq!(case.events(), 0);
}

#[test]
fn what_is_not_one_json_document_is_400_and_says_where_it_broke() {
    let case = Case::new(&[]);
    for body in [
        "",
        " ",
        "{",
        "[1,",
        "\"abc",
        "{\"a\":1}x",
        "{} {}",
        "[1] ,",
        "nul",
        "True",
        "undefined",
        "NaN",
        "-Infinity",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "0x10",
        "{'a':1}",
        "{a:1}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "// c\n{}",
        "\"a\u{1}b\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "{\"\\ud800x\":1}",
        "\"\\ud800\\ud800\"",
        "a=1&b=2",
        "<x/>",
        "\u{feff}{}",
        "{}\u{0}",
    ] {
        let answer = case.client.push_with(&case.account.token, &[], body.as_bytes());
        assert_eq!(answer.problem(400)["title"], "Invalid Data", "{body:?}");
    }
    for body in
        [b"\xFF".as_slice(), b"\"\xC3\"", b"\"\xC0\x80\"", b"\"\xED\xA0\x80\"", b"{\"a\":\"\xFE\"}", b"\xFF\xFE{\0}\0"]
    {
        case.client.push_with(&case.account.token, &[], body).problem(400);
    }
    let detail = case.client.push_with(&case.account.token, &[], b"{\"a\":1,\n}").problem(400)["detail"].to_string();
    assert!(detail.contains("line 2"), "{detail}");
    assert_eq!(case.events(), 0);
}

#[test]
fn any_top_level_value_is_taken() {
    let case = Case::new(&[]);
    for body in [
        "null",
        "true",
        "false",
        "0",
        "-0.0",
        "1e999",
        "\"\"",
        "\"\\ud83d\\ude00\"",
        "[]",
        "{}",
        " \r\n\t{} \r\n\t",
        "{\"a\":1,\"a\":2}",
    ] {
        case.client.push_with(&case.account.token, &[], body.as_bytes()).expect(202);
    }
    assert_eq!(case.events(), 12);
}

#[test]
fn nesting_is_taken_down_to_128_and_no_deeper() {
    let case = Case::new(&[]);
    let arrays = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    for nested in [arrays(128), objects(128)] {
        case.client.push_with(&case.account.token, &[], nested.as_bytes()).expect(202);
    }
    for nested in [arrays(129), objects(129), arrays(100_000), "[".repeat(500_000)] {
        case.client.push_with(&case.account.token, &[], nested.as_bytes()).problem(400);
    }
}

#[test]
fn a_client_that_asks_before_sending_is_told_to_go_on() {
    let case = Case::new(&[]);
    let head = format!("{}expect: 100-continue\r\ncontent-length: 2\r\n\r\n{{}}", case.head());
    let answer = wire::send(case.server.address, head.as_bytes()).expect("an answer");
    assert!(matches!(answer.status, 100 | 202), "{}", answer.status);
    assert_eq!(crate::harness::wait_until("it is taken", || Some(case.events()).filter(|count| *count > 0)), 1);
}
