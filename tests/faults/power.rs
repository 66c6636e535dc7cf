//! Power cuts. A run of the server is recorded, with all that it did to its files. From the record the files are made
//! as a disk could hold them after a cut at any moment. Each time the file must be whole and hold all that was
//! acknowledged.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::campaign::{Durations, Report, either, seed};
use crate::disk::{Disk, Reached};
use crate::file;
use crate::harness::client::NewAccount;
use crate::harness::{Receiver, Setup, wait_until};
use crate::ledger::Ledger;
use crate::trace::{self, Step};

const CLIENTS: usize = 8;

const PATHS: [&str; 2] = ["/a", "/b"];

/// The record of a server on one file: its steps, and what was acknowledged.
struct Recorded {
    steps: Vec<Step>,
    ledger: Ledger,
    receiver: Receiver,
    _setup: Setup,
}

pub fn a_power_cut_loses_nothing_that_was_acknowledged(report: &mut Report) {
    cut(report, false, either(50, 1_200));
}

pub fn a_power_cut_after_fsyncs_that_failed_loses_nothing_that_was_acknowledged(report: &mut Report) {
    cut(report, true, either(50, 600));
}

fn cut(report: &mut Report, fsyncs_fail: bool, cuts: usize) {
    if let Some(why) = trace::obstacle() {
        return report.skip(why);
    }
    let mut random = fastrand::Rng::with_seed(seed());
    let recorded = record(fsyncs_fail, &mut random);
    report.figure("acknowledged", recorded.ledger.count());
    if fsyncs_fail {
        let failed = recorded.steps.iter().filter(|step| matches!(step, Step::NotSynced(_))).count();
        report.figure("fsyncs that failed", failed);
        assert!(failed > 0);
        report.figure("refused with 503", recorded.ledger.refused().len());
    }
    replay(report, &recorded, cuts, &mut random);
}

/// Records a load, with a kill and a start in between, so that the record also shows what a start does to the log.
fn record(fsyncs_fail: bool, random: &mut fastrand::Rng) -> Recorded {
    let (lives, each) = either((2, 150), (4, 600));
    let (receiver, ledger) = (Receiver::start(), Ledger::default());
    let setup = Setup::dev().flags(&["--retry-schedule", "100ms,1s,1s,1s"]);
    let (mut steps, mut account) = (Vec::new(), None::<NewAccount>);
    for life in 1..=lives {
        let record = setup.folder().join(format!("record{life}"));
        // The first fsyncs must succeed, otherwise the server may not start. Later one in `every` fails. Three fsyncs
        // begin a log: folder, header and pages. The number varies, so that not always the same of them fails.
        let (first, every) = (random.u8(30..40), random.u8(4..20));
        let inject = ["-e".to_owned(), format!("inject=fsync,fdatasync:error=EIO:when={first}+{every}")];
        let words = trace::recorded(&record, if fsyncs_fail { &inject } else { &[] });
        let mut server = setup.clone().through(&words.iter().map(String::as_str).collect::<Vec<_>>()).start();
        let client = server.client();
        let account = account.get_or_insert_with(|| {
            let account = client.create_account("ada");
            for path in PATHS {
                client.create_destination(&account, &receiver.url(path), "POST", json!({}));
            }
            account
        });
        ledger.under_load(&client, &account.token, CLIENTS, || {
            // Readers hold snapshots, so that a checkpoint cannot always copy the whole log.
            let enough = ledger.count() + each;
            while ledger.count() < enough {
                client.get("/v1/deliveries?limit=200").expect(200);
            }
            if life < lives {
                std::thread::sleep(Duration::from_micros(random.u64(..10_000)));
                server.kill();
            }
        });
        if life == lives {
            server.terminate();
        }
        steps.extend(trace::read(&record, server.process_id(), setup.database_path()));
    }
    let answered: usize = steps.iter().filter(|step| matches!(step, Step::Acknowledged(_))).count();
    assert!(answered >= ledger.count(), "{answered} answers in the record, {} came", ledger.count());
    Recorded { steps, ledger, receiver, _setup: setup }
}

/// Whether a step begins the log anew: its first page is written, or the log is shortened or removed. The old content
/// is then lost.
fn begins_the_log(step: &Step) -> bool {
    match step {
        Step::Written { name, offset, .. } => name == "-wal" && *offset == 0,
        Step::Resized { name, .. } | Step::Unlinked(name) => name == "-wal",
        _ => false,
    }
}

/// The last 200 steps, in reverse order: helps to find the reason of a loss.
fn last_first(steps: &[Step]) -> String {
    steps.iter().rev().take(200).map(brief).collect::<Vec<_>>().join("\n")
}

