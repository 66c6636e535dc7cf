//! A thread that moves most of the write-ahead log into the file while the write thread goes on: its pages lie all over
//! the file, and writing them takes several times as long as the commits that made them. The write thread moves only
//! what came meanwhile, since the log begins anew only where nothing is left to move.

use std::ffi::c_int;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::space::Room;
use super::{file, log, sql};
use crate::error::{Error, Result};

/// The log is moved when it has this many pages (4 KiB each). Where many accounts are active most of their pages are
/// written again before that, and so are moved once. In builds for tests it is a short one, so that they meet this often.
const LONG: c_int = if cfg!(debug_assertions) { 200 } else { 8_000 };

/// And where the disk has no ample room for it, when it has this many.
const LONG_IN_LITTLE_ROOM: c_int = LONG / 8;

/// So many pages the write thread moves by itself.
const REST: c_int = if cfg!(debug_assertions) { 25 } else { 250 };

/// With more than these the write thread waits for the move under way: the log is cut back to as much (64 MiB).
const TOO_LONG: c_int = 16_384;

/// Passes over the log until it is left to the write thread however much came meanwhile.
const PASSES: usize = 6;

/// What the write thread is to do with the log.
#[derive(Debug)]
pub enum Task {
    /// Nothing.
    Nothing,
    /// Move what is left of it.
    Finish,
    /// Take nothing of it for moved: this went wrong.
    Failed(Error),
}

