//! Destinations over https: which certificates are trusted, and what people are told when a handshake fails.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};
use serde_json::{Value, json};

use crate::harness::client::NewAccount;
use crate::harness::played::Played;
use crate::harness::room::{detail, ended, large};
use crate::harness::tls::{Authority, Identity};
use crate::harness::{Behaviour, Client, Receiver, Reply, Server, Setup};

const HERE: &[&str] = &["127.0.0.1", "localhost"];

struct Case {
    client: Client,
    account: NewAccount,
    authority: Authority,
    server: Server,
}

impl Case {
    /// A server that trusts an authority. Each delivery is tried once.
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(flags: &[&str]) -> Self {
        let setup = Setup::dev().flags(&["--retry-schedule="]).flags(flags);
        let authority = Authority::new("Test Root");
        let file = authority.file(setup.folder());
        let server = setup.flags(&["--ca-file", &file]).start();
        let client = server.client();
        Self { account: client.create_account("ada"), client, authority, server }
    }

    /// A delivery to this URL, after its only attempt.
    #[track_caller]
    fn delivery(&self, url: &str) -> Value {
        let destination = self.client.create_destination(&self.account, url, "POST", json!({}));
        let delivery = self.client.push_one(&self.account, "1");
        let delivery = self.client.wait_for_attempts(&delivery, 1);
        self.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
        delivery
    }

    /// The detail that people see when a receiver with this certificate gets no delivery.
    #[track_caller]
    fn refuses(&self, config: Arc<ServerConfig>) -> String {
        let receiver = Receiver::start_tls(config);
        let delivery = self.delivery(&receiver.url("/"));
        ended(&delivery, "exhausted", Value::Null, "tls");
        assert!(receiver.requests().is_empty(), "nothing is sent to one who is not trusted");
        detail(&delivery)
    }
}

#[track_caller]
fn says(detail: &str, words: &[&str]) {
    assert!(words.iter().all(|word| detail.contains(word)), "{words:?}: {detail}");
    assert!(!detail.contains('\n') && detail.chars().count() < 300, "{detail}");
}

#[test]
fn deliveries_arrive_over_both_versions_on_connections_that_are_kept() {
    let case = Case::new();
    for (version, protocol) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let receiver = Receiver::start_tls(case.authority.issue(HERE).config_of(&[version]));
        receiver.on("/in", Behaviour::Answer(Reply::status(200).body("thanks")));
        let destination =
            case.client.create_destination(&case.account, &receiver.url("/in"), "POST", json!({"X-A": "b"}));
        for nth in 1..=20 {
            let body = format!("{{\"n\": {nth}}}");
            case.client.push_with(&case.account.token, &[("prefer", "wait=20")], body.as_bytes()).expect(200);
            let request = receiver.requests_to("/in").remove(nth - 1);
            assert_eq!((request.body.as_slice(), request.headers.get("x-a")), (body.as_bytes(), Some("b")));
            assert!(request.headers.get("webhook-signature").is_some());
            assert_eq!(request.tls.unwrap().version, protocol);
        }
        assert!(receiver.connections() <= 2, "{} connections for 20 requests", receiver.connections());
        let large = large(900_000);
        let delivery = case.client.push_one(&case.account, &large);
        case.client.wait_for_state(&delivery, "succeeded");
        assert_eq!(receiver.requests_to("/in").remove(20).body, large.as_bytes());
        case.client.delete(&format!("/v1/destinations/{destination}")).expect(204);
    }
}

#[test]
fn a_new_connection_to_a_known_server_is_resumed() {
    let case = Case::new();
    for version in [&TLS12, &TLS13] {
        let receiver = Receiver::start_tls(case.authority.issue(HERE).config_of(&[version]));
        let url = receiver.url_at("localhost", "/in");
        receiver.on("/in", Behaviour::Answer(Reply::status(200).header("connection", "close")));
        for _ in 0..3 {
            ended(&case.delivery(&url), "succeeded", 200, Value::Null);
        }
        let resumed: Vec<bool> = receiver.requests().into_iter().map(|request| request.tls.unwrap().resumed).collect();
        assert_eq!((resumed, receiver.connections()), (vec![false, true, true], 3), "{version:?}");
    }
}

