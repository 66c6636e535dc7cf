//! The one thread that writes. The thread runs what waits in its queue in one transaction, commits once, and then
//! answers all callers (group commit). So nobody in this process meets a locked database, and callers share the cost of
//! an fsync. How much goes together is decided in `commit`, and business steps are in `operations`.

pub mod closing;
pub mod reopen;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::change::{Change, Observer};
use super::commit::queue::{QueueReceiver, Work};
use super::commit::transaction::Transaction;
use super::commit::write_request::WriteRequest;
use super::file::checkpointer::{Checkpointer, Task};
use super::file::disk_space::{self, FreeSpace};
use super::file::held::{HeldFile, Lost};
use super::file::identity::marker::Marker;
use super::file::{lock_wait, wal};
use super::memory::Memory;
use super::memory::destination_cache::DestinationCache;
use super::operations::{id_slot, outcomes, tally};
use super::outcome::FinishedAttempt;
use crate::domain::ids::SequenceIds;
use crate::error::{Error, Kind, Result, Unavailable};
use crate::process::critical::{EndsProcess, panic_point};

/// Time between two tries to write outcomes whose commit failed.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// After this long without anything to write, the WAL is copied into the file. That gives freed pages back to the file
/// system and makes the next start short.
const IDLE: Duration = Duration::from_secs(1);

/// Time between two looks whether a checkpoint has ended or the read gate can open, if nothing else is to be done.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Time between two tries to cut the WAL while free disk space is below the reserve.
const RECLAIM_INTERVAL: Duration = Duration::from_millis(500);

/// How long one such try waits for readers of old snapshots.
const RECLAIM_TIMEOUT: Duration = Duration::from_millis(50);

/// Time between two checks that the file is at its path, while there is something to write.
const FILE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Minimum time between two log lines about the same failure.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

const _: () = assert!(POLL_INTERVAL.as_millis() < IDLE.as_millis(), "the thread looks more often while it waits");
const _: () = assert!(RECLAIM_TIMEOUT.as_millis() < RECLAIM_INTERVAL.as_millis(), "writes go on between two tries");

/// What the write thread needs of a file that was opened.
pub struct Opened {
    /// The locked file.
    pub held: Arc<HeldFile>,
    /// The read-write connection.
    pub connection: Connection,
    /// Continues from the last mark of the file.
    pub marker: Marker,
}

/// Starts the write thread on an opened file. The thread ends when the other end of `receiver` asks for a stop.
///
/// # Errors
/// Those of reading the file, and of starting a thread.
pub fn start(
    opened: Opened,
    memory: Arc<Memory>,
    observer: Observer,
    receiver: QueueReceiver,
) -> Result<JoinHandle<()>> {
    let Opened { held, connection, marker } = opened;
    let slot = id_slot::at_start(&connection, held.place().map_err(|error| Error::internal(error.to_string()))?)?;
    let last: i64 = connection
        .query_row(
            "SELECT max(coalesce((SELECT max(id) FROM event), 0), coalesce((SELECT max(id) FROM delivery), 0),
             coalesce((SELECT max(first_id) FROM destination), 0))",
            [],
            |row| row.get(0),
        )
        .map_err(|error| Error::internal(error.to_string()))?;
    lock_wait::set_lock_timeout(&connection, held.checkpoints(), false).map_err(super::error::sql)?;
    let thread = Thread {
        connection: Some(connection),
        checkpointer: Checkpointer::start(&held)?,
        marker,
        memory,
        observer,
        ids: SequenceIds::after(last, slot),
        destinations: DestinationCache::default(),
        pending_outcomes: VecDeque::new(),
        locked: false,
        logged: None,
        space: disk_space::Monitor::default(),
        reclaimed_at: None,
        seen_at: None,
        held,
    };
    std::thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || thread.run(receiver))
        .map_err(|error| Error::internal(format!("cannot start the write thread: {error}")))
}

