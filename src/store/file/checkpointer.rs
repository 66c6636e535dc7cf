//! A thread that copies most of the WAL into the file while the write thread goes on. The pages lie all over the file,
//! and writing them takes several times as long as the commits that made them. The write thread copies only what came
//! meanwhile, because the WAL starts again only if nothing is left to copy. Work on the WAL itself is in `wal.rs`.

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

/// Length of the WAL, in pages of 4 KiB, that starts a checkpoint (32 MiB). If many accounts are active, most of their
/// pages are written again before that, and so are copied only once. Debug builds use a small number, so that tests
/// reach it often.
const CHECKPOINT_PAGES: c_int = if cfg!(debug_assertions) { 200 } else { 8_000 };

/// The same if the disk has no ample free space.
const CHECKPOINT_PAGES_ON_SMALL_DISK: c_int = CHECKPOINT_PAGES / 8;

/// So few pages are left to the write thread: a pass that finds no more new ones is the last.
const TAIL_PAGES: c_int = if cfg!(debug_assertions) { 25 } else { 250 };

/// Maximum number of pages that the write thread copies after the checkpoint thread. If more are left, they wait for
/// the next checkpoint, so that commits are not held up.
const MAX_TAIL_PAGES: c_int = 8 * TAIL_PAGES;

/// No checkpoint begins for this long after a failure.
const AFTER_FAILURE: Duration = Duration::from_millis(250);

/// When this many pages (64 MiB) came during one checkpoint, the write thread waits for its end. Otherwise the WAL
/// could grow without bound.
const MAX_PAGES: c_int = 16_384;

/// Cache of the connection that only holds a snapshot, in KiB.
const PIN_CACHE_KIB: u32 = 64;

/// Maximum number of passes over the WAL in one checkpoint, however much came meanwhile.
const MAX_PASSES: usize = 6;

const _: () = assert!(TAIL_PAGES <= CHECKPOINT_PAGES_ON_SMALL_DISK, "a checkpoint begins with more than its tail");
const _: () = assert!(MAX_TAIL_PAGES <= CHECKPOINT_PAGES, "the write thread copies the smaller part");
const _: () = assert!(CHECKPOINT_PAGES < MAX_PAGES, "the write thread goes on during a checkpoint");

/// What the write thread has to do with the WAL.
#[derive(Debug)]
pub enum Task {
    /// Nothing.
    Nothing,
    /// Copy what is left of the WAL.
    Finish,
    /// A checkpoint failed. After an I/O error, nothing of the WAL may count as copied.
    Failed(Error),
}

