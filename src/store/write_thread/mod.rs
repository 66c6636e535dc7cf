//! The one thread that writes. It takes what waits in its inbox, runs it in one transaction, commits once, and then
//! answers everybody (group commit). So nobody ever meets a locked database, and the cost of an fsync is shared.

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
use super::file::{lock_wait, opening, wal};
use super::memory::Memory;
use super::memory::destination_cache::DestinationCache;
use super::operations::{outcomes, tally};
use super::outcome::FinishedAttempt;
use crate::domain::ids::SequenceIds;
use crate::error::{Error, Kind, Result, Unavailable};
use crate::process::critical::{EndsProcess, panic_point};

/// Between two tries to write outcomes that could not be written.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// After so long without anything to write the log is emptied into the file, which gives freed pages back to the file
/// system and makes the next start short.
const IDLE: Duration = Duration::from_secs(1);

/// Between two looks whether the log has been moved, where nothing else is to be done.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Between two tries to give the log's room back, where the disk has none beyond the reserve.
const RECLAIM_INTERVAL: Duration = Duration::from_millis(500);

/// And how long one waits for those who read old snapshots.
const RECLAIM_TIMEOUT: Duration = Duration::from_millis(50);

/// Between two looks whether the file is where it was, while there is something to write.
const FILE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Between two lines of the log about the same failure.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// A file that was opened.
pub struct Opened {
    /// The file.
    pub held: Arc<HeldFile>,
    /// The read-write connection.
    pub connection: Connection,
    /// Where its marks go on.
    pub marker: Marker,
}