#[test]
fn a_stale_connection_burns_no_attempt() {
    let case = Case::new();
    let receiver = Receiver::start_tls(case.authority.issue(HERE).config());
    receiver.on("/in", Behaviour::ResetWhenReused(Reply::status(200)));
    case.client.create_destination(&case.account, &receiver.url("/in"), "POST", json!({}));
    for number in 0..6 {
        let delivery = case.client.push_one(&case.account, number.to_string());
        let delivery = case.client.wait_for_state(&delivery, "succeeded");
        assert_eq!(delivery["attempt_count"], 1, "{delivery}");
    }
    assert!(receiver.requests().len() > 6, "no connection was used twice, so none was stale");
}

#[test]
fn a_server_is_asked_for_by_its_name_and_not_by_an_address() {
    let case = Case::new();
    let receiver = Receiver::start_tls(case.authority.issue(HERE).config());
    for (host, asked) in [("localhost", Some("localhost")), ("LOCALHOST", Some("localhost")), ("127.0.0.1", None)] {
        ended(&case.delivery(&receiver.url_at(host, "/in")), "succeeded", 200, Value::Null);
        let name = receiver.requests().pop().unwrap().tls.unwrap().name;
        assert_eq!(name.as_deref(), asked, "{host}");
    }
    let Some(receiver) = Receiver::start_tls_v6(case.authority.issue(&["::1"]).config()) else { return };
    ended(&case.delivery(&receiver.url_at("[::1]", "/in")), "succeeded", 200, Value::Null);
    assert_eq!(receiver.requests().pop().unwrap().tls.unwrap().name, None);
}

#[test]
fn an_international_name_is_asked_for_as_dns_has_it() {
    let setup = Setup::dev().flags(&["--retry-schedule="]);
    let authority = Authority::new("Test Root");
    let hosts = setup.folder().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 xn--bcher-kva.example\n").unwrap();
    let wrapper =
        ["unshare", "-rm", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\"", hosts.to_str().unwrap()];
    let probe = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output();
    if !probe.as_ref().is_ok_and(|ended| ended.status.success()) {
        // Written past the test harness, which hides the output of tests that pass.
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: no names of its own here, international ones are NOT tested: {probe:?}\n"
        );
        return;
    }
    let file = authority.file(setup.folder());
    let server = setup.flags(&["--ca-file", &file]).through(&wrapper).start();
    let client = server.client();
    let account = client.create_account("ada");
    let receiver = Receiver::start_tls(authority.issue(&["xn--bcher-kva.example"]).config());
    client.create_destination(&account, &receiver.url_at("b\u{fc}cher.example", "/in"), "POST", json!({}));
    let delivery = client.push_one(&account, "1");
    client.wait_for_state(&delivery, "succeeded");
    let request = receiver.requests().remove(0);
    assert_eq!(request.tls.unwrap().name.as_deref(), Some("xn--bcher-kva.example"));
    let host = format!("xn--bcher-kva.example:{}", receiver.port());
    assert_eq!(request.headers.get("host"), Some(host.as_str()));
}

#[test]
fn a_certificate_for_another_name_is_refused_with_both_names() {
    let case = Case::new();
    let detail = case.refuses(case.authority.issue(&["other.example", "*.example.net", "10.0.0.1"]).config());
    says(&detail, &["for other.example, *.example.net, 10.0.0.1 and not for 127.0.0.1", "correct the host in the URL"]);
}