/// The write thread's end of the checkpoint thread.
pub struct Checkpointer {
    /// Whether another program checkpoints, so that this one begins none by itself.
    external: bool,
    orders: Option<SyncSender<()>>,
    reports: Receiver<Result<c_int>>,
    under_way: bool,
    /// When a checkpoint last failed.
    failed_at: Option<Instant>,
    /// Pages of the WAL at the last look.
    pages: c_int,
    /// Pages of the WAL when a checkpoint last began.
    began_at: c_int,
    /// Pages of the WAL when a checkpoint last ended.
    ended_at: c_int,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Opens connections and starts the thread. While these connections are open, the WAL index outlives the write
    /// thread's connection, which is opened again after a failure. Without that, the WAL would be read from its
    /// beginning, and a commit that failed and was refused would be found there. Such a commit may only be in the page
    /// cache, since a failed fsync marks as clean what it could not write. With the index, the next commit overwrites
    /// the failed one.
    ///
    /// # Errors
    /// Those of opening the file, and of starting a thread.
    pub fn start(held: &Arc<HeldFile>) -> Result<Self> {
        let mover = CheckpointWorker::open(held)?;
        let (orders, ordered) = sync_channel(1);
        let (report, reports) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("checkpointer".to_owned())
            .spawn(move || {
                // Declared first, so dropped last: after a panic the process ends before these connections close.
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
            external: held.checkpoints().are_external(),
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

    /// What to do when the WAL has `pages` pages, of which some may be copied, and the disk has `room`.
    pub fn task(&mut self, pages: c_int, room: FreeSpace) -> Task {
        if pages < self.pages {
            // The WAL has started again.
            (self.began_at, self.ended_at) = (0, 0);
        }
        self.pages = pages;
        if self.external {
            return Task::Nothing;
        }
        if self.under_way {
            return if pages - self.began_at < MAX_PAGES { self.ended() } else { self.join() };
        }
        // While a reader holds an old snapshot, the WAL does not start again, and hardly more than new pages can be
        // copied.
        let long = if room == FreeSpace::Ample { CHECKPOINT_PAGES } else { CHECKPOINT_PAGES_ON_SMALL_DISK };
        if pages >= long && pages - self.ended_at >= TAIL_PAGES { self.begin() } else { Task::Nothing }
    }

    /// What to do when nothing is to be written.
    pub fn idle_task(&mut self) -> Task {
        if self.external {
            return Task::Nothing;
        }
        if self.under_way {
            return self.ended();
        }
        if self.pages - self.ended_at > TAIL_PAGES {
            return self.begin();
        }
        self.ended_at = self.pages;
        Task::Finish
    }

    /// Runs a checkpoint and waits for its end, however long the WAL is. After a success the thread holds no snapshot.
    pub fn checkpoint_now(&mut self) -> Task {
        if let failed @ Task::Failed(_) = self.join() {
            return failed;
        }
        match self.begin() {
            Task::Nothing => self.join(),
            task => task,
        }
    }

    /// Waits for the checkpoint in progress, if there is one.
    pub fn join(&mut self) -> Task {
        if !self.under_way {
            return Task::Nothing;
        }
        let report = self.reports.recv().unwrap_or_else(|_| Err(worker_ended()));
        self.reported(report)
    }

    /// Whether a checkpoint is in progress, or its result has not been read yet.
    pub fn is_under_way(&self) -> bool {
        self.under_way
    }

    fn begin(&mut self) -> Task {
        if self.failed_at.is_some_and(|at| at.elapsed() < AFTER_FAILURE) {
            return Task::Nothing;
        }
        self.began_at = self.pages;
        self.under_way = self.orders.as_ref().is_some_and(|orders| orders.try_send(()).is_ok());
        // Without the thread, the write thread copies everything.
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
            // More is left if a reader was in the way or commits were faster. That waits for the next checkpoint.
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
            // The thread cannot have panicked; see `EndsProcess`.
            let _ = thread.join();
        }
    }
}

fn worker_ended() -> Error {
    Error::unavailable(Unavailable::Io, "the checkpoint thread has ended")
}

/// What the checkpoint thread works with.
///
/// The thread syncs the file and nothing else. If it also synced the WAL, that fsync could fail for what a commit has
/// just written. The commit's own fsync might then find nothing left to do, and succeed.
struct CheckpointWorker {
    /// Copies pages. Its `synchronous` is off, so that SQLite itself syncs nothing.
    connection: Connection,
    /// Reads while copied pages are not synced yet: SQLite does not start a WAL again that somebody reads.
    snapshot_pin: Connection,
    held: Arc<HeldFile>,
}

impl CheckpointWorker {
    fn open(held: &Arc<HeldFile>) -> Result<Self> {
        let path = held.path();
        let connection = opening::connect(path).map_err(sql)?;
        connection.execute_batch("PRAGMA synchronous = OFF").map_err(sql)?;
        // The end of this connection must not checkpoint and remove the WAL after a failure.
        opening::keep_log(&connection, true).map_err(sql)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let pin = Connection::open_with_flags(path, flags).map_err(sql)?;
        opening::prepare_reader(&pin, PIN_CACHE_KIB).map_err(sql)?;
        // The first read opens the WAL index.
        pin.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(sql)?;
        Ok(Self { connection, snapshot_pin: pin, held: Arc::clone(held) })
    }

    /// Copies the WAL in passes, until little comes during one. Returns how many pages of the WAL are copied.
    fn run_passes(&self) -> Result<c_int> {
        let mut moved = 0;
        for _ in 0..MAX_PASSES {
            let before = std::mem::replace(&mut moved, self.pass().inspect_err(|_| self.reset_backfill())?);
            // Little or nothing is new, a reader is in the way, or everything was copied and the WAL has started again.
            if moved - before <= TAIL_PAGES {
                break;
            }
        }
        Ok(moved)
    }

    /// Resets at once: the write thread may learn of the failure late, or the process may end before it does.
    fn reset_backfill(&self) {
        if let Err(error) = wal::reset_backfill(&self.connection) {
            tracing::error!(error = error.detail(), "what was moved may be taken for moved");
        }
    }

    /// Copies what the WAL holds now, and syncs the file. Returns how many pages of the WAL are copied. After a failure
    /// the snapshot stays open, so that the WAL does not start again before the write thread has learned of it.
    fn pass(&self) -> Result<c_int> {
        // Nothing is copied over a file that somebody put there. If the write thread has to decide, the WAL is copied
        // later.
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

    /// A file whose WAL has at least this many pages.
    fn with_log(pages: c_int) -> (tempfile::TempDir, Connection, Checkpointer) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let held = Arc::new(opening::hold(&path).unwrap());
        let (connection, _) = opening::open(&held, Timestamp::EPOCH).unwrap();
        wal::install_hook(&connection);
        let checkpointer = Checkpointer::start(&held).unwrap();
        // The file stays held, as it is while a server runs.
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
