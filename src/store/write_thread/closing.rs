//! The end of the write thread: copies what the WAL holds into the file, so that the database is one file.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::reopen;
use crate::error::{Error, Result};
use crate::store::file::held::{HeldFile, Lost};
use crate::store::file::identity::marker::Marker;
use crate::store::file::wal::WalState;
use crate::store::file::{opening, wal};

/// How long a removed WAL waits for readers that keep its pages from being copied.
const REMOVED_LOG_WAIT: Duration = Duration::from_secs(2);

/// Time between two tries.
const RETRY: Duration = Duration::from_millis(20);

/// How long a stop waits for a replicator that still reads the WAL.
const REPLICATOR_WAIT: Duration = Duration::from_secs(2);

/// Copies the whole WAL into the file and closes the file. `connection` is the one that wrote, if it is trusted.
pub fn close(held: &HeldFile, mut marker: Marker, connection: Option<Connection>) {
    let again = || held.check().and_then(|()| reopen::reopen(held)).inspect_err(log_wal_stays).ok();
    // If the connection cannot be opened again, all is still in the WAL, and the next start goes on from there.
    let Some(connection) = connection.or_else(again) else { return };
    if held.checkpoints().are_external() && held.lost().is_none() {
        return leave_log(held, &marker, &connection);
    }
    let closed = marker.commit(&connection, held, false);
    if held.lost() == Some(Lost::Log) {
        save_removed_log(&connection);
    }
    match closed.and_then(|()| opening::keep_log(&connection, false).map_err(crate::store::error::sql)) {
        Ok(()) => {
            drop(connection);
            opening::leave_alone(held);
        }
        Err(error) => {
            log_wal_stays(&error);
            if held.lost().is_none() {
                // Another program may hold the write lock; a checkpoint needs no write lock.
                let all = wal::checkpoint(&connection).and_then(|_| wal::state(&connection));
                let told = all.and_then(|log| match log.frames == log.checkpointed {
                    true => marker.close_in_file(held),
                    false => Ok(()),
                });
                let _ = told.inspect_err(log_wal_stays);
            }
        }
    }
}

/// Leaves the WAL to the program that copies it. All of the WAL is copied too, but the WAL does not start again, so that
/// program can still read it to its end. Then the file says that it needs no WAL: that program may remove the WAL.
fn leave_log(held: &HeldFile, marker: &Marker, connection: &Connection) {
    let told = copy_waiting(connection, REPLICATOR_WAIT).and_then(|log| {
        if log.frames == log.checkpointed {
            return marker.close_in_file(held);
        }
        tracing::warn!("the replicator is behind: the log stays beside the database, and belongs to it");
        Ok(())
    });
    let _ = told.inspect_err(log_wal_stays);
}

/// Copies the WAL into the file, and waits for readers that keep pages from being copied.
fn copy_waiting(connection: &Connection, wait: Duration) -> Result<WalState> {
    let end = Instant::now() + wait;
    loop {
        let copied = wal::checkpoint(connection).and_then(|_| wal::state(connection));
        // A reader of an older snapshot keeps what is newer from being copied.
        let is_left = copied.as_ref().is_ok_and(|log| log.checkpointed < log.frames);
        if !is_left || Instant::now() > end {
            return copied;
        }
        std::thread::sleep(RETRY);
    }
}

/// Copies a WAL that was removed from its path. Only the open connections still have that WAL. SQLite copies a WAL by
/// itself only when the last of all connections closes, and a read may still be in progress, also of another program.
fn save_removed_log(connection: &Connection) {
    match copy_waiting(connection, REMOVED_LOG_WAIT) {
        Ok(log) if log.checkpointed == log.frames => {}
        Ok(log) => tracing::error!(
            pages = log.frames - log.checkpointed,
            "pages of the removed log are lost: another program is reading an older state of the database"
        ),
        Err(error) => tracing::error!(error = error.detail(), "the removed log is lost: its pages cannot be copied"),
    }
}

/// Logs why the WAL stays beside the database after the stop.
fn log_wal_stays(error: &Error) {
    tracing::warn!(error = error.detail(), "the log stays beside the database, and belongs to it");
}