/// Starts it on an opened file; it ends when the other end of `outlet` says so.
///
/// # Errors
/// Those of reading the file or starting a thread.
pub fn start(
    opened: Opened,
    memory: Arc<Memory>,
    observer: Observer,
    receiver: QueueReceiver,
) -> Result<JoinHandle<()>> {
    let Opened { held, connection, marker } = opened;
    let last: i64 = connection
        .query_row(
            "SELECT max(coalesce((SELECT max(id) FROM event), 0), coalesce((SELECT max(id) FROM delivery), 0),
             coalesce((SELECT max(first_id) FROM destination), 0))",
            [],
            |row| row.get(0),
        )
        .map_err(|error| Error::internal(error.to_string()))?;
    lock_wait::set_lock_timeout(&connection, false).map_err(super::error::sql)?;
    let thread = Thread {
        connection: Some(connection),
        checkpointer: Checkpointer::start(&held)?,
        marker,
        memory,
        observer,
        ids: SequenceIds::after(last),
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
    /// `None` after a failure that the connection cannot be trusted after, until it is opened anew.
    connection: Option<Connection>,
    /// Outlives every connection that is opened anew.
    checkpointer: Checkpointer,
    marker: Marker,
    memory: Arc<Memory>,
    observer: Observer,
    ids: SequenceIds,
    destinations: DestinationCache,
    /// Outcomes of failed commits, oldest first.
    pending_outcomes: VecDeque<FinishedAttempt>,
    /// Another program held the file's lock at the last try.
    locked: bool,
    /// When a failure was last written to the log, and its code.
    logged: Option<(Instant, &'static str)>,
    space: disk_space::Monitor,
    /// When the log's room was last given back, or tried to.
    reclaimed_at: Option<Instant>,
    /// When the file was last seen to be where it was.
    seen_at: Option<Instant>,
    /// Outlives the connections; see there.
    held: Arc<HeldFile>,
}

impl Thread {
    fn run(mut self, mut receiver: QueueReceiver) {
        let mut requests: Vec<Box<dyn WriteRequest>> = Vec::new();
        let mut retry_at: Option<Instant> = None;
        let mut log_holds_some = true;
        // The last local: the process ends before anything is taken down.
        let _ends = EndsProcess("write thread");
        loop {
            panic_point("writer");
            let busy = self.checkpointer.is_under_way() || self.memory.read_gate.is_closed();
            let rest = if busy { POLL_INTERVAL } else { IDLE };
            let deadline = retry_at.or_else(|| log_holds_some.then(|| Instant::now() + rest));
            // While outcomes could not be written, new ones wait with them for the next try.
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

    /// One transaction of all steps and all unwritten outcomes.
    fn write(&mut self, requests: &mut Vec<Box<dyn WriteRequest>>, receiver: &mut QueueReceiver) {
        if requests.is_empty() && self.pending_outcomes.is_empty() {
            return;
        }
        let started = Instant::now();
        let result = self.transaction(requests, receiver);
        self.note_lock(result.as_ref().is_err_and(|error| error.is_unavailable(Unavailable::Locked)));
        let took = started.elapsed().saturating_sub(receiver.lingered());
        self.memory.metrics.commit(took, requests.len() + self.pending_outcomes.len(), result.is_ok());
        match result {
            Ok(changes) => {
                self.pending_outcomes.clear();
                if changes.iter().any(|change| matches!(change, Change::Accepted(_))) {
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

    /// Moves how long the next transaction waits for the lock.
    fn note_lock(&mut self, locked: bool) {
        if self.locked != locked
            && let Some(connection) = &self.connection
            && let Err(error) = lock_wait::set_lock_timeout(connection, locked)
        {
            tracing::warn!(%error, "the wait for the file's lock stays as it was");
        }
        self.locked = locked;
    }

    /// Says in the log why a transaction failed; not with each of many tries.
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
            // It could not be taken for not moved while it is being moved.
            self.join_checkpoint();
            let (connection, change) = reopen::connect(&self.held, &self.memory)?;
            self.destinations.clear();
            lock_wait::set_lock_timeout(&connection, self.locked).map_err(super::error::sql)?;
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
                // Nothing to roll back where SQLite did so itself.
                let rolled_back = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
                if error.is_unavailable(Unavailable::Io) || !rolled_back {
                    // After a failed fsync the kernel may have dropped the pages it could not write: what the
                    // connection holds in memory proves nothing about the disk.
                    self.connection = None;
                }
                Err(error)
            }
        }
    }

    /// Nothing is written to a file that is not where it was: what would come of it?
    fn check_file(&mut self) -> Result<()> {
        if self.held.lost().is_none() && self.seen_at.is_some_and(|at| at.elapsed() < FILE_CHECK_INTERVAL) {
            return Ok(());
        }
        self.seen_at = Some(Instant::now());
        let checked = self.held.check();
        if self.held.lost() == Some(Lost::Log) {
            // It is in this process still, and nowhere else.
            self.join_checkpoint();
            self.checkpoint();
        }
        checked
    }

    /// The disk has no room beyond the reserve, and events are refused: the log, which keeps the length that it once had,
    /// must not be what takes it.
    fn reclaim_wal(&mut self) {
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

    /// Where the log has grown too long for want of a moment without reads, makes one: all of it is moved then, and the next
    /// commit begins it anew.
    fn check_read_gate(&mut self) {
        if self.memory.read_gate.log_has(wal::pages().unsigned_abs(), Instant::now()) {
            let task = self.checkpointer.checkpoint_now();
            self.run_task(task);
        }
    }

    /// Waits for the move of the log that is under way.
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

    /// Moves what the log holds into the file. Where that was all of it, the log begins anew at once: who writes next does not
    /// have to wait for its mark.
    fn checkpoint(&mut self) {
        let Some(connection) = &self.connection else { return };
        if let Err(failure) = checkpoint_all(connection, &mut self.marker, &self.held) {
            self.checkpoint_failed(&failure);
        }
    }

    fn checkpoint_failed(&mut self, failure: &Error) {
        self.log_failure(failure, 0);
        if failure.is_unavailable(Unavailable::Io) {
            // It may have been the file's fsync.
            self.connection = None;
        }
    }

    /// Moves all of the log into the file, and closes the file; then it stands alone.
    fn close(mut self) {
        self.join_checkpoint();
        if !self.pending_outcomes.is_empty() {
            tracing::error!(
                outcomes = self.pending_outcomes.len(),
                "outcomes could not be written; those deliveries are sent again"
            );
        }
        let Self { held, mut marker, checkpointer, connection, .. } = self;
        drop(checkpointer);
        let again = || held.check().and_then(|()| reopen::reopen(&held)).inspect_err(log_wal_stays).ok();
        // One that cannot be opened anew has left all in the log, and the next start goes on from there.
        let Some(connection) = connection.or_else(again) else { return };
        let closed = marker.commit(&connection, &held, false);
        match closed.and_then(|()| opening::keep_log(&connection, false).map_err(super::error::sql)) {
            Ok(()) => {
                drop(connection);
                opening::leave_alone(&held);
            }
            Err(error) => {
                log_wal_stays(&error);
                if held.lost().is_none() {
                    // Another program may hold the write lock; to move the log none is needed.
                    let all = wal::checkpoint(&connection).and_then(|_| wal::state(&connection));
                    let told = all.and_then(|log| match log.frames == log.checkpointed {
                        true => marker.close_in_file(&held),
                        false => Ok(()),
                    });
                    let _ = told.inspect_err(log_wal_stays);
                }
            }
        }
    }
}

/// See [`Thread::checkpoint`].
fn checkpoint_all(connection: &Connection, marker: &mut Marker, held: &HeldFile) -> Result<()> {
    let checked = marker.check_content(connection, held);
    // Not over what somebody put there. A log that was removed is in this connection still, and goes with its file.
    if held.lost().is_some_and(|lost| lost != Lost::Log) || marker.is_alone(connection)? {
        return checked;
    }
    let moved = wal::checkpoint(connection)?;
    if held.lost().is_some() {
        return checked;
    }
    if moved < wal::pages() { Ok(()) } else { marker.prepare(connection, held) }
}

/// Says why the file does not stand alone after the stop.
fn log_wal_stays(error: &Error) {
    tracing::warn!(error = error.detail(), "the log stays beside the database, and belongs to it");
}

/// Everything, and `COMMIT`. What else comes for this transaction is appended to `steps` and `outcomes`.
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

/// An error given back fails the whole transaction.
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
