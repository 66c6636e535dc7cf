//! Where deliveries may go: the form of a target URL, and the addresses that are refused.

use serde_json::{Value, json};

use crate::harness::client::text;
use crate::harness::{Answer, Receiver, Server, Setup};

/// Addresses that only a server on the inside can reach, in every notation.
const INSIDE: [&str; 32] = [
    "127.0.0.1",
    "127.9.9.9",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "0",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a00:1]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[64:ff9b::7f00:1]",
    "localhost",
    "LOCALHOST",
];

fn create(server: &Server, url: &str) -> Answer {
    let client = server.client();
    let accounts = client.all("/v1/accounts");
    let account =
        accounts.first().map_or_else(|| client.create_account("ada").id, |account| text(account, "account_id"));
    let body = json!({"url": url, "http_method": "POST", "headers": {}});
    client.post(&format!("/v1/accounts/{account}/destinations"), &body)
}

#[track_caller]
fn refused_with_the_way_out(answer: &Answer, host: &str) {
    assert_eq!(answer.faults(), ["url"], "{host}");
    assert!(answer.text().contains("--allow-network"), "{host}: {}", answer.text());
}

#[test]
fn addresses_of_the_inside_are_refused_and_the_answer_names_the_flag() {
    let server = Setup::guarded().start();
    for host in INSIDE.into_iter().chain(["localhost.", "a.localhost", "A.B.LocalHost", "1.2.localhost."]) {
        refused_with_the_way_out(&create(&server, &format!("http://{host}/in")), host);
        refused_with_the_way_out(&create(&server, &format!("https://{host}:8443/in")), host);
    }
}

#[test]
fn addresses_of_the_outside_and_names_are_taken() {
    let server = Setup::guarded().start();
    for host in
        ["8.8.8.8", "134744072", "[2606:4700::1111]", "example.com", "localhost.example.com", "mylocalhost", "intranet"]
    {
        create(&server, &format!("http://{host}/in")).expect(201);
    }
}

#[test]
fn a_change_is_guarded_like_a_creation() {
    let server = Setup::guarded().start();
    let client = server.client();
    let created = create(&server, "http://example.com/in").expect(201).json();
    let path = format!("/v1/destinations/{}", text(&created, "destination_id"));
    refused_with_the_way_out(&client.patch(&path, &json!({"url": "http://127.0.0.1/"})), "patch");
    let whole = json!({"url": "http://169.254.169.254/", "http_method": "GET", "headers": {}});
    refused_with_the_way_out(&client.put(&path, &whole), "put");
    assert_eq!(client.get(&path).expect(200).json()["url"], "http://example.com/in");
}

#[test]
fn allow_network_opens_what_it_names_and_nothing_else() {
    let server = Setup::guarded().flags(&["--allow-network", "10.1.0.0/16", "--allow-network", "fd00::/8"]).start();
    create(&server, "http://10.1.2.3/").expect(201);
    create(&server, "http://[fd12::1]/").expect(201);
    for host in ["10.2.0.1", "127.0.0.1", "[fe80::1]", "192.168.0.1"] {
        refused_with_the_way_out(&create(&server, &format!("http://{host}/")), host);
    }
    let server = Setup::guarded().variable("DATA_PUSHER_ALLOW_NETWORK", "10.1.0.0/16,192.168.0.0/16").start();
    create(&server, "http://10.1.2.3/").expect(201);
    create(&server, "http://192.168.0.1/").expect(201);
    refused_with_the_way_out(&create(&server, "http://10.2.0.1/"), "10.2.0.1");
}

#[test]
fn dev_opens_loopback_and_nothing_else() {
    let server = Setup::dev().start();
    for host in ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "a.localhost"] {
        create(&server, &format!("http://{host}:9/")).expect(201);
    }
    for host in ["10.0.0.1", "192.168.1.1", "169.254.169.254", "[fe80::1]", "224.0.0.1"] {
        refused_with_the_way_out(&create(&server, &format!("http://{host}/")), host);
    }
}