#[test]
fn a_certificate_out_of_its_time_is_refused_with_the_day() {
    let case = Case::new();
    let between = |from, to| {
        move |params: &mut CertificateParams| {
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        }
    };
    let expired = case.refuses(case.authority.issue_with(HERE, between(2019, 2020)).config());
    says(&expired, &["has expired (2020-01-01", "renew it"]);
    let early = case.refuses(case.authority.issue_with(HERE, between(2200, 2201)).config());
    says(&early, &["not valid before 2200-01-01", "clocks"]);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_with_what_to_do() {
    let case = Case::new();
    let itself = case.refuses(Identity::self_signed(HERE).config());
    says(&itself, &["signed by itself", "--ca-file"]);

    let stranger = Authority::new("Strange Root");
    let unknown = case.refuses(stranger.intermediate("Strange Issuer").issue(HERE).config());
    says(&unknown, &["authority that is not known (Strange Issuer)", "--ca-file"]);

    // Two causes look the same here: a receiver that does not send its intermediate, and a private root that is not
    // known.
    let intermediate = case.authority.intermediate("Test Issuer");
    let alone = case.refuses(intermediate.issue(HERE).without_chain().config());
    says(&alone, &["without the one that signed it (Test Issuer)", "whole chain", "--ca-file"]);
    let receiver = Receiver::start_tls(intermediate.issue(HERE).config());
    ended(&case.delivery(&receiver.url("/")), "succeeded", 200, Value::Null);
}

#[test]
fn a_certificate_of_another_kind_is_refused() {
    let case = Case::new();
    says(&case.refuses(case.authority.as_server().config()), &["certificate of an authority as its own"]);
    let for_clients = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let detail = case.refuses(case.authority.issue_with(HERE, for_clients).config());
    says(&detail, &["not for servers", "serverAuth"]);
}

#[test]
fn a_certificate_signed_by_itself_is_taken_where_it_is_given() {
    let identity = Identity::self_signed(HERE);
    let setup = Setup::dev();
    let file = setup.folder().join("own.pem");
    std::fs::write(&file, identity.pem()).unwrap();
    let server = setup.variable("DATA_PUSHER_CA_FILE", file.to_str().unwrap()).start();
    let client = server.client();
    let account = client.create_account("ada");
    let receiver = Receiver::start_tls(identity.config());
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let delivery = client.push_one(&account, "1");
    client.wait_for_state(&delivery, "succeeded");
}

#[test]
fn a_certificate_of_ours_that_is_asked_for_is_not_there() {
    let case = Case::new();
    for version in [&TLS12, &TLS13] {
        let identity = case.authority.issue(HERE);
        let receiver = Receiver::start_tls(identity.config_that_asks(version, &case.authority, false));
        let delivery = case.delivery(&receiver.url("/"));
        ended(&delivery, "exhausted", Value::Null, "tls");
        says(&detail(&delivery), &["asks for a client certificate", "without one"]);
        let receiver = Receiver::start_tls(identity.config_that_asks(version, &case.authority, true));
        ended(&case.delivery(&receiver.url("/")), "succeeded", 200, Value::Null);
    }
}

#[test]
fn without_the_flag_only_public_authorities_are_known() {
    let server = Setup::dev().flags(&["--retry-schedule="]).start();
    let client = server.client();
    let account = client.create_account("ada");
    let receiver = Receiver::start_tls(Authority::new("Test Root").issue(HERE).config());
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    let delivery = client.push_one(&account, "1");
    ended(&client.wait_for_state(&delivery, "exhausted"), "exhausted", Value::Null, "tls");
}

/// How far a receiver goes in a handshake.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Accepts the connection.
    Accepts,
    /// Reads the client's hello.
    Hears,
    /// Sends a part of its own hello.
    Begins,
    /// Sends the whole of its first flight.
    Speaks,
}

/// What the receiver does then.
#[derive(Debug, Clone, Copy)]
enum End {
    Stalls,
    Closes,
    Resets,
}

fn plays(config: &Arc<ServerConfig>, step: Step, end: End, mut stream: TcpStream) {
    let mut tls = ServerConnection::new(Arc::clone(config)).unwrap();
    if !matches!(step, Step::Accepts) {
        while !tls.wants_write() {
            if tls.read_tls(&mut stream).unwrap_or_default() == 0 || tls.process_new_packets().is_err() {
                return;
            }
        }
    }
    let mut flight = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut flight).unwrap();
    }
    let said = match step {
        Step::Accepts | Step::Hears => &[],
        Step::Begins => &flight[..30],
        Step::Speaks => flight.as_slice(),
    };
    let _ = stream.write_all(said);
    match end {
        End::Closes => {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        End::Stalls => {}
        End::Resets => return crate::harness::tls::Stream::Plain(stream).reset(),
    }
    // Until the peer has given up. What the peer sends meanwhile is read.
    while stream.read(&mut [0; 1024]).is_ok_and(|some| some > 0) {}
}

