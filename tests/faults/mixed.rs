//! Mixed load with random faults of many kinds, and at the end checks of what must always hold.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::campaign::{Report, either, seed};
use crate::clocks;
use crate::file;
use crate::harness::client::NewAccount;
use crate::harness::{Behaviour, Client, Receiver, Reply, Server, Setup, wait_until};
use crate::ledger::{Arrivals, Ledger};
use crate::process::{mebibytes, open_files, resident, wait_for_few_files};

/// Accounts that are never deleted, and the destinations of each.
const ACCOUNTS: usize = 3;
const DESTINATIONS: usize = 3;

/// Limit of concurrent attempts to one destination, and so of the connections that are kept.
const KEPT: usize = 4;

/// Interval between two events of one client.
const PACE: Duration = Duration::from_millis(15);

/// Maximum growth of resident memory between two quiet moments of one process.
const MAX_GROWTH_KIB: u64 = 10 * 1024;

/// Maximum resident memory in the end. An idle server that has just started takes 19 MiB.
const MAX_RESIDENT_KIB: u64 = 56 * 1024;

struct Tenant {
    account: NewAccount,
    /// Id and path of each destination.
    destinations: Vec<(String, String)>,
    ledger: Ledger,
}

impl Tenant {
    fn paths(&self) -> Vec<&str> {
        self.destinations.iter().map(|(_, path)| path.as_str()).collect()
    }
}

/// What the server works with: the receiver, the accounts, and the clock.
struct World {
    receiver: Receiver,
    tenants: Vec<Tenant>,
    /// File that moves the wall clock; `None` where the clock cannot be moved.
    clock: Option<PathBuf>,
}

struct Campaign {
    server: Server,
    world: World,
    random: fastrand::Rng,
    done: Done,
}

/// How often each thing was done.
#[derive(Default)]
struct Done {
    kills: usize,
    stops: usize,
    locks: usize,
    jumps: usize,
    deleted: usize,
    pauses: usize,
    turns: usize,
}

fn misbehaviour(random: &mut fastrand::Rng) -> Behaviour {
    match random.u8(..11) {
        0 => Behaviour::Hang,
        1 => Behaviour::Reset,
        2 => Behaviour::Close,
        3 => Behaviour::Drip,
        4 => Behaviour::Endless,
        5 => Behaviour::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        6 => Behaviour::Answer(Reply::status(429).header("retry-after", "1")),
        7 => Behaviour::status(410),
        8 => Behaviour::status(500),
        _ => Behaviour::status(200),
    }
}

pub fn mixed_load_with_random_faults(report: &mut Report) {
    let (crashing, steady) = (Duration::from_secs(either(5, 360)), Duration::from_secs(either(3, 160)));
    let mut campaign = Campaign::start();
    let end = Instant::now() + crashing;
    while Instant::now() < end {
        campaign.episode(true);
    }
    // The rest is done in one process, so that its memory and files can be compared.
    campaign.heal();
    // What the allocator keeps of a load is there after a part of it; from then on nothing may grow.
    let end = Instant::now() + steady / 4;
    while Instant::now() < end {
        campaign.episode(false);
    }
    campaign.heal();
    let (memory, files) = (resident(&campaign.server), open_files(&campaign.server));
    let end = Instant::now() + steady;
    while Instant::now() < end {
        campaign.episode(false);
    }
    campaign.heal();
    // Each destination may keep its connections for a minute. The short form does not wait for that.
    wait_for_few_files(&campaign.server, files + 10 + either(KEPT * ACCOUNTS * DESTINATIONS, 0));
    let grown = resident(&campaign.server).saturating_sub(memory);
    campaign.settle(report);
    report.figure("memory", format!("{}, and {} more at the end", mebibytes(memory), mebibytes(grown)));
    report.figure("open files", format!("{files}, at the end {}", open_files(&campaign.server)));
    assert!(grown < MAX_GROWTH_KIB, "{grown} KiB");
    assert!(memory + grown < MAX_RESIDENT_KIB, "{memory} KiB, and {grown} more");
}

