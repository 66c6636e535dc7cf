//! `healthcheck`, `completions` and `man`.

use crate::harness::server::{run_binary, run_binary_with};
use crate::harness::{Behaviour, Receiver, Reply, Setup};

#[test]
fn a_healthcheck_is_one_line_and_its_code_tells_whether_the_server_is_well() {
    let mut server = Setup::dev().start();
    let url = format!("http://{}", server.address);
    for (flags, path) in [(&[][..], "/healthz"), (&["--ready"], "/readyz")] {
        let ended = run_binary(&[&["healthcheck", "--url", &url], flags].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
        assert!(ended.stdout.starts_with(&format!("{url}{path} answers 200: ")), "{ended:#?}");
        assert_eq!(ended.stdout.lines().count(), 1);
    }
    let ended = run_binary(&["healthcheck", "--url", &format!("{url}/readyz")]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    server.terminate();
    let ended = run_binary(&["healthcheck", "--url", &url]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.lines().count()), (Some(1), "", 1), "{ended:#?}");
    assert!(ended.stderr.contains("/healthz does not answer: "), "{ended:#?}");
}

#[test]
fn a_server_that_is_not_well_or_hangs_fails_the_healthcheck() {
    let receiver = Receiver::start();
    let problem = Reply::status(503).body("{\"code\":\"storage_full\"}");
    receiver.on("/readyz", Behaviour::Answer(problem));
    receiver.on("/healthz", Behaviour::Hang);
    let ended = run_binary(&["healthcheck", "--ready", "--url", &receiver.url("/")]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("answers 503") && ended.stderr.contains("storage_full"), "{ended:#?}");
    let ended = run_binary(&["healthcheck", "--timeout", "200ms", "--url", &receiver.url("")]);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:#?}");
    for flags in [&["--url", "localhost"][..], &["--timeout", "0s"], &["--ready", "--url", "http://a/readyz"]] {
        let ended = run_binary(&[&["healthcheck"], flags].concat());
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{ended:#?}");
    }
}

#[test]
fn a_healthcheck_without_a_url_asks_where_the_server_is_told_to_listen() {
    let server = Setup::dev().start();
    let local = format!("http://{}/healthz answers 200: ", server.address);
    let port = server.address.port();
    for listens in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}")] {
        let ended = run_binary_with(&[("DATA_PUSHER_LISTEN", &listens)], &["healthcheck"]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(ended.stdout.starts_with(&local), "{ended:#?}");
        let ended = run_binary(&["healthcheck", "--listen", &listens]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
    // A URL says more.
    let (url, elsewhere) = (format!("http://{}", server.address), ("DATA_PUSHER_LISTEN", "127.0.0.1:1"));
    assert_eq!(run_binary_with(&[elsewhere], &["healthcheck", "--url", &url]).code, Some(0));
    assert_eq!(run_binary_with(&[elsewhere], &["healthcheck"]).code, Some(1));
    let image = include_str!("../../Dockerfile");
    assert!(image.contains("CMD [\"data-pusher\", \"healthcheck\"]\n"), "{image}");
}

#[test]
fn a_redirect_or_an_answer_without_a_body_says_what_to_do() {
    let receiver = Receiver::start();
    receiver.on("/a/healthz", Behaviour::Answer(Reply::status(302).header("location", "/b?key=canary")));
    receiver.on("/b", Behaviour::Answer(Reply::status(204)));
    receiver.on("/c", Behaviour::Answer(Reply::status(500)));
    receiver.on("/d", Behaviour::Answer(Reply::status(404).body("\u{1b}]0;pwned\u{7}\u{9b}2J\nsecond line")));
    for (path, code, line) in [
        ("/a/healthz", 1, format!("answers 302 and leads to {}; give that as --url", receiver.url("/b"))),
        ("/b", 0, "answers 204".to_owned()),
        ("/c", 1, "answers 500".to_owned()),
        ("/d", 1, "answers 404: \\u{1b}]0;pwned\\u{7}\\u{9b}2J\\nsecond line".to_owned()),
    ] {
        let ended = run_binary(&["healthcheck", "--url", &receiver.url(path)]);
        let said = if code == 0 { &ended.stdout } else { &ended.stderr };
        assert_eq!((ended.code, said.ends_with(&line)), (Some(code), true), "{ended:#?}");
    }
}

#[test]
fn a_url_with_a_password_or_a_key_is_refused_without_being_shown() {
    for url in ["http://ada:canary@h/", "https://h/?token=canary", "ada:canary@h", "canary", "http://canary h"] {
        for flags in [
            ["healthcheck", "--url"],
            ["listen", "--forward-to"],
            ["serve", "--public-url"],
            ["serve", "--cors-origin"],
        ] {
            let ended = run_binary(&[&flags[..], &[url]].concat());
            assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{ended:#?}");
            assert!(ended.stderr.contains(flags[1]) && !ended.stderr.contains("canary"), "{ended:#?}");
        }
        for (command, variable) in [
            ("healthcheck", "DATA_PUSHER_URL"),
            ("send", "DATA_PUSHER_URL"),
            ("serve", "DATA_PUSHER_PUBLIC_URL"),
            ("serve", "DATA_PUSHER_CORS_ORIGIN"),
        ] {
            let ended = run_binary_with(&[(variable, url)], &[command]);
            assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{ended:#?}");
            assert!(ended.stderr.contains(variable) && !ended.stderr.contains("canary"), "{ended:#?}");
            let help = run_binary_with(&[(variable, url)], &[command, "--help"]);
            assert!(help.stdout.contains(variable) && !help.stdout.contains("canary"), "{help:#?}");
        }
    }
    for words in [&["cl_canary"][..], &["serve", "cl_canary"], &["serve", "--admin-token-file", "cl_canary"]] {
        let ended = run_binary(words);
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{ended:#?}");
        assert!(!ended.stderr.contains("canary"), "{ended:#?}");
    }
}

#[test]
fn completions_are_for_each_shell_and_know_commands_and_flags() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run_binary(&["completions", shell]);
        assert_eq!(ended.code, Some(0), "{shell}");
        for word in ["serve", "login-link", "forward-to", "token-file"] {
            assert!(ended.stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run_binary(&["completions", "basic"]).code, Some(2));
}

#[test]
fn there_is_a_man_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    let ended = run_binary(&["man", pages.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    for name in ["", "-serve", "-openapi", "-login-link", "-listen", "-send", "-healthcheck", "-completions", "-man"] {
        let page = std::fs::read_to_string(pages.join(format!("data-pusher{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains("data\\-pusher"), "{name}: {page}");
    }
    let serve = std::fs::read_to_string(pages.join("data-pusher-serve.1")).unwrap();
    assert!(serve.contains("DATA_PUSHER_LISTEN"));
    std::fs::write(folder.path().join("file"), "").unwrap();
    let ended = run_binary(&["man", folder.path().join("file").to_str().unwrap()]);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:#?}");
}