#[test]
fn a_stall_or_an_end_at_each_step_of_the_handshake_is_told() {
    let case = Case::with(&["--timeout", "500ms"]);
    for version in [&TLS12, &TLS13] {
        let config = case.authority.issue(HERE).config_of(&[version]);
        for step in [Step::Accepts, Step::Hears, Step::Begins, Step::Speaks] {
            for end in [End::Stalls, End::Closes, End::Resets] {
                let config = Arc::clone(&config);
                let address = Played::raw(move |stream, _| plays(&config, step, end, stream));
                let delivery = case.delivery(&format!("https://{address}/"));
                let error = if matches!(end, End::Stalls) { "timeout" } else { "reset" };
                ended(&delivery, "exhausted", Value::Null, error);
                let detail = detail(&delivery);
                // With TLS 1.3 the client has finished the handshake by then and waits for the answer. A RST may arrive
                // before that, and one at the start before the handshake begins.
                let done = matches!(step, Step::Speaks) && *version == TLS13;
                if !matches!((step, end), (Step::Accepts | Step::Speaks, End::Resets)) {
                    assert_eq!(detail.contains("TLS handshake"), !done, "{step:?} {end:?} {version:?}: {detail}");
                }
                if matches!(step, Step::Accepts | Step::Hears) && !matches!(end, End::Resets) {
                    says(&detail, &["nothing came from the receiver", "check that it speaks TLS at this port"]);
                }
                assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1);
            }
        }
    }
}

#[test]
fn what_is_no_tls_is_told() {
    let case = Case::new();
    for (bytes, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..], &["speaks no TLS at this port", "http://"][..]),
        (b"SSH-2.0-OpenSSH_9.6\r\n", &["speaks no TLS at this port"]),
        // Alerts: no common version, no common cipher, unknown name.
        (b"\x15\x03\x01\x00\x02\x02\x46", &["no version of TLS from 1.2 on"]),
        (b"\x15\x03\x03\x00\x02\x02\x28", &["alert HandshakeFailure"]),
        (b"\x15\x03\x03\x00\x02\x02\x70", &["knows no host `127.0.0.1`", "correct the URL"]),
    ] {
        let address = Played::raw(move |mut stream, _| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            while stream.read(&mut [0; 1024]).is_ok_and(|some| some > 0) {}
        });
        let delivery = case.delivery(&format!("https://{address}/"));
        ended(&delivery, "exhausted", Value::Null, "tls");
        says(&detail(&delivery), words);
    }
}

#[test]
fn an_answer_that_ends_without_the_word_for_it_is_whole_if_its_head_says_so() {
    let case = Case::new();
    let receiver = Receiver::start_tls(case.authority.issue(HERE).config());
    let cases: [(&[u8], &str); 3] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole", ""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort", "broke off after 5 of 50 bytes"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nsome", "close_notify"),
    ];
    for (bytes, words) in cases {
        receiver.on("/in", Behaviour::Cut(bytes.to_vec()));
        let delivery = case.delivery(&receiver.url("/in"));
        ended(&delivery, "succeeded", 200, Value::Null);
        assert!(detail(&delivery).contains(words) && detail(&delivery).is_empty() == words.is_empty(), "{delivery}");
    }
    receiver.on("/in", Behaviour::Cut(b"HTTP/1.1 20".to_vec()));
    let delivery = case.delivery(&receiver.url("/in"));
    ended(&delivery, "exhausted", Value::Null, "reset");
    says(&detail(&delivery), &["close_notify", "before the answer's head was whole"]);
}

#[test]
fn a_test_tells_of_the_certificate_too() {
    let case = Case::new();
    let receiver = Receiver::start_tls(Identity::self_signed(HERE).config());
    let destination = case.client.create_destination(&case.account, &receiver.url("/in"), "POST", json!({}));
    let attempt = case.client.post(&format!("/v1/destinations/{destination}/test"), &json!({})).expect(200).json();
    assert_eq!(attempt["error"], "tls");
    says(attempt["detail"].as_str().unwrap(), &["signed by itself", "--ca-file"]);
    assert!(case.server.log.lines().iter().all(|line| !line.contains("panicked")));
}

#[test]
fn a_file_of_authorities_that_is_no_use_ends_the_start_with_one_line() {
    let setup = Setup::dev();
    let write = |name: &str, text: &str| {
        let path = setup.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = write("good.pem", &Authority::new("Test Root").pem());
    for (path, words) in [
        (setup.folder().join("nowhere.pem").display().to_string(), "cannot be read"),
        (setup.folder().display().to_string(), "cannot be read"),
        (write("empty.pem", ""), "holds no certificate"),
        (write("text.pem", "hello"), "holds no certificate"),
        (write("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "holds no certificate"),
        (write("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "damaged"),
        (write("odd.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"), "is not a PEM file"),
    ] {
        let ended = setup.clone().flags(&["--ca-file", &good, "--ca-file", &path]).run();
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let said = ended.stderr.trim();
        assert!(said.contains(&path) && said.contains(words) && !said.contains('\n'), "{said}");
        assert!(!setup.database_path().exists(), "nothing was begun");
    }
}
