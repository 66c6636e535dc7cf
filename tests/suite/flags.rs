//! The command line: what is refused, what has priority over what, and the document that is printed.

use crate::harness::server::{Ended, run_binary};
use crate::harness::{Answer, Behaviour, Receiver, Setup};

#[track_caller]
fn refused(ended: &Ended) -> String {
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "{ended:#?}");
    assert!(lines[0].starts_with("error: "), "{:?}", lines[0]);
    lines[0].to_owned()
}

#[test]
fn a_bad_flag_is_one_line_and_exit_2() {
    for (flag, value) in [
        ("--listen", "nonsense"),
        ("--listen", "127.0.0.1"),
        ("--listen", "127.0.0.1:65536"),
        ("--allow-network", "10.0.0.0/33"),
        ("--allow-network", "example.com"),
        ("--public-url", "push.example.com"),
        ("--public-url", "https://example.com/path"),
        ("--cors-origin", "*"),
        ("--cors-origin", "null"),
        ("--timeout", "5"),
        ("--timeout", "0s"),
        ("--timeout", "soon"),
        ("--retry-schedule", "5s,later"),
        ("--retry-schedule", "5s,,5m"),
        ("--retry-schedule", " "),
        ("--max-body", "x"),
        ("--max-body", "0"),
        ("--retention", "forever"),
        ("--log-format", "xml"),
        ("--shutdown-grace", "-1s"),
        ("--workers", "0"),
        ("--workers", "many"),
        ("--destination-concurrency", "0"),
        ("--request-timeout", "0s"),
        ("--account-rate", "100"),
        ("--account-rate", "0/s"),
        ("--instance", "eu_1"),
    ] {
        let line = refused(&Setup::dev().flags(&[&format!("{flag}={value}")]).run());
        assert!(line.contains(flag), "{flag} {value}: {line}");
        let variable = format!("DATA_PUSHER_{}", flag[2..].to_uppercase().replace('-', "_"));
        let line = refused(&Setup::dev().variable(&variable, value).run());
        assert!(line.contains(flag) || line.contains(&variable), "{variable}={value}: {line}");
    }
    refused(&Setup::dev().flags(&["--no-such-flag"]).run());
    refused(&Setup::dev().flags(&["--timeout"]).run());
    refused(&Setup::dev().flags(&["stray"]).run());
    refused(&run_binary(&["serf"]));
}

#[test]
fn an_admin_token_that_is_no_secret_is_refused_without_being_shown() {
    for token in ["short", "with space in the middle", "umlaut-\u{e4}-umlaut-umlaut"] {
        let line = refused(&Setup::guarded().flags(&["--admin-token", token]).run());
        assert!(!line.contains(token), "{line}");
        let line = refused(&Setup::guarded().variable("DATA_PUSHER_ADMIN_TOKEN", token).run());
        assert!(!line.contains(token), "{line}");
    }
    refused(&Setup::guarded().variable("DATA_PUSHER_ADMIN_TOKEN_FILE", "/no/such/file").run());
}

#[test]
fn dev_with_an_admin_token_is_refused() {
    let line = refused(&Setup::dev().flags(&["--admin-token", "0123456789abcdef"]).run());
    assert!(line.contains("--dev") && line.contains("admin token"), "{line}");
    refused(&Setup::dev().variable("DATA_PUSHER_ADMIN_TOKEN", "0123456789abcdef").run());
}

#[test]
fn dev_listens_on_loopback_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let line = refused(&Setup::dev().flags(&["--listen", address]).run());
        assert!(line.contains("--dev"), "{line}");
    }
}

#[test]
fn a_flag_wins_over_its_variable() {
    let setup = Setup::dev().variable("DATA_PUSHER_MAX_BODY", "100");
    let push = |setup: &Setup| -> Answer {
        let server = setup.start();
        let client = server.client();
        let account = client.create_account("ada");
        client.push_with(&account.token, &[], format!("\"{}\"", "x".repeat(200)).as_bytes())
    };
    push(&setup).expect(413);
    push(&setup.clone().database(&setup.folder().join("other.db")).flags(&["--max-body", "1000"])).expect(202);
}