#[test]
fn allow_network_is_enough_to_deliver_to_loopback() {
    let receiver = Receiver::start();
    let server = Setup::guarded().flags(&["--allow-network", "127.0.0.0/8"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    client.push(&account, "{}");
    receiver.wait_for("/in", 1);
}

#[test]
fn the_address_really_dialled_is_guarded_too() {
    let receiver = Receiver::start();
    let mut server = Setup::dev().flags(&["--retry-schedule", "50ms"]).start();
    let client = server.client();
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    server.terminate();
    server.start_again_as(&server.setup().clone().without_dev());
    let client = server.client();
    let delivery = client.push_one(&account, "{}");
    let delivery = client.wait_for_state(&delivery, "exhausted");
    assert_eq!((&delivery["error"], &delivery["status_code"]), (&json!("refused_address"), &Value::Null));
    assert_eq!(delivery["attempt_count"], 2);
    assert!(delivery["attempts"].as_array().unwrap().iter().all(|attempt| attempt["error"] == "refused_address"));
    assert_eq!(receiver.connections(), 0);
}

#[test]
fn the_server_itself_is_no_destination_though_loopback_is_open() {
    let server = Setup::dev().start();
    let port = server.address.port();
    for host in
        ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST.", "a.localhost"]
    {
        let answer = create(&server, &format!("http://{host}:{port}/v1/accounts"));
        assert_eq!(answer.faults(), ["url"], "{host}");
        create(&server, &format!("http://{host}:9/v1/accounts")).expect(201);
    }
}

#[test]
fn urls_that_only_a_lenient_parser_mends_are_refused() {
    let server = Setup::dev().start();
    for url in [
        "",
        "example.com",
        "//example.com/",
        "/in",
        "http:",
        "http:/example.com",
        "http:///example.com",
        "http:////example.com",
        "http:example.com",
        "http://",
        "http:\\\\example.com\\",
        "http://example.com\\in",
        " http://example.com/",
        "http://example.com/ ",
        "http://exam ple.com/",
        "http://example.com/a b",
        "http://example.com/\t",
        "ht\ttp://example.com/",
        "http://example.com/\n",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ws://example.com/",
        "http://user@example.com/",
        "http://user:pass@example.com/",
        "http://@example.com/",
        "http://:80/",
        "http://example.com:65536/",
        "http://example.com:99999999999/",
        "http://example.com:x/",
        "http://example.com:-1/",
        "http://[::1/",
        "http://1.2.3.4.5/",
        "http://256.256.256.256/",
        "http://%00/",
        "http://ex%20ample.com/",
        "unix:socket",
    ] {
        assert_eq!(create(&server, url).faults(), ["url"], "{url:?}");
    }
}

#[test]
fn the_parsed_form_is_what_is_stored() {
    let server = Setup::dev().start();
    for (url, stored) in [
        ("HTTP://EXAMPLE.com:80/a/../b", "http://example.com/b"),
        ("https://example.com", "https://example.com/"),
        ("http://2130706433:9/", "http://127.0.0.1:9/"),
        ("http://b\u{fc}cher.example/\u{e4}?\u{e4}=\u{f6}", "http://xn--bcher-kva.example/%C3%A4?%C3%A4=%C3%B6"),
    ] {
        let created = create(&server, url).expect(201).json();
        assert_eq!(created["url"], stored);
        let path = format!("/v1/destinations/{}", text(&created, "destination_id"));
        assert_eq!(server.client().get(&path).expect(200).json()["url"], stored);
    }
}

#[test]
fn a_refused_url_with_a_password_is_not_repeated() {
    let server = Setup::dev().start();
    let answer = create(&server, "http://user:hunter2@example.com/");
    assert_eq!(answer.faults(), ["url"]);
    assert!(!answer.text().contains("hunter2"), "{}", answer.text());
}