/// The write thread's end.
pub struct Checkpointer {
    orders: Option<SyncSender<()>>,
    reports: Receiver<Result<()>>,
    under_way: bool,
    /// Pages of the log at the last look.
    pages: c_int,
    /// Those of them that it had when it was last moved as far as could be.
    moved_at: c_int,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Opens a connection, and starts the thread. While they are there the log's index outlives the write thread's
    /// connection, which is opened anew after a failure. Without that the log would be read from its beginning, and a
    /// commit that failed, and was refused, would be found there: perhaps only in the page cache, since a failed fsync
    /// marks as clean what it could not write. With it the next commit writes over what failed.
    ///
    /// # Errors
    /// Those of opening the file or starting a thread.
    pub fn start(path: &Path) -> Result<Self> {
        let connection = file::connect(path).map_err(sql)?;
        // What failed must not be taken for moved at the end.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(sql)?;
        let (orders, ordered) = sync_channel(1);
        let (report, reports) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("checkpointer".to_owned())
            .spawn(move || {
                while ordered.recv() == Ok(()) {
                    if report.send(move_most(&connection)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| Error::internal(format!("cannot start the checkpoint thread: {error}")))?;
        Ok(Self { orders: Some(orders), reports, under_way: false, pages: 0, moved_at: 0, thread: Some(thread) })
    }

    /// What there is to do now that the log has `pages`, of which some may have been moved.
    pub fn task(&mut self, pages: c_int, room: Room) -> Task {
        if pages < self.pages {
            // It began anew.
            self.moved_at = 0;
        }
        self.pages = pages;
        if self.under_way {
            return if pages < TOO_LONG { self.ended() } else { self.settle() };
        }
        // While a reader holds an old snapshot the log goes on, and hardly more than what is new can be moved.
        let long = if room == Room::Ample { LONG } else { LONG_IN_LITTLE_ROOM };
        if pages >= long && pages - self.moved_at >= REST {
            self.begin();
        }
        Task::Nothing
    }

    /// What there is to do now that nothing is to be written.
    pub fn idle_task(&mut self) -> Task {
        if self.under_way {
            return self.ended();
        }
        if self.pages - self.moved_at <= REST {
            return Task::Finish;
        }
        self.begin();
        Task::Nothing
    }

    /// Waits for the move under way, if there is one.
    pub fn settle(&mut self) -> Task {
        if !self.under_way {
            return Task::Nothing;
        }
        self.under_way = false;
        reported(self.reports.recv().unwrap_or_else(|_| Err(gone())))
    }

    /// The log as it is now has been moved, as far as could be.
    pub fn finished(&mut self) {
        self.moved_at = self.pages;
    }

    /// Whether the thread is at work, or has left something to do.
    pub fn is_under_way(&self) -> bool {
        self.under_way
    }

    fn begin(&mut self) {
        self.under_way = self.orders.as_ref().is_some_and(|orders| orders.try_send(()).is_ok());
    }

    fn ended(&mut self) -> Task {
        let report = match self.reports.try_recv() {
            Ok(report) => report,
            Err(TryRecvError::Empty) => return Task::Nothing,
            Err(TryRecvError::Disconnected) => Err(gone()),
        };
        self.under_way = false;
        reported(report)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

fn reported(report: Result<()>) -> Task {
    report.map_or_else(Task::Failed, |()| Task::Finish)
}

fn gone() -> Error {
    Error::unavailable(super::IO_FAILURE, "the checkpoint thread has ended")
}

/// Moves the log until little comes meanwhile, and syncs the file: SQLite does not where it moved a part.
fn move_most(connection: &Connection) -> Result<()> {
    let mut moved = 0;
    for _ in 0..PASSES {
        let now = log::checkpoint(connection)?;
        // Nothing new, or a reader is in the way, or all of it had been moved and it began anew.
        if now <= moved {
            return Ok(());
        }
        log::sync_file(connection)?;
        if now - moved <= REST {
            return Ok(());
        }
        moved = now;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file whose log has more than `pages`.
    fn with_log(pages: c_int) -> (tempfile::TempDir, Connection, Checkpointer) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let connection = file::open(&path).unwrap();
        log::watch(&connection);
        let checkpointer = Checkpointer::start(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        connection.execute("INSERT INTO t VALUES (zeroblob(?1))", [pages * 4_096]).unwrap();
        assert!(log::pages() >= pages);
        (folder, connection, checkpointer)
    }

    fn moved(connection: &Connection) -> c_int {
        connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(2)).unwrap()
    }

    #[test]
    fn a_long_log_is_moved_beside_and_then_begins_anew() {
        let (_folder, connection, mut checkpointer) = with_log(LONG);
        assert!(matches!(checkpointer.task(log::pages(), Room::Ample), Task::Nothing) && checkpointer.is_under_way());
        assert!(matches!(checkpointer.settle(), Task::Finish));
        assert_eq!(moved(&connection), log::pages(), "nothing came meanwhile");
        log::checkpoint(&connection).unwrap();
        checkpointer.finished();
        connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(log::pages() < 10);
        assert!(matches!(checkpointer.task(log::pages(), Room::Ample), Task::Nothing) && !checkpointer.is_under_way());
    }

    #[test]
    fn where_the_disk_has_little_room_the_log_stays_shorter() {
        let (_folder, _connection, mut checkpointer) = with_log(LONG / 2);
        assert!(matches!(checkpointer.task(log::pages(), Room::Ample), Task::Nothing) && !checkpointer.is_under_way());
        checkpointer.task(log::pages(), Room::Some);
        assert!(checkpointer.is_under_way());
    }

    #[test]
    fn while_a_reader_holds_an_old_snapshot_what_is_new_is_not_looked_at_with_each_commit() {
        let (folder, connection, mut checkpointer) = with_log(LONG);
        let reader = Connection::open(folder.path().join("a.db")).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        connection.execute("INSERT INTO t VALUES (zeroblob(?1))", [LONG * 4_096]).unwrap();
        assert!(matches!(checkpointer.task(log::pages(), Room::Ample), Task::Nothing));
        assert!(matches!(checkpointer.settle(), Task::Finish));
        assert!(moved(&connection) < log::pages());
        checkpointer.finished();
        connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(matches!(checkpointer.task(log::pages(), Room::Ample), Task::Nothing) && !checkpointer.is_under_way());
        connection.execute("INSERT INTO t VALUES (zeroblob(?1))", [REST * 4_096]).unwrap();
        checkpointer.task(log::pages(), Room::Ample);
        assert!(checkpointer.is_under_way());
    }

    #[test]
    fn at_rest_a_short_log_is_left_to_the_write_thread_and_a_longer_one_is_not() {
        let (_folder, connection, mut checkpointer) = with_log(2);
        checkpointer.task(log::pages(), Room::Ample);
        assert!(matches!(checkpointer.idle_task(), Task::Finish));
        connection.execute("INSERT INTO t VALUES (zeroblob(?1))", [2 * REST * 4_096]).unwrap();
        checkpointer.task(log::pages(), Room::Ample);
        assert!(matches!(checkpointer.idle_task(), Task::Nothing) && checkpointer.is_under_way());
        assert!(matches!(checkpointer.settle(), Task::Finish));
    }
}
