//! Replication by Litestream (0.5.17 or newer), with `--checkpoints external`. What the server acknowledged is in its
//! file whoever starts, stops or is killed first; and in a copy that Litestream restores, but for the last moments.
//! The program is `litestream` in PATH, or the one that `LITESTREAM` names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::campaign::{Report, either, seed};
use crate::file;
use crate::harness::{Client, Receiver, Setup, wait_until};
use crate::kills::wait_until_ready;
use crate::ledger::{Arrivals, Ledger};

/// What the configuration asks for: Litestream sends what is new this often.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a restored copy may lack at most: an interval, and the time to write what came in it.
const MAY_LACK: Duration = Duration::from_secs(5);

const CLIENTS: usize = 6;

/// A replicating Litestream, killed on drop.
struct Litestream {
    program: PathBuf,
    config: PathBuf,
    database: PathBuf,
    child: Option<Child>,
}

impl Litestream {
    /// `None` if the machine has no Litestream.
    /// `more` are further lines of its configuration for the database.
    fn find(folder: &Path, database: &Path, more: &str) -> Option<Self> {
        let program = PathBuf::from(std::env::var_os("LITESTREAM").unwrap_or_else(|| "litestream".into()));
        Command::new(&program).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        let config = folder.join("litestream.yml");
        let text = format!(
            "dbs:\n  - path: {}\n{more}    replica:\n      type: file\n      path: {}\n      sync-interval: {}s\n",
            database.display(),
            folder.join("replica").display(),
            INTERVAL.as_secs()
        );
        std::fs::write(&config, text).unwrap();
        Some(Self { program, config, database: database.to_owned(), child: None })
    }

    fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.config.with_extension("log")).unwrap();
        let child = Command::new(&self.program)
            .arg("replicate")
            .arg("-config")
            .arg(&self.config)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// SIGKILL.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// SIGTERM: it ships what it has, and ends.
    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let done = Command::new("kill").arg(child.id().to_string()).status().unwrap();
            assert!(done.success());
            child.wait().unwrap();
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.config.with_extension("log")).unwrap_or_default()
    }

    /// Waits until the replica holds a first copy.
    #[track_caller]
    fn wait_for_copy(&self) {
        let replica = self.config.with_file_name("replica");
        wait_until("Litestream has made a copy", || {
            let found = std::fs::read_dir(&replica).is_ok_and(|mut entries| entries.next().is_some());
            found.then_some(())
        });
    }

    /// Restores the newest state into a new file.
    #[track_caller]
    fn restore(&self, to: &Path) {
        let output = Command::new(&self.program)
            .arg("restore")
            .arg("-config")
            .arg(&self.config)
            .arg("-o")
            .arg(to)
            .arg(&self.database)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", self.log());
    }
}