impl Campaign {
    fn start() -> Self {
        let random = fastrand::Rng::with_seed(seed());
        let receiver = Receiver::start();
        let schedule = ["200ms"; 30].join(",");
        let mut flags = vec!["--retry-schedule", &schedule, "--timeout", "1s", "--shutdown-grace", "2s"];
        let kept = KEPT.to_string();
        flags.extend(["--destination-concurrency", &kept]);
        let (setup, clock) = clocks::movable(Setup::dev().flags(&flags));
        let server = setup.start();
        let client = server.client();
        let tenants = (0..ACCOUNTS).map(|number| {
            let account = client.create_account(&format!("tenant{number}"));
            let destinations = (0..DESTINATIONS).map(|at| {
                let path = format!("/{number}/{at}");
                (client.create_destination(&account, &receiver.url(&path), "POST", json!({})), path)
            });
            Tenant { destinations: destinations.collect(), account, ledger: Ledger::default() }
        });
        let tenants = tenants.collect();
        Self { server, world: World { receiver, tenants, clock }, random, done: Done::default() }
    }

    /// Load and some faults. If `may_end`, the process may be killed or stopped at the end.
    fn episode(&mut self, may_end: bool) {
        let Self { server, world, random, done } = self;
        let client = server.client();
        let ended = AtomicBool::new(false);
        let ending = if may_end { random.u8(..3) } else { 0 };
        std::thread::scope(|scope| {
            for tenant in &world.tenants {
                for _ in 0..2 {
                    let (client, ended) = (&client, &ended);
                    scope.spawn(move || {
                        while !ended.load(Ordering::Relaxed) && tenant.ledger.send(client, &tenant.account.token) {
                            std::thread::sleep(PACE);
                        }
                    });
                }
            }
            // Also set if a fault fails; otherwise the scope would never end.
            let _end = EndsLoad(&ended);
            for _ in 0..random.usize(2..8) {
                fault(server, &client, world, random, done);
                std::thread::sleep(Duration::from_millis(random.u64(..300)));
            }
            match ending {
                0 => {}
                1 => {
                    server.kill();
                    done.kills += 1;
                }
                _ => {
                    server.terminate();
                    done.stops += 1;
                }
            }
        });
        if ending > 0 {
            server.start_again();
        }
    }

    /// Makes all destinations answer, resumes them, and waits until no delivery is pending.
    fn heal(&mut self) {
        let client = self.server.client();
        for tenant in &self.world.tenants {
            for (id, path) in &tenant.destinations {
                self.world.receiver.on(path, Behaviour::status(200));
                client.post(&format!("/v1/destinations/{id}/resume"), &json!({})).expect(200);
            }
        }
        self.wait_for_none_pending(&client);
    }

    fn wait_for_none_pending(&self, client: &Client) {
        wait_until("no delivery is pending", || {
            let page = client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
            page["items"].as_array().unwrap().is_empty().then_some(())
        });
    }