struct Thread {
    /// `None` after a failure that makes the connection untrustworthy, until the next transaction opens it again.
    connection: Option<Connection>,
    /// Outlives every connection that is opened again.
    checkpointer: Checkpointer,
    marker: Marker,
    memory: Arc<Memory>,
    observer: Observer,
    ids: SequenceIds,
    destinations: DestinationCache,
    /// Outcomes of the transaction in progress and of failed commits, oldest first.
    pending_outcomes: VecDeque<FinishedAttempt>,
    /// Whether another program held the file's lock at the last try.
    locked: bool,
    /// When a failure was last logged, and the code of that failure.
    logged: Option<(Instant, &'static str)>,
    space: disk_space::Monitor,
    /// When the WAL was last cut, or a cut was last tried.
    reclaimed_at: Option<Instant>,
    /// When the file was last checked to be at its path.
    seen_at: Option<Instant>,
    /// Outlives the connections: closing its descriptor would drop their locks; see [`HeldFile`].
    held: Arc<HeldFile>,
}

impl Thread {
    fn run(mut self, mut receiver: QueueReceiver) {
        let mut requests: Vec<Box<dyn WriteRequest>> = Vec::new();
        let mut retry_at: Option<Instant> = None;
        let mut log_holds_some = true;
        // Declared last, so dropped first: after a panic the process ends before anything else is closed.
        let _ends = EndsProcess("write thread");
        loop {
            panic_point("writer");
            let busy = self.checkpointer.is_under_way() || self.memory.read_gate.is_closed();
            let rest = if busy { POLL_INTERVAL } else { IDLE };
            let deadline = retry_at.or_else(|| log_holds_some.then(|| Instant::now() + rest));
            // While outcomes wait for their next try, new outcomes alone begin no transaction.
            let taken = receiver.next_work(deadline, retry_at.is_none(), &mut requests, &mut self.pending_outcomes);
            if matches!(taken, Work::Idle) && retry_at.is_none() {
                let task = self.checkpointer.idle_task();
                self.run_task(task);
                self.check_read_gate();
                log_holds_some = self.checkpointer.is_under_way() || self.memory.read_gate.is_closed();
                continue;
            }
            log_holds_some = true;
            self.write(&mut requests, &mut receiver);
            retry_at = (!self.pending_outcomes.is_empty()).then(|| Instant::now() + RETRY_INTERVAL);
            if let Work::Stop(done) = taken {
                self.close();
                let _ = done.send(());
                return;
            }
        }
    }

    /// Runs one transaction of all requests and all pending outcomes, and answers the callers.
    fn write(&mut self, requests: &mut Vec<Box<dyn WriteRequest>>, receiver: &mut QueueReceiver) {
        if requests.is_empty() && self.pending_outcomes.is_empty() {
            return;
        }
        let started = Instant::now();
        self.memory.metrics.begin(started);
        let result = self.transaction(requests, receiver);
        self.note_lock(result.as_ref().is_err_and(|error| error.is_unavailable(Unavailable::Locked)));
        let took = started.elapsed().saturating_sub(receiver.lingered());
        let writes = requests.len() + self.pending_outcomes.len();
        self.memory.metrics.end(took, writes, &result);
        match result {
            Ok(changes) => {
                tracing::debug!(writes, took_micros = took.as_micros() as u64, "committed");
                self.pending_outcomes.clear();
                let accepted = changes.iter().filter(|change| matches!(change, Change::Accepted(_))).count();
                if accepted > 0 {
                    self.memory.metrics.accepted(accepted as u64);
                    self.memory.read_throttle.accepted(Instant::now());
                }
                if !requests.is_empty() {
                    receiver.budget().deliveries_created(changes.iter().map(Change::deliveries_made).sum());
                }
                (self.observer)(changes);
                for request in requests.drain(..) {
                    request.answer(None);
                }
                let room = self.space.free_space(self.held.path());
                let task = self.checkpointer.task(wal::pages(), room);
                self.run_task(task);
                self.check_read_gate();
                if room == FreeSpace::Low {
                    self.reclaim_wal();
                }
            }
            Err(failure) => {
                self.log_failure(&failure, requests.len());
                for request in requests.drain(..) {
                    request.answer(Some(&failure));
                }
            }
        }
    }

    /// Sets how long the next transaction waits for the file's lock.
    fn note_lock(&mut self, locked: bool) {
        if self.locked != locked
            && let Some(connection) = &self.connection
            && let Err(error) = lock_wait::set_lock_timeout(connection, self.held.checkpoints(), locked)
        {
            tracing::warn!(%error, "the wait for the file's lock stays as it was");
        }
        self.locked = locked;
    }

