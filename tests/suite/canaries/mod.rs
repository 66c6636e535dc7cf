//! A canary in every place that can hold a secret, and a walk over everything that the program shows: each canary is seen
//! where the list below says, and nowhere else. What stands in the files themselves is tested in `secrets`.

mod scene;
mod seen;
mod walk;

use crate::harness::Setup;
use crate::harness::server::{run_binary, run_binary_with};

use scene::Scene;
use seen::{Canary, Seen, Where, faults};
pub use walk::{operations, pages_with};

/// Where each canary is shown. An administrator may read what a destination was given; whoever may read an event may read
/// its document.
const SHOWN: [(&str, Where); 13] = [
    ("the admin token", Where::Only(&[])),
    ("the login code that the start printed", Where::Only(&["log"])),
    ("another login code", Where::Only(&[])),
    ("a session", Where::Only(&[])),
    ("a token of an account", Where::Only(&[])),
    ("a token with a role", Where::Only(&[])),
    ("something wrong in place of a token", Where::Only(&[])),
    (
        "a signing secret",
        Where::Only(&[
            "GET /v1/destinations/{destination_id}/signing-secret",
            "page POST /destinations/{destination_id}/signing-secret",
            "export",
        ]),
    ),
    ("a signing secret before its rotation", Where::Only(&["export"])),
    ("the value of a header", Where::Only(&SETTINGS)),
    ("the template of a header", Where::Only(&SETTINGS)),
    ("the query of a URL", Where::Not(&WITHOUT_DATA)),
    ("a document", Where::Not(&WITHOUT_DATA)),
];

/// The answers that show a destination as it was given, and the file that moves it.
const SETTINGS: [&str; 5] = [
    "GET /v1/destinations/{destination_id}",
    "PATCH /v1/destinations/{destination_id}",
    "POST /v1/destinations/{destination_id}/pause",
    "POST /v1/destinations/{destination_id}/resume",
    "export",
];

/// Where nothing may be of a URL's query, which is a secret at many receivers, or of a document.
const WITHOUT_DATA: [&str; 8] = [
    "log",
    "notices",
    "GET /metrics",
    "GET /healthz",
    "GET /readyz",
    "command line",
    "environment",
    "export's messages",
];

#[test]
fn each_secret_is_shown_where_it_is_listed_and_nowhere_else() {
    let mut scene = Scene::play();
    let mut seen = Seen::default();
    walk::sent_wrong(&scene, &mut seen);
    walk::changes(&scene, &mut seen);
    walk::forms(&scene, &mut seen);
    walk::answers(&scene, &mut seen);
    walk::pages(&scene, &mut seen);
    walk::pages_of_readers(&scene, &mut seen);
    walk::commands(&scene, &mut seen);
    walk::process(&scene, &mut seen);
    scene.end(&mut seen);

    assert!(seen.places().len() > 80, "the walk was long: {:?}", seen.places());
    let wrong = faults(&scene.canaries, &seen, &SHOWN);
    assert!(wrong.is_empty(), "{wrong:#?}");

    // What searches finds what it searches for, wherever it is.
    for Canary { what, text } in &scene.canaries {
        seen.add("planted", format!("before{text}after\0"));
        assert!(seen.with(text).contains("planted"), "{what}");
    }
    let found = faults(&scene.canaries, &seen, &SHOWN);
    let is_exact = |what: &str| SHOWN.iter().any(|(name, allowed)| *name == what && matches!(allowed, Where::Only(_)));
    let exact = scene.canaries.iter().filter(|canary| is_exact(canary.what)).count();
    assert_eq!(found.iter().filter(|fault| fault.starts_with("planted shows")).count(), exact, "{found:#?}");
}

#[test]
fn the_help_shows_no_variable_that_holds_a_secret() {
    const CANARY: &str = "canary-0123456789abcdef";
    let variables = [
        ("DATA_PUSHER_ADMIN_TOKEN", CANARY),
        ("DATA_PUSHER_TOKEN", CANARY),
        ("DATA_PUSHER_SECRET", CANARY),
        ("DATA_PUSHER_LISTEN_SECRET", CANARY),
        ("DATA_PUSHER_ADMIN_TOKEN_FILE", CANARY),
        ("DATA_PUSHER_TOKEN_FILE", CANARY),
        ("DATA_PUSHER_SECRETS_KEY_FILE", CANARY),
    ];
    let help = run_binary(&["--help"]).stdout;
    let commands = help.split_once("Commands:").unwrap().1.split_once("Options:").unwrap().0;
    let names: Vec<&str> = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty() && *name != "help").collect();
    assert!(names.len() > 10, "{names:?}");
    let names = names.into_iter().map(|name| vec![name]);
    for name in names.chain([vec!["key", "new"], vec!["key", "id"], vec!["key", "rotate"], vec!["key", "open"]]) {
        let ended = run_binary_with(&variables, &[&name[..], &["--help"]].concat());
        assert_eq!(ended.code, Some(0), "{name:?}: {ended:?}");
        assert!(!ended.stdout.contains(CANARY) && !ended.stderr.contains(CANARY), "{name:?}: {}", ended.stdout);
    }
}