/// Every flag that takes a value, with its variable.
const VALUES: [(&str, &str); 17] = [
    ("--listen", "DATA_PUSHER_LISTEN"),
    ("--database", "DATA_PUSHER_DATABASE"),
    ("--admin-token", "DATA_PUSHER_ADMIN_TOKEN"),
    ("--admin-token-file", "DATA_PUSHER_ADMIN_TOKEN_FILE"),
    ("--allow-network", "DATA_PUSHER_ALLOW_NETWORK"),
    ("--public-url", "DATA_PUSHER_PUBLIC_URL"),
    ("--cors-origin", "DATA_PUSHER_CORS_ORIGIN"),
    ("--ca-file", "DATA_PUSHER_CA_FILE"),
    ("--workers", "DATA_PUSHER_WORKERS"),
    ("--destination-concurrency", "DATA_PUSHER_DESTINATION_CONCURRENCY"),
    ("--timeout", "DATA_PUSHER_TIMEOUT"),
    ("--retry-schedule", "DATA_PUSHER_RETRY_SCHEDULE"),
    ("--max-body", "DATA_PUSHER_MAX_BODY"),
    ("--request-timeout", "DATA_PUSHER_REQUEST_TIMEOUT"),
    ("--account-rate", "DATA_PUSHER_ACCOUNT_RATE"),
    ("--retention", "DATA_PUSHER_RETENTION"),
    ("--shutdown-grace", "DATA_PUSHER_SHUTDOWN_GRACE"),
];

#[test]
fn an_empty_variable_is_as_if_unset() {
    let mut setup = Setup::guarded().flags(&["--listen", "127.0.0.1:0", "--log-format", "json"]);
    for variable in
        VALUES.map(|(_, variable)| variable).into_iter().chain(["DATA_PUSHER_DEV", "DATA_PUSHER_LOG_FORMAT"])
    {
        setup = setup.variable(variable, "");
    }
    let server = setup.start();
    server.client().get("/v1/accounts").expect(200);
    server.client().with_admin_token(None).get("/v1/accounts").expect(401);
}

#[test]
fn an_empty_schedule_in_a_variable_is_the_default_and_in_the_flag_a_single_try() {
    let receiver = Receiver::start();
    receiver.on("/in", Behaviour::status(500));
    let tried = |setup: &Setup| {
        let server = setup.start();
        let client = server.client();
        let account = client.create_account("ada");
        client.create_destination(&account, &receiver.url("/in"), "POST", serde_json::json!({}));
        let delivery = client.push_one(&account, "{}");
        client.wait_for_attempts(&delivery, 1)["state"].clone()
    };
    assert_eq!(tried(&Setup::dev().variable("DATA_PUSHER_RETRY_SCHEDULE", "")), "pending");
    assert_eq!(tried(&Setup::dev().flags(&["--retry-schedule="])), "exhausted");
}

#[test]
fn a_boolean_variable_takes_the_usual_words_in_any_case() {
    for word in ["1", "true", "YES", "On"] {
        let server = Setup::guarded().variable("DATA_PUSHER_DEV", word).start();
        server.client().with_admin_token(None).get("/v1/accounts").expect(200);
    }
    for word in ["0", "False", "no", "OFF"] {
        let server = Setup::guarded().variable("DATA_PUSHER_DEV", word).start();
        server.client().with_admin_token(None).get("/v1/accounts").expect(401);
    }
    for word in ["2", "maybe", "enable", " "] {
        let line = refused(&Setup::guarded().variable("DATA_PUSHER_DEV", word).run());
        assert!(line.contains("DATA_PUSHER_DEV") && line.contains("yes or no"), "{line}");
    }
}

