//! Arbitrary heads against the running binary: lines of requests, lengths, tokens and cookies. Bodies are in `fuzz`.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::fuzz::runner;
use crate::harness::client::INCOMING;
use crate::harness::{DEADLINE, Server, Setup, wire};

/// What stands in a head in place of what is meant.
const ODD: [&[u8]; 30] = [
    b"",
    b" ",
    b"\t",
    b"\0",
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\r\n ",
    b":",
    b": x",
    b"\xff",
    b"\xc3\x28",
    b"\x7f",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/9.9",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"%00",
    b"%2e%2e%2f",
    b"//evil.example/",
    b"http://evil.example/",
    b"*",
    b"host: other\r\n",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"connection: upgrade\r\nupgrade: h2c\r\n",
    b"expect: 100-continue\r\n",
    b"content-length: 99999999999999999999\r\n",
    b"authorization: Bearer a\r\nauthorization: Bearer b\r\n",
];

/// Heads near to good ones, and bytes.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let good = select(vec![
        b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        b"GET /v1/accounts?limit=5 HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n".to_vec(),
        b"GET /v1/accounts/acc_1 HTTP/1.0\r\ncookie: data_pusher_1=a\r\n\r\n".to_vec(),
        b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
            .to_vec(),
        b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
    ]);
    let odd = prop_oneof![select(ODD.to_vec()).prop_map(<[u8]>::to_vec), proptest::collection::vec(any::<u8>(), 0..6)];
    let spliced = (good, odd, any::<Index>(), 0_usize..4).prop_map(|(good, odd, at, left_out)| {
        let at = at.index(good.len() + 1);
        [&good[..at], &odd, &good[good.len().min(at + left_out)..]].concat()
    });
    let bytes = proptest::collection::vec(any::<u8>(), 0..200);
    let lines = r"[A-Z]{1,8} [!-~]{1,40} HTTP/1\.[01](\r\n[a-zA-Z:-]{1,12}: ?[ -~]{0,20}){0,4}\r\n\r\n"
        .prop_map(String::into_bytes);
    prop_oneof![6 => spliced, 1 => bytes, 3 => lines]
}

