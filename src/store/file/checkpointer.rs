//! A thread that moves most of the write-ahead log into the file while the write thread goes on: its pages lie all over
//! the file, and writing them takes several times as long as the commits that made them. The write thread moves only
//! what came meanwhile, since the log begins anew only where nothing is left to move.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::disk_space::FreeSpace;
use super::held::HeldFile;
use super::{opening, wal};
use crate::error::{Error, Result, Unavailable};
use crate::process::critical::{EndsProcess, panic_point};
use crate::store::error::sql;

/// The log is moved when it has this many pages (4 KiB each). Where many accounts are active most of their pages are
/// written again before that, and so are moved once. In builds for tests it is a short one, so that they meet this often.
const CHECKPOINT_PAGES: c_int = if cfg!(debug_assertions) { 200 } else { 8_000 };

/// And where the disk has no ample room for it, when it has this many.
const CHECKPOINT_PAGES_ON_SMALL_DISK: c_int = CHECKPOINT_PAGES / 8;

/// So many pages the write thread moves by itself.
const TAIL_PAGES: c_int = if cfg!(debug_assertions) { 25 } else { 250 };

/// And no more than these.
const MAX_TAIL_PAGES: c_int = 8 * TAIL_PAGES;

/// After a failure it is not tried again for so long.
const AFTER_FAILURE: Duration = Duration::from_millis(250);

/// When so many came while it is moved, the write thread waits for the end of that (64 MiB).
const MAX_PAGES: c_int = 16_384;

/// Cache of the connection that only holds a snapshot.
const PIN_CACHE_KIB: u32 = 64;