#[test]
fn an_admin_token_in_a_flag_wins_over_the_other_ways_variable() {
    let setup = Setup::guarded();
    let (flag, variable) = ("token-of-the-flag-1", "token-of-the-variable-1");
    let file = |name: &str, token: &str| {
        let path = setup.folder().join(name);
        std::fs::write(&path, token).unwrap();
        path.display().to_string()
    };
    let (flag_file, variable_file) = (file("flag", flag), file("variable", variable));
    let opens = |setup: Setup| {
        let server = setup.start();
        let client = server.client().with_admin_token(None);
        [flag, variable].map(|token| client.with_admin_token(Some(token)).get("/v1/accounts").status)
    };
    let [in_flag, in_file] = [("--admin-token", flag), ("--admin-token-file", &flag_file)];
    let [set, set_file] =
        [("DATA_PUSHER_ADMIN_TOKEN", variable), ("DATA_PUSHER_ADMIN_TOKEN_FILE", variable_file.as_str())];
    let given = |(name, value): (&str, &str), variables: &[(&str, &str)]| {
        let setup = setup.clone().flags(&[name, value]);
        variables.iter().fold(setup, |setup, (name, value)| setup.variable(name, value))
    };
    for flag in [in_flag, in_file] {
        for variables in [&[set][..], &[set_file], &[set, set_file]] {
            assert_eq!(opens(given(flag, variables)), [200, 401], "{flag:?} {variables:?}");
        }
    }
    let line = refused(&given(in_flag, &[]).flags(&[in_file.0, in_file.1]).run());
    assert!(line.contains("--admin-token and --admin-token-file"), "{line}");
    let both = setup.clone().variable(set.0, set.1).variable(set_file.0, set_file.1);
    let line = refused(&both.run());
    assert!(line.contains("DATA_PUSHER_ADMIN_TOKEN and DATA_PUSHER_ADMIN_TOKEN_FILE"), "{line}");
    assert!(!line.contains(variable), "{line}");
    for (name, value) in [set, set_file] {
        refused(&Setup::dev().variable(name, value).run());
    }
    refused(&Setup::dev().flags(&[in_file.0, in_file.1]).run());
}

#[test]
fn items_of_lists_in_variables_may_have_blanks_around_them() {
    let server = Setup::guarded()
        .variable("DATA_PUSHER_ALLOW_NETWORK", " 10.1.0.0/16 , 192.168.0.0/16 ")
        .variable("DATA_PUSHER_CORS_ORIGIN", "https://a.example.com, https://b.example.com")
        .variable("DATA_PUSHER_RETRY_SCHEDULE", "5s, 5m ,30m")
        .start();
    let client = server.client();
    let account = client.create_account("ada");
    for host in ["10.1.2.3", "192.168.1.1"] {
        client.create_destination(&account, &format!("http://{host}/"), "POST", serde_json::json!({}));
    }
    let answer = client.send("GET", "/healthz", &[("origin", "https://b.example.com")], None);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://b.example.com"));
    refused(&Setup::guarded().variable("DATA_PUSHER_ALLOW_NETWORK", "10.1.0.0/16,,::1").run());
}

#[test]
fn help_and_version_are_not_errors() {
    for arguments in [["--help"].as_slice(), &["serve", "--help"], &["--version"]] {
        let ended = run_binary(arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.is_empty() && !ended.stdout.is_empty(), "{ended:?}");
    }
    let help = run_binary(&["serve", "--help"]).stdout;
    for flag in VALUES.map(|(flag, _)| flag).into_iter().chain(["--dev", "--log-format"]) {
        assert!(help.contains(flag), "{flag} is not in the help");
    }
}

#[test]
fn the_document_that_is_printed_is_the_one_that_is_served() {
    let printed = run_binary(&["openapi"]);
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    let printed: serde_json::Value = serde_json::from_str(&printed.stdout).expect("JSON");
    let served = Setup::dev().start().client().get("/openapi.json").expect(200).json();
    assert_eq!((&printed["openapi"], &printed["paths"]), (&served["openapi"], &served["paths"]));
}