impl Drop for Litestream {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Random kills, stops and starts of both, in any order.
pub fn whoever_starts_first_and_is_killed_nothing_is_lost(report: &mut Report) {
    let mut random = fastrand::Rng::with_seed(seed());
    let receiver = Receiver::start();
    let setup = Setup::dev().flags(&["--checkpoints", "external"]);
    // It moves the log as often as it can, so that many a log begins with its own transactions.
    let often = "    min-checkpoint-page-count: 5\n    checkpoint-interval: 1s\n    monitor-interval: 50ms\n";
    let Some(mut litestream) = Litestream::find(setup.folder(), setup.database_path(), often) else {
        return report.skip("there is no litestream");
    };
    let mut server = setup.start();
    let account = server.client().create_account("ada");
    server.client().create_destination(&account, &receiver.url("/a"), "POST", json!({}));
    let (ledger, mut arrivals) = (Ledger::default(), Arrivals::default());
    let mut acts: HashMap<&str, usize> = HashMap::new();
    for _ in 0..either(12, 120) {
        let client = server.client();
        let act = random.u8(..8);
        ledger.under_load(&client, &account.token, CLIENTS, || {
            ledger.wait_for_more(either(60, 300));
            let name = match act {
                0 | 1 => {
                    litestream.kill();
                    litestream.start();
                    "Litestream killed and started"
                }
                2 => {
                    litestream.stop();
                    litestream.start();
                    "Litestream stopped and started"
                }
                3 => {
                    litestream.stop();
                    "Litestream stopped"
                }
                4 => {
                    litestream.kill();
                    server.kill();
                    "both killed"
                }
                5 | 6 => {
                    server.kill();
                    "server killed"
                }
                _ => {
                    server.terminate();
                    "server stopped"
                }
            };
            *acts.entry(name).or_default() += 1;
        });
        if act >= 4 {
            // While no server runs, Litestream may move the log, end, or begin.
            match random.u8(..4) {
                0 => litestream.stop(),
                1 => {
                    litestream.stop();
                    litestream.start();
                }
                _ => {}
            }
            server.start_again();
            wait_until_ready(&server);
        }
    }
    arrivals.wait_for_all(&receiver, &ledger, &["/a"]);
    server.terminate();
    litestream.stop();
    let stored = file::deliveries_by_event(&file::open_whole(server.setup().database_path()));
    report.figure("acts", acts.values().sum::<usize>());
    acts.iter().for_each(|(name, count)| report.figure(&format!("  {name}"), count));
    report.figure("acknowledged", ledger.count());
    report.figure("answered 503", ledger.refused().len());
    report.figure("repeats", arrivals.repeats());
    assert!(ledger.acknowledged().keys().all(|number| stored.contains_key(number)));
    assert!(ledger.refused().is_empty());
}

/// Full load, then both are killed at one moment, and the copy is served.
pub fn a_restored_copy_lacks_no_more_than_the_last_moments(report: &mut Report) {
    let setup = Setup::dev().flags(&["--checkpoints", "external", "--retention", "1d"]);
    let Some(mut litestream) = Litestream::find(setup.folder(), setup.database_path(), "") else {
        return report.skip("there is no litestream");
    };
    let mut server = setup.start();
    let account = server.client().create_account("ada");
    let filled = fill(&server.client(), &account.token, either(20, 1_000));
    let alone = load(&server.client(), &account.token, filled, either(2, 20), || {});
    litestream.start();
    litestream.wait_for_copy();
    let beside = load(&server.client(), &account.token, alone.next, either(6, 120), || {});
    let log = setup.database_path().with_extension("db-wal").metadata().map_or(0, |meta| meta.len());
    // The moment is the fault: both end while events are sent.
    let last = load(&server.client(), &account.token, beside.next, 2, || {
        server.kill();
        litestream.kill();
    });
    let killed = last.stopped;

    let restored = setup.folder().join("restored.db");
    let began = Instant::now();
    litestream.restore(&restored);
    let took = began.elapsed();
    let size = restored.metadata().unwrap().len();
    let held = numbers(&restored);
    let all = [&alone, &beside, &last].into_iter().flat_map(|load| &load.acknowledged);
    let missing: Vec<Duration> =
        all.filter(|(number, _)| !held.contains(number)).map(|(_, at)| killed.saturating_duration_since(*at)).collect();
    let oldest = missing.iter().max().copied().unwrap_or_default();
    let again = setup.clone().database(&restored).start();
    wait_until_ready(&again);
    again.client().try_push(&account.token, &[], b"{\"n\": 0}").unwrap().expect(202);

    report.figure("file", format!("{} MiB", size >> 20));
    report.figure("log at the kill", format!("{} MiB", log >> 20));
    report.figure("acknowledged alone, beside it", format!("{}, {}", alone.rate(), beside.rate()));
    report.figure("p99 alone, beside it", format!("{:?}, {:?}", alone.p99(), beside.p99()));
    report.figure("longest answer beside it", format!("{:?}", beside.longest()));
    report.figure("answered 503", beside.refused);
    report.figure("missing in the copy", format!("{}, the oldest {oldest:?} before the kill", missing.len()));
    report.figure("restored in", format!("{took:?}"));
    assert_eq!(beside.refused, 0);
    assert!(oldest <= MAY_LACK, "{oldest:?}\n{}", litestream.log());
    assert!(!beside.acknowledged.is_empty() && !held.is_empty());
}

/// What a load saw.
struct Load {
    /// When each event was acknowledged.
    acknowledged: HashMap<u64, Instant>,
    answers: Vec<Duration>,
    refused: u64,
    length: Duration,
    /// Number of the next event.
    next: u64,
    /// When the load ended.
    stopped: Instant,
}

impl Load {
    fn rate(&self) -> String {
        format!("{:.0}/s", self.answers.len() as f64 / self.length.as_secs_f64())
    }

    fn p99(&self) -> Duration {
        let mut sorted = self.answers.clone();
        sorted.sort();
        sorted.get(sorted.len() * 99 / 100).copied().unwrap_or_default()
    }

    fn longest(&self) -> Duration {
        self.answers.iter().max().copied().unwrap_or_default()
    }
}

/// Sends events with several clients for some seconds. `last` runs at the end, while they still send.
fn load(client: &Client, token: &str, first: u64, seconds: u64, last: impl FnOnce()) -> Load {
    let (next, ended, refused) = (AtomicU64::new(first), AtomicBool::new(false), AtomicU64::new(0));
    let (acknowledged, answers) = (Mutex::new(HashMap::new()), Mutex::new(Vec::new()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let sent = Instant::now();
                    let Ok(answer) = client.try_push(token, &[], format!("{{\"n\": {number}}}").as_bytes()) else {
                        break;
                    };
                    if answer.status == 202 {
                        answers.lock().unwrap().push(sent.elapsed());
                        acknowledged.lock().unwrap().insert(number, Instant::now());
                    } else {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_secs(seconds));
        last();
        ended.store(true, Ordering::Relaxed);
    });
    Load {
        acknowledged: acknowledged.into_inner().unwrap(),
        answers: answers.into_inner().unwrap(),
        refused: refused.into_inner(),
        length: began.elapsed(),
        next: next.into_inner(),
        stopped: Instant::now(),
    }
}

/// Makes the file at least this many MiB long. Returns the number of the next event.
fn fill(client: &Client, token: &str, mebibytes: u64) -> u64 {
    const BODY: u64 = 256 * 1024;
    let count = mebibytes * 1024 * 1024 / BODY;
    let fat = "x".repeat(BODY as usize);
    for number in 0..count {
        let body = format!("{{\"n\": {number}, \"fat\": \"{fat}\"}}");
        client.try_push(token, &[], body.as_bytes()).unwrap().expect(202);
    }
    count
}

/// Numbers of the events in a whole file.
fn numbers(database: &Path) -> std::collections::HashSet<u64> {
    let file = file::open_whole(database);
    let mut query =
        file.prepare("SELECT payload ->> '$.n' FROM (SELECT CAST(payload AS TEXT) payload FROM event)").unwrap();
    let rows = query.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    rows.map(|number| number.unwrap().unsigned_abs()).collect()
}
