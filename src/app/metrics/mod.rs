//! All metrics of the server as text. They are counted where it happens: in `api`, `delivery` and `store`. Here they get
//! their names. A name, once published, stays: people have alerts on it.

mod page;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::api::{IngestMetrics, IngestMetricsSnapshot};
use crate::delivery::{EngineMetrics, EngineMetricsSnapshot, clock};
use crate::domain::access::Scope;
use crate::domain::instance::InstanceName;
use crate::domain::memory::MemoryBudget;
use crate::domain::overview::Backlog;
use crate::domain::time::Timestamp;
use crate::store::{StorageFigures, Store, WriteMetricsSnapshot};
use crate::web::access::AdminAccess;
use page::Kind::{Counter, Gauge};
use page::Page;

/// What the file has to say must come in this time. Whoever asks for metrics gets an answer also from a disk that hangs.
const FILE_WITHIN: Duration = Duration::from_secs(1);

/// A transaction that takes this long is stuck.
const STUCK: Duration = Duration::from_secs(1);

/// Microseconds in a second.
const MICROS: f64 = 1e6;

/// Where the metrics come from.
pub struct Sources {
    /// The engine.
    pub engine: Arc<EngineMetrics>,
    /// The database.
    pub store: Store,
    /// The data handler.
    pub ingest: Arc<IngestMetrics>,
    /// Logins.
    pub access: Arc<AdminAccess>,
    /// Memory for documents.
    pub memory: MemoryBudget,
    /// `--workers`.
    pub workers: usize,
    /// Name of this instance among several.
    pub instance: Option<InstanceName>,
    /// When the server started.
    pub started: Timestamp,
    /// Held while the file is asked, so that on a disk that hangs no threads pile up.
    pub asking: Arc<Semaphore>,
}

/// What was read for one page.
struct Readings {
    engine: EngineMetricsSnapshot,
    writes: WriteMetricsSnapshot,
    ingest: IngestMetricsSnapshot,
    storage: Option<StorageFigures>,
    backlog: Option<Backlog>,
    now: Timestamp,
}

impl Sources {
    /// All metrics as text. Metrics that could not be read in time have no value.
    pub async fn text(&self) -> String {
        let asked = tokio::time::timeout(FILE_WITHIN, self.ask_file()).await;
        let (storage, backlog) = asked.unwrap_or_default();
        self.render(&Readings {
            engine: self.engine.read(),
            writes: self.store.write_metrics(),
            ingest: self.ingest.read(),
            storage,
            backlog,
            now: clock::wall(),
        })
    }

    async fn ask_file(&self) -> (Option<StorageFigures>, Option<Backlog>) {
        let Ok(permit) = Arc::clone(&self.asking).acquire_owned().await else { return (None, None) };
        let store = self.store.clone();
        // A task of its own keeps the permit until both have ended, however long that takes.
        let asked = tokio::spawn(async move {
            let _permit = permit;
            if store.write_metrics().failure.is_some() {
                // Only a write tells whether writes still fail, and there may be no other.
                let _ = store.probe().await;
            }
            let everything = store.within(&Scope::All);
            let (storage, backlog) = tokio::join!(store.storage_figures(), everything.backlog());
            (storage.ok(), backlog.ok())
        });
        asked.await.unwrap_or_default()
    }

    fn render(&self, read: &Readings) -> String {
        let mut page = Page::default();
        self.about(&mut page);
        events(&mut page, read);
        attempts(&mut page, &read.engine);
        destinations(&mut page, read, self.workers);
        writes(&mut page, &read.writes);
        storage(&mut page, read);
        page.text()
    }

    fn about(&self, page: &mut Page) {
        let version = [(env!("CARGO_PKG_VERSION"), 1)];
        page.each(("data_pusher_build_info", "version"), Gauge, "Version of the server.", version);
        if let Some(instance) = &self.instance {
            let name = [(instance.as_str(), 1)];
            page.each(("data_pusher_instance", "name"), Gauge, "Name of this server among several.", name);
        }
        let started = self.started.millis() as f64 / 1_000.0;
        page.one("process_start_time_seconds", Gauge, "Start of the server, as Unix time.", started);
        let memory = &self.memory;
        page.one("data_pusher_memory_used_bytes", Gauge, "Memory used by documents.", memory.used() as f64);
        page.one("data_pusher_memory_limit_bytes", Gauge, "Memory that documents may use.", memory.limit() as f64);
        let help = "Requests with a wrong admin token or login link.";
        page.one("data_pusher_wrong_logins_total", Counter, help, self.access.failed_logins() as f64);
    }
}