/// Passes over the log until it is left to the write thread however much came meanwhile.
const MAX_PASSES: usize = 6;

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
    reports: Receiver<Result<c_int>>,
    under_way: bool,
    /// When it last went wrong.
    failed_at: Option<Instant>,
    /// Pages of the log at the last look.
    pages: c_int,
    /// So many it had when a move last began, and when the last one had ended.
    began_at: c_int,
    ended_at: c_int,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Opens connections, and starts the thread. While they are there the log's index outlives the write thread's
    /// connection, which is opened anew after a failure. Without that the log would be read from its beginning, and a
    /// commit that failed, and was refused, would be found there: perhaps only in the page cache, since a failed fsync
    /// marks as clean what it could not write. With it the next commit writes over what failed.
    ///
    /// # Errors
    /// Those of opening the file or starting a thread.
    pub fn start(held: &Arc<HeldFile>) -> Result<Self> {
        let mover = CheckpointWorker::open(held)?;
        let (orders, ordered) = sync_channel(1);
        let (report, reports) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("checkpointer".to_owned())
            .spawn(move || {
                // The mover first, so that the process ends before its connections do.
                let mover = mover;
                let _ends = EndsProcess("checkpoint thread");
                while ordered.recv() == Ok(()) {
                    panic_point("checkpointer");
                    if report.send(mover.run_passes()).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| Error::internal(format!("cannot start the checkpoint thread: {error}")))?;
        Ok(Self {
            orders: Some(orders),
            reports,
            under_way: false,
            failed_at: None,
            pages: 0,
            began_at: 0,
            ended_at: 0,
            thread: Some(thread),
        })
    }

    /// What there is to do now that the log has `pages`, of which some may have been moved.
    pub fn task(&mut self, pages: c_int, room: FreeSpace) -> Task {
        if pages < self.pages {
            // It began anew.
            (self.began_at, self.ended_at) = (0, 0);
        }
        self.pages = pages;
        if self.under_way {
            return if pages - self.began_at < MAX_PAGES { self.ended() } else { self.join() };
        }
        // While a reader holds an old snapshot the log goes on, and hardly more than what is new can be moved.
        let long = if room == FreeSpace::Ample { CHECKPOINT_PAGES } else { CHECKPOINT_PAGES_ON_SMALL_DISK };
        if pages >= long && pages - self.ended_at >= TAIL_PAGES { self.begin() } else { Task::Nothing }
    }

    /// What there is to do now that nothing is to be written.
    pub fn idle_task(&mut self) -> Task {
        if self.under_way {
            return self.ended();
        }
        if self.pages - self.ended_at > TAIL_PAGES {
            return self.begin();
        }
        self.ended_at = self.pages;
        Task::Finish
    }

    /// Moves the log and waits for the end of that, however long the log is. Then no snapshot is held any more.
    pub fn checkpoint_now(&mut self) -> Task {
        if let failed @ Task::Failed(_) = self.join() {
            return failed;
        }
        match self.begin() {
            Task::Nothing => self.join(),
            task => task,
        }
    }

    /// Waits for the move under way, if there is one.
    pub fn join(&mut self) -> Task {
        if !self.under_way {
            return Task::Nothing;
        }
        let report = self.reports.recv().unwrap_or_else(|_| Err(worker_ended()));
        self.reported(report)
    }

    /// Whether the thread is at work, or what came of it has not been asked for.
    pub fn is_under_way(&self) -> bool {
        self.under_way
    }

    fn begin(&mut self) -> Task {
        if self.failed_at.is_some_and(|at| at.elapsed() < AFTER_FAILURE) {
            return Task::Nothing;
        }
        self.began_at = self.pages;
        self.under_way = self.orders.as_ref().is_some_and(|orders| orders.try_send(()).is_ok());
        // Without the thread it is the write thread's.
        if self.under_way { Task::Nothing } else { Task::Finish }
    }

    fn ended(&mut self) -> Task {
        match self.reports.try_recv() {
            Ok(report) => self.reported(report),
            Err(TryRecvError::Empty) => Task::Nothing,
            Err(TryRecvError::Disconnected) => self.reported(Err(worker_ended())),
        }
    }

    fn reported(&mut self, report: Result<c_int>) -> Task {
        self.under_way = false;
        self.ended_at = self.pages;
        match report {
            // What a reader was in the way of, or came too fast, is for the next time and not for the write thread.
            Ok(moved) if self.pages - moved <= MAX_TAIL_PAGES => Task::Finish,
            Ok(_) => Task::Nothing,
            Err(error) => {
                self.failed_at = Some(Instant::now());
                Task::Failed(error)
            }
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked; see `EndsProcess`.
            let _ = thread.join();
        }
    }
}

fn worker_ended() -> Error {
    Error::unavailable(Unavailable::Io, "the checkpoint thread has ended")
}

/// What the thread works with.
///
/// It syncs nothing but the file. A sync of the log beside the write thread could fail for what a commit has just
/// written; then the commit's own sync might find nothing left to do, and succeed.
struct CheckpointWorker {
    /// Moves, and lets SQLite sync nothing.
    connection: Connection,
    /// Reads while pages are moved and not yet synced: SQLite begins no log anew that somebody reads.
    snapshot_pin: Connection,
    held: Arc<HeldFile>,
}

impl CheckpointWorker {
    fn open(held: &Arc<HeldFile>) -> Result<Self> {
        let path = held.path();
        let connection = opening::connect(path).map_err(sql)?;
        connection.execute_batch("PRAGMA synchronous = OFF").map_err(sql)?;
        // What failed must not be taken for moved at the end.
        opening::keep_log(&connection, true).map_err(sql)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let pin = Connection::open_with_flags(path, flags).map_err(sql)?;
        opening::prepare_reader(&pin, PIN_CACHE_KIB).map_err(sql)?;
        // The log's index is opened by the first read.
        pin.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(sql)?;
        Ok(Self { connection, snapshot_pin: pin, held: Arc::clone(held) })
    }

    /// Moves the log until little comes meanwhile.
    fn run_passes(&self) -> Result<c_int> {
        let mut moved = 0;
        for _ in 0..MAX_PASSES {
            let before = std::mem::replace(&mut moved, self.pass().inspect_err(|_| self.reset_backfill())?);
            // Little or nothing new, or a reader is in the way, or all of it had been moved and it began anew.
            if moved - before <= TAIL_PAGES {
                break;
            }
        }
        Ok(moved)
    }

    /// At once: the write thread may hear of the failure late, or the process end before it does.
    fn reset_backfill(&self) {
        if let Err(error) = wal::reset_backfill(&self.connection) {
            tracing::error!(error = error.detail(), "what was moved may be taken for moved");
        }
    }

    /// Moves what the log holds now, and syncs the file; gives how many of its pages are moved. After a failure the
    /// anchor holds, so that the log goes on until the write thread has heard of it.
    fn pass(&self) -> Result<c_int> {
        // The log is not moved over what somebody put there. Where the write thread has to decide, it is moved later.
        if let Err(error) = self.held.watch_content() {
            return if self.held.lost().is_some() { Err(error) } else { Ok(0) };
        }
        if !self.snapshot_pin.is_autocommit() {
            self.snapshot_pin.execute_batch("ROLLBACK").map_err(sql)?;
        }
        self.snapshot_pin.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(sql)?;
        let moved = wal::checkpoint(&self.connection)?;
        wal::sync_file(&self.connection)?;
        self.snapshot_pin.execute_batch("COMMIT").map_err(sql)?;
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    /// A file whose log has more than `pages`.
    fn with_log(pages: c_int) -> (tempfile::TempDir, Connection, Checkpointer) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let held = Arc::new(opening::hold(&path).unwrap());
        let (connection, _) = opening::open(&held, Timestamp::EPOCH).unwrap();
        wal::install_hook(&connection);
        let checkpointer = Checkpointer::start(&held).unwrap();
        // As for as long as a server runs.
        std::mem::forget(held);
        connection.execute("INSERT INTO tally_recent (counts) VALUES (zeroblob(?1))", [pages * 4_096]).unwrap();
        assert!(wal::pages() >= pages);
        (folder, connection, checkpointer)
    }

    fn moved(connection: &Connection) -> c_int {
        connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(2)).unwrap()
    }

    #[test]
    fn a_long_log_is_moved_beside_and_then_begins_anew() {
        let (_folder, connection, mut checkpointer) = with_log(CHECKPOINT_PAGES);
        assert!(
            matches!(checkpointer.task(wal::pages(), FreeSpace::Ample), Task::Nothing) && checkpointer.is_under_way()
        );
        assert!(matches!(checkpointer.join(), Task::Finish));
        assert_eq!(moved(&connection), wal::pages(), "nothing came meanwhile");
        wal::checkpoint(&connection).unwrap();
        connection.execute_batch("INSERT INTO tally_recent (counts) VALUES (x'00')").unwrap();
        assert!(wal::pages() < 10);
        assert!(
            matches!(checkpointer.task(wal::pages(), FreeSpace::Ample), Task::Nothing) && !checkpointer.is_under_way()
        );
    }

    #[test]
    fn where_the_disk_has_little_room_the_log_stays_shorter() {
        let (_folder, _connection, mut checkpointer) = with_log(CHECKPOINT_PAGES / 2);
        assert!(
            matches!(checkpointer.task(wal::pages(), FreeSpace::Ample), Task::Nothing) && !checkpointer.is_under_way()
        );
        checkpointer.task(wal::pages(), FreeSpace::Little);
        assert!(checkpointer.is_under_way());
    }

    #[test]
    fn while_a_reader_holds_an_old_snapshot_what_is_new_is_not_looked_at_with_each_commit() {
        let (folder, connection, mut checkpointer) = with_log(CHECKPOINT_PAGES);
        let reader = Connection::open(folder.path().join("a.db")).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM tally_recent").unwrap();
        connection
            .execute("INSERT INTO tally_recent (counts) VALUES (zeroblob(?1))", [CHECKPOINT_PAGES * 4_096])
            .unwrap();
        assert!(matches!(checkpointer.task(wal::pages(), FreeSpace::Ample), Task::Nothing));
        assert!(matches!(checkpointer.join(), Task::Nothing), "else the write thread would move all of it at last");
        assert!(moved(&connection) < wal::pages());
        connection.execute_batch("INSERT INTO tally_recent (counts) VALUES (x'00')").unwrap();
        assert!(
            matches!(checkpointer.task(wal::pages(), FreeSpace::Ample), Task::Nothing) && !checkpointer.is_under_way()
        );
        connection.execute("INSERT INTO tally_recent (counts) VALUES (zeroblob(?1))", [TAIL_PAGES * 4_096]).unwrap();
        checkpointer.task(wal::pages(), FreeSpace::Ample);
        assert!(checkpointer.is_under_way());
    }

    #[test]
    fn at_rest_a_short_log_is_left_to_the_write_thread_and_a_longer_one_is_not() {
        let (_folder, connection, mut checkpointer) = with_log(2);
        checkpointer.task(wal::pages(), FreeSpace::Ample);
        assert!(matches!(checkpointer.idle_task(), Task::Finish));
        connection
            .execute("INSERT INTO tally_recent (counts) VALUES (zeroblob(?1))", [2 * TAIL_PAGES * 4_096])
            .unwrap();
        checkpointer.task(wal::pages(), FreeSpace::Ample);
        assert!(matches!(checkpointer.idle_task(), Task::Nothing) && checkpointer.is_under_way());
        assert!(matches!(checkpointer.join(), Task::Finish));
    }
}
