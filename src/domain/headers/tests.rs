use proptest::prelude::*;

use super::*;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn headers(list: &[(&str, &str)]) -> Headers {
    Headers::parse(pairs(list)).expect("valid headers")
}

fn fields(list: &[(&str, &str)]) -> Vec<String> {
    Headers::parse(pairs(list)).expect_err("a fault").into_iter().map(|fault| fault.field).collect()
}

fn change(list: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
}

#[test]
fn common_headers_are_taken_in_order_and_as_written() {
    let list =
        [("X-Id", "7"), ("content-type", "text/plain; charset=utf-8"), ("User-Agent", "me/1 (a\tb)"), ("X-E", "")];
    let headers = headers(&list);
    assert!(headers.iter().eq(list));
    assert_eq!((headers.len(), headers.is_empty()), (4, false));
    assert_eq!(headers.get("CONTENT-TYPE"), Some("text/plain; charset=utf-8"));
    assert_eq!(headers.get("X-Other"), None);
    assert!(Headers::default().is_empty());
}

#[test]
fn names_that_are_the_servers_own_are_refused_whatever_their_case() {
    let names = "Host Content-Length Transfer-Encoding Connection Keep-Alive TE Trailer Upgrade Expect Accept-Encoding \
                 CL-XTOKEN CL-X-TOKEN Proxy-Authorization Proxy-Connection Proxy- webhook-id webhook-signature Webhook-Any";
    for name in names.split_ascii_whitespace() {
        for name in [name.to_owned(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
            assert_eq!(fields(&[(&name, "x")]), [format!("headers.{name}")]);
        }
    }
    headers(&[("X-Host", "x"), ("Te-st", "x"), ("Proxy", "x"), ("X-Webhook-Id", "x"), ("CL-XTOKEN-2", "x")]);
}

#[test]
fn names_are_tokens() {
    for name in ["", "X Id", "X:Id", "X\r\nId", "Ünï", "X(Id)", "X/Id", "X@Id", "\"X\"", "X\0", "[X]", "{X}"] {
        assert_eq!(fields(&[(name, "x")]), [format!("headers.{name}")], "{name:?}");
    }
    headers(&[("!#$%&'*+-.^_`|~09azAZ", "x")]);
}

#[test]
fn names_differ_in_more_than_case() {
    assert_eq!(fields(&[("X-Id", "1"), ("x-id", "2"), ("X-ID", "3")]), ["headers.x-id", "headers.X-ID"]);
}

#[test]
fn values_are_what_every_client_can_send() {
    for value in ["a\r\nb", "a\nb", "a\0b", "\u{7f}", "\u{85}", "é", "日本", " a", "a ", "\ta", "a\t", "\t", " "] {
        assert_eq!(fields(&[("X-Id", value)]), ["headers.X-Id"], "{value:?}");
    }
    headers(&[("X-Id", "a \t b"), ("X-All", " !\"#~[]{}\\".trim_start())]);
}

#[test]
fn every_fault_is_told_and_none_repeats_a_value() {
    let secret = "s3cr3t\n";
    let faults = Headers::parse(pairs(&[("Host", secret), ("A B", secret), ("X-Ok", "x"), ("x-ok", "é s3cr3t")]))
        .expect_err("faults");
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["headers.Host", "headers.Host", "headers.A B", "headers.A B", "headers.x-ok", "headers.x-ok"]);
    assert!(faults.iter().all(|fault| !fault.message.contains("s3cr3t")));
}

#[test]
fn a_very_long_name_is_not_repeated_whole() {
    let faults = Headers::parse(vec![("é".repeat(40_000), "x".to_owned())]).expect_err("faults");
    assert!(faults.iter().all(|fault| fault.field.len() < 300), "{faults:?}");
}

#[test]
fn a_hundred_headers_and_32_kib_fit_and_no_more() {
    let many = |count: usize| (0..count).map(|n| (format!("X-{n}"), String::new())).collect::<Vec<_>>();
    assert_eq!(Headers::parse(many(100)).map(|headers| headers.len()), Ok(100));
    assert_eq!(Headers::parse(many(101)).expect_err("too many")[0].field, "headers");
    let big = |bytes: usize| vec![("X".to_owned(), "v".repeat(bytes - 1))];
    assert!(Headers::parse(big(32 * 1024)).is_ok());
    assert_eq!(Headers::parse(big(32 * 1024 + 1)).expect_err("too big")[0].field, "headers");
}

#[test]
fn secrets_are_known_by_name() {
    for name in [
        "Authorization",
        "X-Auth",
        "Cookie",
        "X-Token",
        "X_ACCESS_TOKEN",
        "Client-Secret",
        "X-Password",
        "X-Passwd",
        "X-Api-Key",
        "ApiKey",
        "api_key",
        "Api_Key_Id",
        "DD-API-KEY",
        "Ocp-Apim-Subscription-Key",
        "my_key",
        "KEY",
        "X-Credential-Id",
        "X-Hub-Signature-256",
        "Session-Id",
        "X-JWT-Assertion",
        "PRIVATE-TOKEN",
        "X-Private",
    ] {
        assert!(holds_secret(name), "{name}");
    }
    for name in ["Content-Type", "User-Agent", "X-Id", "Keyboard", "X-Monkey", "Accept", "X-Key-Count", "Date"] {
        assert!(!holds_secret(name), "{name}");
    }
}

