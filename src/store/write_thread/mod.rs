//! The one thread that writes. The thread runs what waits in its queue in one transaction, commits once, and then
//! answers all callers (group commit). So nobody in this process meets a locked database, and callers share the cost of
//! an fsync. How much goes together is decided in `commit`, and business steps are in `operations`.

mod checkpoints;
pub mod closing;
mod group;
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
use super::file::checkpointer::Checkpointer;
use super::file::disk_space::{self, FreeSpace};
use super::file::held::{HeldFile, Lost};
use super::file::identity::marker::Marker;
use super::file::{lock_wait, wal};
use super::memory::Memory;
use super::memory::destination_cache::DestinationCache;
use super::operations::id_slot;
use super::outcome::FinishedAttempt;
use crate::domain::ids::SequenceIds;
use crate::error::{Error, Result, Unavailable};
use crate::process::critical::{EndsProcess, panic_point};

/// Time between two tries to write outcomes whose commit failed.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// After this long without anything to write, the WAL is copied into the file. That gives freed pages back to the file
/// system and makes the next start short.
const IDLE: Duration = Duration::from_secs(1);

/// Time between two looks whether a checkpoint has ended or the read gate can open, if nothing else is to be done.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Time between two checks that the file is at its path, while there is something to write.
const FILE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Minimum time between two log lines about the same failure.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

const _: () = assert!(POLL_INTERVAL.as_millis() < IDLE.as_millis(), "the thread looks more often while it waits");
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
        let done = group::commit_group(&mut tx, requests, &mut self.pending_outcomes, receiver);
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