    /// Logs why a transaction failed, at most once in [`LOG_INTERVAL`] for the same code.
    fn log_failure(&mut self, failure: &Error, refused: usize) {
        let code = failure.code();
        if self.logged.is_some_and(|(at, same)| same == code && at.elapsed() < LOG_INTERVAL) {
            return;
        }
        self.logged = Some((Instant::now(), code));
        let outcomes_kept = self.pending_outcomes.len();
        tracing::error!(error = failure.detail(), code, refused, outcomes_kept, "cannot write to the database");
    }

    fn transaction(
        &mut self,
        requests: &mut Vec<Box<dyn WriteRequest>>,
        receiver: &mut QueueReceiver,
    ) -> Result<Vec<Change>> {
        self.check_file()?;
        if self.connection.is_none() {
            // Wait for the checkpoint in progress first: it must not advance `nBackfill` after the reset in `reopen`.
            self.join_checkpoint();
            let (connection, change) = reopen::connect(&self.held, &self.memory)?;
            self.destinations.clear();
            lock_wait::set_lock_timeout(&connection, self.held.checkpoints(), self.locked)
                .map_err(super::error::sql)?;
            (self.observer)(vec![change]);
            self.connection = Some(connection);
            tracing::info!("database connection opened anew");
        }
        let Some(connection) = self.connection.as_ref() else { return Err(Error::internal("no connection")) };
        if let Err(error) = self.marker.begin(connection, &self.held) {
            if error.is_unavailable(Unavailable::Io) {
                self.connection = None;
            }
            return Err(error);
        }
        let room = self.space.free_space(self.held.path());
        let mut tx =
            Transaction::new(connection, &mut self.ids, &mut self.destinations, &self.memory, room != FreeSpace::Low);
        let done = run_transaction(&mut tx, requests, &mut self.pending_outcomes, receiver);
        match done {
            Ok(()) => Ok(tx.committed()),
            Err(error) => {
                drop(tx);
                self.destinations.clear();
                // There is nothing to roll back if SQLite already did so.
                let rolled_back = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
                if error.is_unavailable(Unavailable::Io) || !rolled_back {
                    // After a failed fsync the kernel may have dropped the pages that it could not write. What the
                    // connection holds in memory then proves nothing about the disk.
                    self.connection = None;
                }
                Err(error)
            }
        }
    }

    /// Checks that the file is at its path; while all is well, at most once in [`FILE_CHECK_INTERVAL`]. Otherwise
    /// nothing is written, since such a write could be lost.
    fn check_file(&mut self) -> Result<()> {
        if self.held.lost().is_none() && self.seen_at.is_some_and(|at| at.elapsed() < FILE_CHECK_INTERVAL) {
            return Ok(());
        }
        self.seen_at = Some(Instant::now());
        let checked = self.held.check();
        if self.held.lost() == Some(Lost::Log) {
            // The removed WAL is still open in this process, and its content is nowhere else. So it is copied into the
            // file.
            self.join_checkpoint();
            self.checkpoint();
        }
        checked
    }

    /// Gives the disk space of the WAL back. Free space is below the reserve and events are refused. The WAL keeps the
    /// length that it once had, and must not be what fills the disk.
    fn reclaim_wal(&mut self) {
        // The WAL gets shorter only when it starts again.
        if self.held.checkpoints().are_external() {
            return;
        }
        if self.held.lost().is_some() || self.reclaimed_at.is_some_and(|at| at.elapsed() < RECLAIM_INTERVAL) {
            return;
        }
        self.reclaimed_at = Some(Instant::now());
        let task = self.checkpointer.checkpoint_now();
        let failed = matches!(task, Task::Failed(_));
        self.run_task(task);
        let Some(connection) = self.connection.as_ref().filter(|_| !failed) else { return };
        let shortened = wal::truncate(connection, RECLAIM_TIMEOUT, || self.marker.commit(connection, &self.held, true));
        if let Err(error) = shortened {
            self.checkpoint_failed(&error);
        }
    }

