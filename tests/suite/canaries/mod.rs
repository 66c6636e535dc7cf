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
    ];
    let help = run_binary(&["--help"]).stdout;
    let commands = help.split_once("Commands:").unwrap().1.split_once("Options:").unwrap().0;
    let names: Vec<&str> = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty() && *name != "help").collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let ended = run_binary_with(&variables, &[name, "--help"]);
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        assert!(!ended.stdout.contains(CANARY) && !ended.stderr.contains(CANARY), "{name}: {}", ended.stdout);
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