#[test]
fn lists_and_debug_hide_secrets_and_nothing_else() {
    let headers = headers(&[("Authorization", "Bearer s3cr3t"), ("X-Id", "7"), ("X-Api_Key", "")]);
    assert_eq!(headers.masked(), pairs(&[("Authorization", MASK), ("X-Id", "7"), ("X-Api_Key", MASK)]));
    assert_eq!(format!("{headers:?}"), r#"{"Authorization": "***", "X-Id": "7", "X-Api_Key": "***"}"#);
}

#[test]
fn a_mask_is_taken_only_where_nothing_is_masked() {
    assert_eq!(fields(&[("authorization", MASK), ("x-key", MASK)]), ["headers.authorization", "headers.x-key"]);
    headers(&[("X-Stars", MASK), ("Authorization", "*********")]);
}

#[test]
fn a_patch_sets_and_removes_whatever_the_case() {
    let before = headers(&[("X-A", "1"), ("X-B", "2"), ("Authorization", "s")]);
    let after = before.patched(change(&[("x-b", Some("3")), ("X-a", None), ("X-New", Some("4")), ("X-No", None)]));
    assert_eq!(after, Ok(headers(&[("x-b", "3"), ("Authorization", "s"), ("X-New", "4")])));
    assert_eq!(before.patched(Vec::new()), Ok(before.clone()));
}

#[test]
fn a_patch_is_checked_as_a_whole() {
    let before = headers(&[("X-A", "1"), ("Authorization", "s")]);
    let faults = |list: &[(&str, Option<&str>)]| {
        let faults = before.patched(change(list)).expect_err("a fault");
        faults.into_iter().map(|fault| fault.field).collect::<Vec<_>>()
    };
    assert_eq!(faults(&[("Authorization", Some(MASK))]), ["headers.Authorization"]);
    assert_eq!(faults(&[("HOST", Some("x")), ("X-A", Some("\n"))]), ["headers.X-A", "headers.HOST"]);
    assert_eq!(faults(&[("X-C", Some("1")), ("x-c", None)]), ["headers.x-c"]);
    let full = (2..=100).map(|n| (format!("X-{n}"), Some("x".to_owned()))).collect();
    assert_eq!(before.patched(full).expect_err("101 headers")[0].field, "headers");
}

#[test]
fn what_is_stored_is_read_back_in_order() {
    let headers = headers(&[("X-Z", "\"quoted\" \\ \t x"), ("X-A", ""), ("Authorization", "s")]);
    assert_eq!(headers.to_json(), r#"{"X-Z":"\"quoted\" \\ \t x","X-A":"","Authorization":"s"}"#);
    assert_eq!(Headers::from_json(&headers.to_json()), headers);
    assert_eq!(Headers::from_json("{}"), Headers::default());
}

#[test]
fn what_was_stored_under_older_rules_stays_readable() {
    assert_eq!(Headers::from_json(r#"{"Host":"x"}"#).get("host"), Some("x"));
    assert!(Headers::from_json("broken").is_empty());
}

fn valid_pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        "[Xx]-[A-Za-z0-9!#$%&'*+.^_`|~-]{0,12}",
        "(Authorization|Cookie|X-Api-Key|my_key|X-Token-[a-z]{1,3})",
    ];
    prop::collection::vec((name, "([!-~]([ -~\t]{0,20}[!-~])?)?"), 0..12).prop_map(|mut list| {
        let mut seen = HashSet::new();
        list.retain(|(name, value)| value != MASK && seen.insert(name.to_ascii_lowercase()));
        list
    })
}

proptest! {
    #[test]
    fn valid_headers_survive_storage(list in valid_pairs()) {
        let headers = Headers::parse(list.clone()).expect("valid");
        prop_assert!(headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).eq(list));
        prop_assert_eq!(Headers::from_json(&headers.to_json()), headers);
    }

    #[test]
    fn masked_headers_never_parse_back(list in valid_pairs()) {
        let headers = Headers::parse(list).expect("valid");
        let hidden = headers.iter().filter(|(name, _)| holds_secret(name)).count();
        match Headers::parse(headers.masked()) {
            Ok(same) => prop_assert!(hidden == 0 && same == headers),
            Err(faults) => prop_assert_eq!(faults.len(), hidden),
        }
        let changes = headers.masked().into_iter().map(|(name, value)| (name, Some(value))).collect();
        prop_assert_eq!(headers.patched(changes).is_ok(), hidden == 0);
    }

    #[test]
    fn a_patch_with_every_header_gives_what_it_says(before in valid_pairs(), after in valid_pairs()) {
        let old = Headers::parse(before).expect("valid");
        let new = Headers::parse(after).expect("valid");
        let kept: Vec<_> = old.iter().filter(|(name, _)| new.get(name).is_none()).collect();
        let removals = kept.iter().map(|(name, _)| (name.to_ascii_uppercase(), None));
        let changes = new.iter().map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).chain(removals);
        let patched = old.patched(changes.collect()).expect("valid");
        prop_assert_eq!(patched.len(), new.len());
        prop_assert!(new.iter().all(|(name, value)| patched.get(name) == Some(value)));
    }

    #[test]
    fn nothing_that_is_taken_can_split_a_request(name in "\\PC{0,8}|[ -~]{0,8}", value in any::<String>()) {
        if let Ok(headers) = Headers::parse(vec![(name, value)]) {
            for (name, value) in headers.iter() {
                prop_assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':'));
                prop_assert!(value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)));
            }
        }
    }
}