    /// Runs a checkpoint if the WAL has grown too long because reads overlap, and the read gate has made a moment
    /// without reads. Then the whole WAL is copied, and the next commit starts the WAL again.
    fn check_read_gate(&mut self) {
        if self.held.checkpoints().are_external() {
            return;
        }
        if self.memory.read_gate.log_has(wal::pages().unsigned_abs(), Instant::now()) {
            let task = self.checkpointer.checkpoint_now();
            self.run_task(task);
        }
    }

    /// Waits for the checkpoint in progress, if there is one.
    fn join_checkpoint(&mut self) {
        let task = self.checkpointer.join();
        self.run_task(task);
    }

    fn run_task(&mut self, task: Task) {
        match task {
            Task::Nothing => {}
            Task::Finish => self.checkpoint(),
            Task::Failed(failure) => self.checkpoint_failed(&failure),
        }
    }

    /// Copies what the WAL holds into the file. If that was all of it, the WAL starts again at once with a new mark, so
    /// that the next write need not wait for a mark.
    fn checkpoint(&mut self) {
        let Some(connection) = &self.connection else { return };
        if let Err(failure) = checkpoint_all(connection, &mut self.marker, &self.held) {
            self.checkpoint_failed(&failure);
        }
    }

    fn checkpoint_failed(&mut self, failure: &Error) {
        self.log_failure(failure, 0);
        // A removed WAL is open in this connection alone, and no other could be opened.
        if failure.is_unavailable(Unavailable::Io) && self.held.lost() != Some(Lost::Log) {
            // The fsync of the file may have failed, so the connection is not trusted.
            self.connection = None;
        }
    }

    /// Copies the whole WAL into the file and closes the file, so that the database is one file.
    fn close(mut self) {
        self.join_checkpoint();
        if !self.pending_outcomes.is_empty() {
            tracing::error!(
                outcomes = self.pending_outcomes.len(),
                "outcomes could not be written; those deliveries are sent again"
            );
        }
        drop(self.checkpointer);
        closing::close(&self.held, self.marker, self.connection);
    }
}

/// The checkpoint of [`Thread::checkpoint`], with its error.
fn checkpoint_all(connection: &Connection, marker: &mut Marker, held: &HeldFile) -> Result<()> {
    let checked = marker.check_content(connection, held);
    // Nothing is copied over a file that somebody put there. A removed WAL is still open in this connection, and
    // belongs to its file.
    if held.lost().is_some_and(|lost| lost != Lost::Log) || marker.is_alone(connection)? {
        return checked;
    }
    let moved = wal::checkpoint(connection)?;
    if held.lost().is_some() {
        return checked;
    }
    if moved < wal::pages() { Ok(()) } else { marker.prepare(connection, held) }
}

/// Runs all requests and outcomes, then `COMMIT`. What else arrives for this transaction is appended to `requests` and
/// `outcomes`.
fn run_transaction(
    tx: &mut Transaction<'_>,
    requests: &mut Vec<Box<dyn WriteRequest>>,
    outcomes: &mut VecDeque<FinishedAttempt>,
    receiver: &mut QueueReceiver,
) -> Result<()> {
    let (mut settled, mut done) = (0, 0);
    loop {
        let began = Instant::now();
        for finished in outcomes.range_mut(settled..) {
            outcomes::record(tx, finished)?;
        }
        receiver.budget().observe(outcomes.len() - settled, began.elapsed());
        for request in &mut requests[done..] {
            run_request(tx, request.as_mut())?;
        }
        (settled, done) = (outcomes.len(), requests.len());
        if !receiver.wait_for_group(requests, outcomes) {
            break;
        }
    }
    let counts = tx.take_counts();
    tally::write(tx, counts)?;
    tx.run("COMMIT", [])?;
    Ok(())
}

/// Runs one request. An error returned here fails the whole transaction.
fn run_request(tx: &mut Transaction<'_>, request: &mut dyn WriteRequest) -> Result<()> {
    if request.wants_savepoint() {
        return tx.with_savepoint(|tx| request.run(tx));
    }
    match request.run(tx) {
        Err(error)
            if matches!(error.kind(), Kind::Unavailable(_) | Kind::Internal)
                && !error.is_unavailable(Unavailable::DiskLow) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