fn events(page: &mut Page, read: &Readings) {
    let ingest = &read.ingest;
    page.one("data_pusher_events_accepted_total", Counter, "Events on disk.", read.writes.accepted as f64);
    let help = "Repeats under an Idempotency-Key, which are not stored again.";
    page.one("data_pusher_events_duplicate_total", Counter, help, ingest.duplicates as f64);
    let help = "Events refused, by the code of the error.";
    page.each(("data_pusher_events_refused_total", "reason"), Counter, help, ingest.refused.iter().copied());
    let help = "Events refused because their token was rotated and its time of grace is over.";
    page.one("data_pusher_expired_tokens_total", Counter, help, ingest.expired_tokens as f64);
    let help = "Time from the last byte of an event to the answer that it is on disk.";
    page.histogram("data_pusher_ingest_duration_seconds", help, MICROS, &ingest.answer_micros);
}

fn attempts(page: &mut Page, engine: &EngineMetricsSnapshot) {
    let failed = engine.failed.iter().map(|(class, count)| (class.as_str(), *count));
    let all = std::iter::once(("success", engine.succeeded)).chain(failed);
    page.each(("data_pusher_attempts_total", "outcome"), Counter, "Attempts, by what came of them.", all);
    let help = "Duration of attempts.";
    page.histogram("data_pusher_attempt_duration_seconds", help, MICROS, &engine.attempt_micros);
    let help = "Deliveries whose retry schedule is used up.";
    page.one("data_pusher_deliveries_exhausted_total", Counter, help, engine.exhausted as f64);
}

fn destinations(page: &mut Page, read: &Readings, workers: usize) {
    let engine = &read.engine;
    let pending = read.writes.pending.max(0) as f64;
    page.one("data_pusher_deliveries_pending", Gauge, "Deliveries that are pending.", pending);
    if let Some(backlog) = &read.backlog {
        let age = backlog.oldest.map_or(Duration::ZERO, |oldest| read.now.since(oldest)).as_secs_f64();
        let help = "Age of the oldest event with a pending delivery; 0 without one.";
        page.one("data_pusher_oldest_pending_age_seconds", Gauge, help, age);
    }
    page.one("data_pusher_deliveries_in_memory", Gauge, "Deliveries in memory.", engine.in_hand as f64);
    page.one("data_pusher_attempts_in_flight", Gauge, "Workers that are busy.", engine.busy_workers as f64);
    page.one("data_pusher_workers", Gauge, "Workers that there may be.", workers as f64);
    let standings = engine.destinations.iter().map(|(standing, count)| (standing.as_str(), *count));
    page.each(("data_pusher_destinations", "standing"), Gauge, "Destinations, by how they stand.", standings);
}

fn writes(page: &mut Page, writes: &WriteMetricsSnapshot) {
    let help = "Duration of commits.";
    page.histogram("data_pusher_commit_duration_seconds", help, MICROS, &writes.commit_micros);
    let help = "Writes that one commit has.";
    page.histogram("data_pusher_commit_writes", help, 1.0, &writes.commit_writes);
    let failed = writes.failed_commits as f64;
    page.one("data_pusher_commit_failures_total", Counter, "Commits that failed.", failed);
    let help = "How long the commit in progress has taken so far; 0 without one.";
    page.one("data_pusher_commit_running_seconds", Gauge, help, writes.running.as_secs_f64());
}

fn storage(page: &mut Page, read: &Readings) {
    let help = "Whether events cannot be stored for this reason, as /readyz gives it.";
    page.each(("data_pusher_storage_problem", "reason"), Gauge, help, problems(read));
    let Some(figures) = &read.storage else { return };
    page.one("data_pusher_file_bytes", Gauge, "Size of the database file.", figures.file as f64);
    page.one("data_pusher_log_bytes", Gauge, "Size of the write-ahead log.", figures.log as f64);
    let Some(space) = figures.space else { return };
    page.one("data_pusher_disk_free_bytes", Gauge, "Free space of the disk.", space.free as f64);
    let help = "Free space below which events are refused.";
    page.one("data_pusher_disk_reserve_bytes", Gauge, help, space.reserve as f64);
}

/// Each reason that storing may fail for, and 1 where it does. What only a write can find out is as of the last one.
fn problems(read: &Readings) -> [(&'static str, u64); 6] {
    let low = |figures: StorageFigures| figures.space.is_some_and(|space| space.free <= space.reserve);
    let failed = |code| read.writes.failure == Some(code);
    [
        ("storage_moved", read.storage.is_some_and(|figures| figures.is_lost)),
        ("storage_low", read.storage.is_some_and(low)),
        ("storage_full", failed("storage_full")),
        ("storage_locked", failed("storage_locked")),
        ("storage_unavailable", failed("storage_unavailable")),
        ("storage_stuck", read.writes.running >= STUCK),
    ]
    .map(|(reason, applies)| (reason, u64::from(applies)))
}