    /// Checks what must hold at the end.
    fn settle(&mut self, report: &mut Report) {
        let client = self.server.client();
        let exhausted = client.all("/v1/deliveries?state=exhausted&limit=200").len();
        // Deliveries that used up their schedule are replayed.
        for (id, _) in self.world.tenants.iter().flat_map(|tenant| &tenant.destinations) {
            let body = json!({"since": "2000-01-01T00:00:00Z", "state": "exhausted"});
            client.post(&format!("/v1/destinations/{id}/replay"), &body).expect(202);
        }
        self.wait_for_none_pending(&client);
        let mut arrivals = Arrivals::default();
        for tenant in &self.world.tenants {
            arrivals.wait_for_all(&self.world.receiver, &tenant.ledger, &tenant.paths());
        }
        let file = Connection::open(self.server.setup().database_path()).unwrap();
        let count = |query: &str| file.query_row(query, [], |row| row.get::<_, u64>(0)).unwrap();
        wait_until("what was deleted is gone", || {
            let left = "SELECT (SELECT count(*) FROM account WHERE deleted_at IS NOT NULL)
                        + (SELECT count(*) FROM destination WHERE deleted_at IS NOT NULL)";
            (count(left) == 0).then_some(())
        });

        let acknowledged: usize = self.world.tenants.iter().map(|tenant| tenant.ledger.count()).sum();
        let refused: usize = self.world.tenants.iter().map(|tenant| tenant.ledger.refused().len()).sum();
        report.figure("acknowledged", acknowledged);
        report.figure("answered 503", refused);
        let Done { kills, stops, locks, jumps, deleted, pauses, turns } = self.done;
        report.figure("kills, stops", format!("{kills}, {stops}"));
        report.figure("foreign locks, clock jumps", format!("{locks}, {jumps}"));
        report.figure("accounts deleted, pauses", format!("{deleted}, {pauses}"));
        report.figure("changes of a destination", turns);
        report.figure("exhausted, then replayed", exhausted);
        report.figure("repeats", arrivals.repeats());

        // Each acknowledged event has all of its deliveries, and each delivery succeeded and has arrived.
        for tenant in &self.world.tenants {
            let events = client.all(&format!("/v1/accounts/{}/events?limit=200", tenant.account.id));
            let known: std::collections::HashMap<&str, &Value> =
                events.iter().map(|event| (event["event_id"].as_str().unwrap(), event)).collect();
            for (number, id) in tenant.ledger.acknowledged() {
                let event = known.get(id.as_str()).unwrap_or_else(|| panic!("event {number}, {id}, is lost"));
                let deliveries = event["deliveries"].as_array().unwrap();
                assert_eq!(deliveries.len(), DESTINATIONS, "{event}");
                assert!(deliveries.iter().all(|delivery| delivery["state"] == "succeeded"), "{event}");
            }
        }
        for row in file::deliveries(&file) {
            assert!(arrivals.of(&row.path, row.number) > 0, "{} did not come to {}", row.number, row.path);
        }

        // Counters agree with the rows.
        wait_until("recent counts are in the tallies", || {
            (count("SELECT count(*) FROM tally_recent") == 0).then_some(())
        });
        let rows = count("SELECT count(*) FROM delivery");
        let states = count("SELECT count(*) FROM delivery WHERE state = 1");
        let failures = count("SELECT count(*) FROM attempt WHERE error IS NOT NULL");
        let tallied = |kind: &str| count(&format!("SELECT sum({kind}) FROM tally"));
        assert_eq!((tallied("accepted"), rows), (rows, states), "deliveries made, and rows; rows, and successes");
        assert_eq!(tallied("succeeded"), states, "successes counted, and rows");
        assert_eq!(tallied("failed"), failures, "failures counted, and logged");
        // A first attempt that succeeded is stored in its delivery's row.
        let logged = "SELECT (SELECT count(*) FROM attempt) + count(first_duration_ms) FROM delivery";
        assert_eq!(count("SELECT sum(attempt_count) FROM delivery"), count(logged), "attempts counted, and logged");
        let metrics = client.get("/metrics").expect(200).text();
        assert!(metrics.lines().any(|line| line == "data_pusher_deliveries_pending 0"), "{metrics}");
        let in_hand = "data_pusher_deliveries_in_memory 0";
        assert!(metrics.lines().any(|line| line == in_hand), "{metrics}");
        report.figure("deliveries, attempts that failed", format!("{rows}, {failures}"));
        drop(file);
        let copy = file::copy(self.server.setup().database_path(), self.server.setup().folder());
        file::open_whole(&copy);
    }
}

/// One fault of a random kind.
fn fault(server: &Server, client: &Client, world: &World, random: &mut fastrand::Rng, done: &mut Done) {
    let World { receiver, tenants, clock } = world;
    let tenant = &tenants[random.usize(..tenants.len())];
    let (id, path) = &tenant.destinations[random.usize(..tenant.destinations.len())];
    match random.u8(..10) {
        0 => {
            let other = Connection::open(server.setup().database_path()).unwrap();
            other.busy_timeout(Duration::from_secs(30)).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            std::thread::sleep(Duration::from_millis(random.u64(..1_000)));
            done.locks += 1;
        }
        1 => {
            let Some(clock) = clock else { return };
            clocks::set(clock, if random.bool() { -clocks::HOUR } else { clocks::HOUR });
            // The server looks at the clocks once a second.
            std::thread::sleep(Duration::from_millis(random.u64(500..2_000)));
            clocks::set(clock, 0);
            done.jumps += 1;
        }
        2 => {
            let account = client.create_account(&format!("gone{}", done.deleted));
            client.create_destination(&account, &receiver.url("/gone"), "POST", json!({}));
            for number in 0..random.u64(1..30) {
                client.push(&account, format!("{{\"n\": {}}}", 1_000_000_000 + number));
            }
            client.delete(&format!("/v1/accounts/{}", account.id)).expect(204);
            done.deleted += 1;
        }
        3 => {
            client.post(&format!("/v1/destinations/{id}/pause"), &json!({})).expect(200);
            done.pauses += 1;
        }
        4 => {
            client.post(&format!("/v1/destinations/{id}/resume"), &json!({})).expect(200);
        }
        _ => {
            receiver.on(path, misbehaviour(random));
            done.turns += 1;
        }
    }
}

struct EndsLoad<'a>(&'a AtomicBool);

impl Drop for EndsLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
