//! How the write thread takes part in checkpoints, and keeps the WAL short. When a checkpoint begins, and how it is done
//! beside the writes, is in `file/checkpointer.rs`.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::Thread;
use crate::error::{Error, Result, Unavailable};
use crate::store::file::checkpointer::Task;
use crate::store::file::held::{HeldFile, Lost};
use crate::store::file::identity::marker::Marker;
use crate::store::file::wal;

/// Time between two tries to cut the WAL while free disk space is below the reserve.
const RECLAIM_INTERVAL: Duration = Duration::from_millis(500);

/// How long one such try waits for readers of old snapshots.
const RECLAIM_TIMEOUT: Duration = Duration::from_millis(50);

const _: () = assert!(RECLAIM_TIMEOUT.as_millis() < RECLAIM_INTERVAL.as_millis(), "writes go on between two tries");

impl Thread {
    /// Gives the disk space of the WAL back. Free space is below the reserve and events are refused. The WAL keeps the
    /// length that it once had, and must not be what fills the disk.
    pub fn reclaim_wal(&mut self) {
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
    pub fn check_read_gate(&mut self) {
        if self.held.checkpoints().are_external() {
            return;
        }
        if self.memory.read_gate.log_has(wal::pages().unsigned_abs(), Instant::now()) {
            let task = self.checkpointer.checkpoint_now();
            self.run_task(task);
        }
    }

    /// Waits for the checkpoint in progress, if there is one.
    pub fn join_checkpoint(&mut self) {
        let task = self.checkpointer.join();
        self.run_task(task);
    }

    /// Does what the checkpointer leaves to this thread.
    pub fn run_task(&mut self, task: Task) {
        match task {
            Task::Nothing => {}
            Task::Finish => self.checkpoint(),
            Task::Failed(failure) => self.checkpoint_failed(&failure),
        }
    }

    /// Copies what the WAL holds into the file. If that was all of it, the WAL starts again at once with a new mark, so
    /// that the next write need not wait for a mark.
    pub fn checkpoint(&mut self) {
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