/// What `docs/security.md` says of flags: other programs of the same user see them, so a file is better.
#[cfg(target_os = "linux")]
#[test]
fn a_token_given_by_a_flag_is_seen_in_the_list_of_processes_and_nowhere_else() {
    const CANARY: &str = "canary-0123456789abcdef";
    let mut server = Setup::guarded().flags(&["--admin-token", CANARY]).variable("RUST_LOG", "trace").start();
    let command_line = std::fs::read_to_string(format!("/proc/{}/cmdline", server.process_id())).unwrap();
    assert!(command_line.contains(CANARY), "this test would find it");
    let admin = server.client().with_admin_token(Some(CANARY));
    for path in ["/v1/accounts", "/metrics", "/", "/openapi.json"] {
        assert!(!admin.get(path).expect(200).text().contains(CANARY), "{path}");
    }
    server.terminate();
    assert!(!server.log.lines().iter().any(|line| line.contains(CANARY)));
}

#[test]
fn what_is_wrong_with_a_secret_flag_is_said_without_it() {
    const CANARY: &str = "canary canary\u{e4}";
    for arguments in [
        &["serve", "--admin-token", CANARY][..],
        &["send", "--url", "http://127.0.0.1:9", "--token", CANARY],
        &["listen", "--secret", CANARY],
    ] {
        let ended = run_binary(arguments);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(!ended.stdout.contains("canary") && !ended.stderr.contains("canary"), "{ended:?}");
    }
}

/// Stands for a file that holds a key.
const A_KEY: &str = "A_KEY";

/// Each flag and variable that names the file of a key or a token, with its command: the words before its value, the
/// words after it, and the variable, if it has one.
const FILES_OF_SECRETS: [(&[&str], &[&str], Option<&str>); 12] = [
    (&["serve", "--secrets-key-file"], &[], Some("DATA_PUSHER_SECRETS_KEY_FILE")),
    (&["serve", "--admin-token-file"], &[], Some("DATA_PUSHER_ADMIN_TOKEN_FILE")),
    (&["check", "--secrets-key-file"], &[], Some("DATA_PUSHER_SECRETS_KEY_FILE")),
    (&["export", "--secrets-key-file"], &[], Some("DATA_PUSHER_SECRETS_KEY_FILE")),
    (&["import", "in.json", "--secrets-key-file"], &[], Some("DATA_PUSHER_SECRETS_KEY_FILE")),
    (&["send", "--token-file"], &["--url", "http://127.0.0.1:9", "in.json"], Some("DATA_PUSHER_TOKEN_FILE")),
    (&["key", "rotate", "--secrets-key-file"], &["--new-key-file", A_KEY], Some("DATA_PUSHER_SECRETS_KEY_FILE")),
    (&["key", "rotate", "--new-key-file"], &["--secrets-key-file", A_KEY], None),
    (&["key", "open", "copy", "out", "--secrets-key-file"], &[], Some("DATA_PUSHER_SECRETS_KEY_FILE")),
    (&["key", "new"], &[], None),
    (&["key", "id"], &[], None),
    (&["key", "--secrets-key-file"], &[], None),
];

#[test]
fn a_key_or_a_token_in_place_of_its_file_is_not_repeated_and_a_path_is() {
    let keys = tempfile::tempdir().unwrap();
    let path = keys.path().join("no-such-folder").join("secrets-key").display().to_string();
    let key = |number: usize| {
        let file = keys.path().join(number.to_string());
        run_binary(&["key", "new", file.to_str().unwrap()]).succeeded();
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    };
    // Half of all keys have a slash; some begin with one, as a path does.
    let key = (0..200).map(key).find(|key| key.contains('/')).unwrap();
    let a_key = keys.path().join("0").display().to_string();
    let long = format!("dpt_{}", "a/B3".repeat(100));
    let secrets =
        [&key, &format!("/{}", &key[1..]), "cl_abc/DEF", "adm_abc/DEF", "abcDEF/ghijklmnopqrstuv+wxyz0123==", &long];
    let run = |before: &[&str], after: &[&str], variable: Option<&str>, value: &str| {
        let (flag, variables) = match variable {
            Some(variable) => (&before[..before.len() - 1], vec![(variable, value)]),
            None => (before, Vec::new()),
        };
        let words = [flag, if variable.is_some() { &[] } else { std::slice::from_ref(&value) }, after].concat();
        let words: Vec<&str> =
            words.into_iter().map(|word| if word == A_KEY { a_key.as_str() } else { word }).collect();
        let ended = run_binary_with(&variables, &words);
        assert!(ended.code != Some(0) && ended.stdout.is_empty(), "{words:?}: {ended:?}");
        ended.stderr
    };
    for (before, after, variable) in FILES_OF_SECRETS {
        for variable in [Some(None), variable.map(Some)].into_iter().flatten() {
            for secret in &secrets {
                let said = run(before, after, variable, secret);
                let has_part =
                    secret.as_bytes().windows(7).any(|part| said.contains(std::str::from_utf8(part).unwrap()));
                assert!(!has_part, "{before:?} {variable:?} {secret}: {said}");
            }
            let said = run(before, after, variable, &path);
            let is_unknown = before == ["key", "--secrets-key-file"];
            assert!(said.contains(&path) || is_unknown, "{before:?} {variable:?}: {said}");
        }
    }
}
