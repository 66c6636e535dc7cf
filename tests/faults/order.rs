//! Strict order under kills: a receiver that fails at random never sees an event before all earlier ones are settled.

use std::time::Duration;

use serde_json::json;

use crate::campaign::{Durations, Report, either, seed};
use crate::harness::client::text;
use crate::harness::order::Statuses;
use crate::harness::{Behaviour, Receiver, Setup, wait_until};
use crate::kills::wait_until_ready;
use crate::ledger::{Arrivals, Ledger};

const CLIENTS: usize = 4;

/// Attempts of a delivery: the first, and those of the schedule.
const TRIES: usize = 3;

const PATHS: [&str; 4] = ["/a", "/b", "/c", "/d"];

pub fn kill_9_under_load_does_not_change_a_strict_order(report: &mut Report) {
    let mut random = fastrand::Rng::with_seed(seed());
    let (kills, each) = (either(8, 100), either(30, 80));
    let receiver = Receiver::start();
    let mut server = Setup::dev().flags(&["--retry-schedule", "5ms,5ms"]).start();
    let account = server.client().create_account("ada");
    let mut statuses = Vec::new();
    for path in PATHS {
        let body = json!({"url": receiver.url(path), "http_method": "POST", "headers": {}, "ordering": "strict"});
        let created = server.client().post(&format!("/v1/accounts/{}/destinations", account.id), &body).expect(201);
        assert!(text(&created.json(), "destination_id").starts_with("dst_"));
        let answers = Statuses::random(&mut random, 100_000, 3);
        receiver.script(path, answers.behaviours());
        statuses.push(answers);
    }

    let (ledger, mut arrivals, mut ready) = (Ledger::default(), Arrivals::default(), Durations::default());
    for _ in 0..kills {
        let client = server.client();
        ledger.under_load(&client, &account.token, CLIENTS, || {
            ledger.wait_for_more(each);
            // The moment is the fault: between an attempt and its commit, or in a commit.
            std::thread::sleep(Duration::from_micros(random.u64(..20_000)));
            server.kill();
        });
        receiver.wait_for_the_end_of_all_connections();
        let started = std::time::Instant::now();
        server.start_again();
        wait_until_ready(&server);
        ready.add(started.elapsed());
    }
    let failing: Vec<usize> = PATHS.iter().map(|path| receiver.requests_to(path).len()).collect();
    let client = server.client();
    let is_drained = || {
        let page = client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
        page["items"].as_array().unwrap().is_empty()
    };
    let count = || PATHS.iter().map(|path| receiver.requests_to(path).len()).sum::<usize>();
    // One at a time and with failures, all of them take minutes. What must not happen is that nothing goes on.
    while !is_drained() {
        let before = count();
        wait_until("deliveries go on", || (is_drained() || count() > before).then_some(()));
        std::thread::sleep(Duration::from_millis(200));
    }
    for path in PATHS {
        receiver.on(path, Behaviour::status(200));
    }
    arrivals.wait_for_all(&receiver, &ledger, &PATHS);
    let requests: Vec<_> = PATHS.iter().map(|path| receiver.requests_to(path)).collect();
    report.figure("kills", kills);
    report.figure("acknowledged", ledger.count());
    report.figure("lost", arrivals.missing(&ledger, &PATHS).len());
    report
        .figure("requests", format!("{} ({} before the last start)", arrivals.total(), failing.iter().sum::<usize>()));
    report.figure("ready again after", &ready);
    for ((path, requests), statuses) in PATHS.iter().zip(&requests).zip(&statuses) {
        statuses.assert_order(requests, TRIES);
        assert_eq!(receiver.most_at_once(path), 1, "one at a time at {path}");
    }
}