#[test]
fn whatever_begins_a_connection_the_answer_is_a_designed_one_and_the_server_lives_on() {
    let server = Setup::guarded().start();
    let ran = runner(400).run(&head(), |bytes| {
        if let Some(answer) = wire::send_and_finish(server.address, &bytes) {
            let designed = [200, 204, 303, 400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 421, 422, 429, 431];
            // An interim answer (RFC 9110, 10.1.1), for who asks for it.
            let goes_on = answer.status == 100 && String::from_utf8_lossy(&bytes).contains("100-continue");
            prop_assert!(designed.contains(&answer.status) || goes_on, "{:?}", answer);
            if answer.status >= 400 && !answer.body.is_empty() && !answer.text().starts_with("<!") {
                answer.problem(answer.status);
            }
        }
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
    server.client().get("/readyz").expect(200);
    assert!(!server.log.lines().iter().any(|line| line.contains("panicked")));
}

/// Everything that comes back for `bytes` on one connection.
fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    // A reset ends the answers too.
    let _ = stream.read_to_end(&mut answers);
    String::from_utf8_lossy(&answers).into_owned()
}

#[test]
fn whatever_lengths_a_head_gives_its_body_ends_in_one_place() {
    let server = Setup::dev().start();
    let client = server.client();
    let account = client.create_account("ada");
    let token = &account.token;
    // Two readers that disagree would take what is inside for a request of its own.
    let inner = format!(
        "POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {token}\r\ncontent-type: application/json\r\n\
         content-length: 8\r\n\r\n\"hidden\""
    );
    let line = prop_oneof![
        select(vec![
            "content-length: 2",
            "content-length: 2, 2",
            "content-length: +2",
            "content-length: 0x2",
            "content-length:2 ",
            "content-length : 2",
            "content-length: 0",
            "content-length: 9999",
            "transfer-encoding: chunked",
            "transfer-encoding: Chunked ",
            "transfer-encoding: identity",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: chunked, chunked",
            "transfer-encoding: xchunked",
            "transfer-encoding:\tchunked",
            "x: y",
        ])
        .prop_map(str::to_owned),
        "(content-length|transfer-encoding): ?[ -~]{0,8}",
    ];
    let body = select(vec![
        "{}",
        "2\r\n{}\r\n0\r\n\r\n",
        "0\r\n\r\n",
        "2;x=y\r\n{}\r\n0\r\nx: y\r\n\r\n",
        "02\r\n{}\r\n0\r\n\r\n",
    ]);
    let ran = runner(300).run(&(proptest::collection::vec(line, 0..3), body), |(lines, body)| {
        let before = client.all(&format!("/v1/accounts/{}/events?limit=200", account.id)).len();
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let bytes = format!(
            "POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {token}\r\ncontent-type: application/json\r\n\
             {lines}\r\n{body}{inner}"
        );
        let answers = exchange(&server, bytes.as_bytes());
        let taken = answers.matches("HTTP/1.1 202").count();
        let after = client.all(&format!("/v1/accounts/{}/events?limit=200", account.id)).len();
        prop_assert_eq!(after - before, taken, "{}", answers);
        // What comes behind an answer that closes is not read.
        let begins: Vec<usize> = ["HTTP/1.1 2", "HTTP/1.1 4"]
            .iter()
            .flat_map(|first| answers.match_indices(first))
            .map(|(at, _)| at)
            .collect();
        let last = begins.iter().max().copied().unwrap_or_default();
        prop_assert!(!answers[..last].contains("connection: close"), "{}", answers);
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn whatever_a_stranger_shows_in_place_of_a_token_or_session_nothing_opens() {
    let server = Setup::guarded().start();
    let admin_token = server.admin_token().unwrap();
    let ask = |lines: &[u8]| {
        let head = [b"GET /v1/accounts HTTP/1.1\r\nhost: localhost\r\n", lines, b"\r\n\r\n"].concat();
        wire::send_and_finish(server.address, &head).map_or(0, |answer| answer.status)
    };
    let good = format!("authorization: Bearer {admin_token}");
    assert_eq!(ask(good.as_bytes()), 200, "this test would see it open");
    let port = server.address.port();
    let name = prop_oneof![
        Just("cookie: ".to_owned()),
        Just(format!("cookie: data_pusher_{port}=")),
        Just(format!("cookie: __Host-data_pusher_{port}=")),
        Just("authorization: Basic ".to_owned()),
        Just("authorization: Bearer\t".to_owned()),
        Just(format!("authorization: {admin_token}")),
        Just(format!("cl-xtoken: {admin_token}")),
        Just(format!("x-authorization: Bearer {admin_token}")),
    ];
    let value = prop_oneof!["[!-~]{0,48}".prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..48)];
    let ran = runner(300).run(&(name, value), |(name, value)| {
        let value: Vec<u8> = value.into_iter().filter(|byte| !b"\r\n".contains(byte)).collect();
        let status = ask(&[name.as_bytes(), &value].concat());
        prop_assert!([0, 400, 401].contains(&status), "{}", status);
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
    // Wrong ones wait, so there are few of them, all at once.
    let (begin, end) = admin_token.split_at(20);
    let near = [
        format!("Bearer {begin}"),
        format!("Bearer {admin_token}x"),
        format!("Bearer {begin} {end}"),
        format!("Bearer {}", admin_token.to_uppercase()),
        format!("Bearer \"{admin_token}\""),
        format!("Bearer {admin_token},"),
    ];
    std::thread::scope(|scope| {
        for value in &near {
            let ask = &ask;
            scope.spawn(move || assert_eq!(ask(format!("authorization: {value}").as_bytes()), 401, "{value}"));
        }
    });
    for lines in [format!("{good}\r\n{good}"), format!("{good}\r\nauthorization: Basic a")] {
        assert_eq!(ask(lines.as_bytes()), 401, "{lines}");
    }
}
