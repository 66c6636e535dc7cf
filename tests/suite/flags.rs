//! The command line: what it refuses, what wins over what, and the document that it prints.

use crate::harness::server::{Ended, run_binary};
use crate::harness::{Answer, Setup};

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

#[test]
fn help_and_version_are_not_errors() {
    for arguments in [["--help"].as_slice(), &["serve", "--help"], &["--version"]] {
        let ended = run_binary(arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.is_empty() && !ended.stdout.is_empty(), "{ended:?}");
    }
    let help = run_binary(&["serve", "--help"]).stdout;
    for flag in [
        "--listen",
        "--database",
        "--admin-token",
        "--dev",
        "--allow-network",
        "--public-url",
        "--cors-origin",
        "--workers",
        "--destination-concurrency",
        "--timeout",
        "--retry-schedule",
        "--max-body",
        "--request-timeout",
        "--account-rate",
        "--retention",
        "--log-format",
        "--shutdown-grace",
    ] {
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
