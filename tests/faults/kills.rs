//! kill -9 under load, many times: what was acknowledged reaches every destination.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::campaign::{Durations, Report, either, seed};
use crate::file;
use crate::harness::{Behaviour, Receiver, Server, Setup, wait_until};
use crate::ledger::{Arrivals, Ledger};

const CLIENTS: usize = 6;

/// Two destinations that answer, and one that answers only at the end. So every kill also finds attempts in progress
/// and a backlog.
const PATHS: [&str; 3] = ["/a", "/b", "/late"];

/// Waits until the server says that it is ready.
#[track_caller]
pub fn wait_until_ready(server: &Server) {
    let client = server.client();
    wait_until("it is ready", || (client.get("/readyz").status == 200).then_some(()));
}

pub fn kill_9_at_random_moments_under_load(report: &mut Report) {
    let mut random = fastrand::Rng::with_seed(seed());
    let (kills, each) = (either(10, 100), either(40, 120));
    let receiver = Receiver::start();
    receiver.on("/late", Behaviour::Hang);
    // Only a kill ends an attempt, so every repeat is caused by a kill.
    let mut server = Setup::dev().flags(&["--retry-schedule", "100ms,100ms,100ms", "--timeout", "5m"]).start();
    let account = server.client().create_account("ada");
    for path in PATHS {
        server.client().create_destination(&account, &receiver.url(path), "POST", json!({}));
    }

    let (ledger, mut arrivals, mut ready) = (Ledger::default(), Arrivals::default(), Durations::default());
    let mut interrupted = Interrupted::default();
    for _ in 0..kills {
        let client = server.client();
        ledger.under_load(&client, &account.token, CLIENTS, || {
            ledger.wait_for_more(each);
            // The moment is the fault: anywhere between two commits, or during one.
            std::thread::sleep(Duration::from_micros(random.u64(..20_000)));
            server.kill();
        });
        interrupted.note(&server, &receiver, &mut arrivals);
        let started = Instant::now();
        server.start_again();
        wait_until_ready(&server);
        ready.add(started.elapsed());
    }

    receiver.on("/late", Behaviour::status(200));
    // Ends the attempt that hangs.
    server.kill();
    interrupted.note(&server, &receiver, &mut arrivals);
    server.start_again();
    arrivals.wait_for_all(&receiver, &ledger, &PATHS);
    let client = server.client();
    wait_until("no delivery is pending", || {
        let page = client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
        page["items"].as_array().unwrap().is_empty().then_some(())
    });
    server.terminate();
    arrivals.read(&receiver);

    report.figure("kills", kills + 1);
    report.figure("acknowledged", ledger.count());
    report.figure("lost", arrivals.missing(&ledger, &PATHS).len());
    let (in_flight, most) = (interrupted.deliveries.values().sum::<usize>(), interrupted.most);
    report.figure("repeats", format!("{} ({in_flight} were in flight, at most {most} at a kill)", arrivals.repeats()));
    report.figure("ready again after", &ready);
    assert!(ledger.count() >= kills * each, "{}", ledger.count());
    assert!(ledger.refused().is_empty());
    for (path, number, count) in arrivals.all() {
        let explained = 1 + interrupted.deliveries.get(&(path.to_owned(), number)).copied().unwrap_or(0);
        assert!(count <= explained, "event {number} came {count} times to {path}, {explained} are explained");
    }
    let stored = file::deliveries_by_event(&file::open_whole(server.setup().database_path()));
    assert!(ledger.acknowledged().keys().all(|number| stored.get(number) == Some(&PATHS.len())));
    // Events can be stored without being acknowledged only just before a kill: at most one for each client.
    let unacknowledged = stored.len() - ledger.count();
    assert!(unacknowledged as u64 <= ledger.unanswered(), "{unacknowledged}");
}

/// Deliveries whose attempt was in progress at a kill, or whose outcome was not yet on disk.
#[derive(Default)]
struct Interrupted {
    /// How often each delivery was interrupted.
    deliveries: HashMap<(String, u64), usize>,
    /// Maximum number at one kill.
    most: usize,
}

impl Interrupted {
    /// Counts the interrupted deliveries. Must be called after each kill.
    fn note(&mut self, server: &Server, receiver: &Receiver, arrivals: &mut Arrivals) {
        receiver.wait_for_the_end_of_all_connections();
        arrivals.read(receiver);
        let copy = file::open_whole(&file::copy(server.setup().database_path(), server.setup().folder()));
        let rows = file::deliveries(&copy);
        let in_flight = rows.into_iter().filter(|row| row.pending && arrivals.of(&row.path, row.number) > 0);
        let mut count = 0;
        for row in in_flight {
            *self.deliveries.entry((row.path, row.number)).or_default() += 1;
            count += 1;
        }
        self.most = self.most.max(count);
    }
}