fn brief(step: &Step) -> String {
    match step {
        Step::Written { name, offset, data } => format!("{} bytes at {offset} of {name:?}", data.len()),
        other => format!("{other:?}"),
    }
}

fn replay(report: &mut Report, recorded: &Recorded, cuts: usize, random: &mut fastrand::Rng) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("cut.db");
    let numbers: HashMap<String, u64> =
        recorded.ledger.acknowledged().into_iter().map(|(number, id)| (id, number)).collect();
    let chosen = choose(&recorded.steps, cuts, random);
    let started = either(2, 40).min(chosen.len());
    let (mut disk, mut acknowledged) = (Disk::default(), BTreeMap::new());
    let (mut done, mut states, mut by_server, mut opening) = (0, 0, 0, Durations::default());
    for (position, step) in recorded.steps.iter().enumerate() {
        if begins_the_log(step) {
            assert!(
                disk.has_all_of(""),
                "the log begins anew at step {position}, the file is not on disk;\n{}",
                last_first(&recorded.steps[..=position])
            );
        }
        disk.apply(step, random);
        if let Step::Acknowledged(id) = step {
            // An event without a number here was answered, but a kill kept the answer from its client.
            acknowledged.extend(numbers.get(id).map(|number| (*number, id.clone())));
        }
        if !chosen.contains(&position) {
            continue;
        }
        done += 1;
        let torn = Reached::Torn { sector: if random.bool() { 512 } else { 4_096 } };
        for reached in [Reached::Nothing, Reached::Everything, torn] {
            disk.after_a_cut(reached, random, &database);
            states += 1;
            let what = format!("cut after step {position} of {}, {reached:?}", recorded.steps.len());
            let missing = missing(&database, &acknowledged);
            assert!(
                missing.is_empty(),
                "{what}: lost {missing:?} of {} acknowledged; before the cut, last first:\n{}",
                acknowledged.len(),
                last_first(&recorded.steps[..=position])
            );
        }
        // Some of the files are also opened by the server, which must deliver all that is pending.
        if done * started / cuts > by_server {
            by_server += 1;
            disk.after_a_cut(torn, random, &database);
            opening.add(serves(&database, &acknowledged));
        }
    }
    report.figure("cut points", format!("{done} of {} steps", recorded.steps.len()));
    report.figure("disks made and opened", format!("{states}, and {by_server} by the server"));
    report.figure("lost", 0);
    report.figure("the server was ready after", opening);
    assert_eq!(done, cuts.min(recorded.steps.len()));
    assert!(recorded.receiver.connections() > 0);
}

/// Positions of the cuts. Half of them are anywhere. The others are critical: just after an answer, or just before the
/// end of an fsync.
fn choose(steps: &[Step], cuts: usize, random: &mut fastrand::Rng) -> BTreeSet<usize> {
    let critical: Vec<usize> = (0..steps.len())
        .filter(|at| {
            matches!(steps[*at], Step::Acknowledged(_))
                || matches!(steps.get(at + 1), Some(Step::Synced(_) | Step::NotSynced(_) | Step::FolderSynced))
        })
        .collect();
    let mut chosen = BTreeSet::new();
    while chosen.len() < cuts.min(steps.len()) {
        let at = if random.bool() { random.usize(..steps.len()) } else { critical[random.usize(..critical.len())] };
        chosen.insert(at);
    }
    chosen
}

/// Acknowledged events that are not in the file with all their deliveries. Fails if the file is damaged.
fn missing(database: &Path, acknowledged: &BTreeMap<u64, String>) -> Vec<u64> {
    let file = file::open_whole(database);
    let tables: i64 = file.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    let found = if tables > 0 { file::deliveries_by_event(&file) } else { HashMap::new() };
    acknowledged.keys().copied().filter(|number| found.get(number) != Some(&PATHS.len())).collect()
}

/// Starts the server on the file, checks that what was acknowledged is there, and waits until all is delivered. Returns
/// the time until the server was ready.
fn serves(database: &Path, acknowledged: &BTreeMap<u64, String>) -> Duration {
    let started = std::time::Instant::now();
    let mut server = Setup::dev().database(database).flags(&["--retry-schedule", "100ms,1s,1s,1s"]).start();
    crate::kills::wait_until_ready(&server);
    let ready = started.elapsed();
    let client = server.client();
    for id in acknowledged.values().rev().take(100) {
        let event = client.get(&format!("/v1/events/{id}")).expect(200).json();
        assert_eq!(event["deliveries"].as_array().map(Vec::len), Some(PATHS.len()), "{event}");
    }
    wait_until("no delivery is pending", || {
        let page = client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
        page["items"].as_array().unwrap().is_empty().then_some(())
    });
    server.terminate();
    ready
}
