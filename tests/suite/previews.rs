//! Previews over many events, beside other requests.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::harness::{Setup, wait_until};

/// More than may have their turn at once, and than there are connections for reads.
const ACCOUNTS: usize = 6;
const CALLERS: usize = 24;
const EVENTS: usize = 100;
const LISTS: usize = 20;

/// Takes some milliseconds for each event.
const SLOW: &str = "{% for x in data.l %}{% for y in data.l %}{{ x }}{% endfor %}{% endfor %}";

/// Ends the callers, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn slow_previews_hold_up_no_list() {
    let server = Setup::dev().start();
    let client = server.client();
    let list: Vec<usize> = (0..80).collect();
    let paths: Vec<String> = (0..ACCOUNTS)
        .map(|number| {
            let account = client.create_account(&format!("previews-{number}"));
            let destination = client.create_destination(&account, "http://127.0.0.1:9/in", "POST", json!({}));
            client.send("POST", &format!("/v1/destinations/{destination}/pause"), &[], None).expect(200);
            for _ in 0..EVENTS {
                client.push(&account, json!({ "l": list }).to_string());
            }
            format!("/v1/destinations/{destination}/preview")
        })
        .collect();
    let (made, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let caller = |path: &str| {
        while !is_over.load(Ordering::SeqCst) {
            let answer = client.post(path, &json!({"last": 1000, "body_template": SLOW}));
            if answer.status == 503 {
                assert_eq!(answer.header("retry-after"), Some("1"));
                assert_eq!(answer.problem(503)["code"], "too_many_previews");
            } else {
                let sum = answer.expect(200).json();
                assert_eq!(sum["events"], sum["matching"], "{sum}");
                made.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let ended = thread::scope(|scope| {
        let _over = Over(&is_over);
        for number in 0..CALLERS {
            let (caller, path) = (&caller, &paths[number % ACCOUNTS]);
            scope.spawn(move || caller(path));
        }
        // Once one is made, the others are being made or wait. A list that took its turn among them would see many of
        // them end first.
        wait_until("a preview is made", || (made.load(Ordering::SeqCst) > 0).then_some(()));
        let before = made.load(Ordering::SeqCst);
        for _ in 0..LISTS {
            client.get("/v1/deliveries?limit=5").expect(200);
        }
        made.load(Ordering::SeqCst) - before
    });
    assert!(ended < LISTS, "{ended} previews ended before {LISTS} lists were answered");
}
