//! Pools of read-only connections. The API and the engine have one each, so that neither waits for the other. In WAL
//! mode a read never waits for the write thread. Queries are in `operations`, not here.

pub mod gate;
pub mod throttle;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};
use scheduled_thread_pool::ScheduledThreadPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::gate::ReadGate;
use super::held::HeldFile;
use super::opening;
use super::sealed::functions;
use crate::error::{Error, Result, Unavailable};
use crate::process::priority::{self, Rank};
use crate::store::error::sql;
use throttle::ReadThrottle;

/// Connections for the API. More would only compete for two processors and for memory.
const API_CONNECTIONS: u32 = 4;

/// Maximum number of long reads that go on or whose answers are being made. Bounds their memory, which no budget
/// counts.
const MAX_LONG_ANSWERS: usize = 8;

/// Maximum number of threads that do work which needs no connection. More would only compete for two processors.
const MAX_APART: usize = 4;

/// Connections for the engine: for refills, and for documents that are not in memory.
const ENGINE_CONNECTIONS: u32 = 4;

/// Cache of an API connection, in KiB: a list walks over many rows.
const API_CACHE_KIB: u32 = 2_048;

/// Cache of an engine connection, in KiB. The engine reads few pages twice.
const ENGINE_CACHE_KIB: u32 = 512;

type Pool = r2d2::Pool<SqliteConnectionManager>;

/// Time between two looks at a stop whether the last reads have ended.
const CLOSE_POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Maximum wait at a stop for the last reads.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

const _: () = assert!(CLOSE_POLL_INTERVAL.as_millis() < CLOSE_TIMEOUT.as_millis(), "there is more than one look");

/// Both pools; `None` inside once they are closed.
#[derive(Clone)]
pub struct Readers {
    pools: Arc<RwLock<Option<Arc<Pools>>>>,
    /// As many as API connections. A read uses a blocking thread only when it has a connection to use there; making a
    /// long answer takes a permit too.
    permits: Arc<Semaphore>,
    throttle: Arc<ReadThrottle>,
    /// Permits for work that needs no connection, so that it takes none from a read.
    apart: Arc<Semaphore>,
    /// Permits for long reads whose answers are not made yet.
    answers: Arc<Semaphore>,
}

struct Pools {
    api: Pool,
    engine: Pool,
    file: Arc<HeldFile>,
    gate: Arc<ReadGate>,
}

impl Readers {
    /// Makes the pools, and opens no connection yet.
    pub fn new(held: &Arc<HeldFile>, gate: &Arc<ReadGate>, throttle: &Arc<ReadThrottle>) -> Self {
        let thread = housekeeping();
        let pool = |size, cache_kib| {
            let keys = Arc::clone(held.keys());
            let manager = SqliteConnectionManager::file(held.path())
                .with_flags(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .with_init(move |connection| {
                    opening::prepare_reader(connection, cache_kib)?;
                    functions::install(connection, &keys)
                });
            r2d2::Pool::builder()
                .max_size(size)
                .min_idle(Some(0))
                .test_on_check_out(false)
                .connection_timeout(Duration::from_secs(10))
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .thread_pool(Arc::clone(&thread))
                .build_unchecked(manager)
        };
        let (api, engine) = (pool(API_CONNECTIONS, API_CACHE_KIB), pool(ENGINE_CONNECTIONS, ENGINE_CACHE_KIB));
        let pools = Arc::new(Pools { api, engine, file: Arc::clone(held), gate: Arc::clone(gate) });
        Self {
            pools: Arc::new(RwLock::new(Some(pools))),
            permits: Arc::new(Semaphore::new(API_CONNECTIONS as usize)),
            throttle: Arc::clone(throttle),
            apart: Arc::new(Semaphore::new(MAX_APART)),
            answers: Arc::new(Semaphore::new(MAX_LONG_ANSWERS)),
        }
    }

    /// Closes all connections once the reads in progress have ended; later reads are refused. A read-only connection
    /// can neither checkpoint the WAL nor remove it, so it must not be the last one. Blocks the thread for at most
    /// [`CLOSE_TIMEOUT`].
    pub fn close(&self) {
        let pools = self.pools.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(left) = pools.map(|pools| Arc::downgrade(&pools)) else { return };
        let end = Instant::now() + CLOSE_TIMEOUT;
        while left.strong_count() > 0 {
            if Instant::now() > end {
                tracing::warn!("a read goes on for longer than the stop waits");
                return;
            }
            std::thread::sleep(CLOSE_POLL_INTERVAL);
        }
    }

    fn pools(&self) -> Result<Arc<Pools>> {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        pools.clone().ok_or_else(crate::store::error::stopping)
    }

    /// Runs a read for the API that may be long, and lets senders of events go first.
    pub async fn read_yielding<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let readers = self.clone();
        self.run_yielding(move || readers.api_read(read)).await?
    }

    /// See [`crate::store::handle::Store::answer_permit`].
    pub async fn answer_permit(&self) -> Result<OwnedSemaphorePermit> {
        acquire(&self.answers).await
    }

    /// Runs `work` of a long read, once the throttle lets it.
    pub async fn run_yielding<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let turn = self.throttle.permit().await?;
        on_a_thread(&self.permits, move || turn.run(work)).await
    }

    /// See [`crate::store::handle::Store::run_apart`].
    pub async fn run_apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        // Before the throttle, so that few such works stand before a read there.
        let place = acquire(&self.apart).await?;
        let turn = self.throttle.permit().await?;
        blocking(place, move || turn.run(work)).await
    }

    /// Runs a short read for the API on tokio's blocking pool.
    pub async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let readers = self.clone();
        let read = move || {
            // Lists wait for events, and not the other way round.
            priority::lower(Rank::Reading);
            readers.api_read(read)
        };
        on_a_thread(&self.permits, read).await?
    }

    fn api_read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let pools = self.pools()?;
        in_transaction(&pools.api, &pools, read)
    }

    /// Runs a read for the engine on the calling thread, which must be one that may block.
    pub fn read_for_engine<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let pools = self.pools()?;
        in_transaction(&pools.engine, &pools, read)
    }
}

async fn acquire(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    Arc::clone(permits).acquire_owned().await.map_err(|_| Error::internal("reads are closed"))
}

async fn on_a_thread<T: Send + 'static>(
    permits: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    blocking(acquire(permits).await?, work).await
}

/// Runs `work` on tokio's blocking pool. The permit lasts until it ends, even if nobody waits for the result any more.
async fn blocking<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let task = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    task.await.map_err(|error| Error::internal(format!("a read ended early: {error}")))
}

/// Runs a read in one transaction, so that all its statements see one snapshot.
fn in_transaction<T>(pool: &Pool, pools: &Pools, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    // A new connection would open whatever file is at the path now.
    pools.file.usable()?;
    let _reading = pools.gate.enter();
    let mut connection = pool
        .get()
        .map_err(|error| Error::unavailable(Unavailable::Io, format!("The database cannot be read now: {error}.")))?;
    let transaction = connection.transaction().map_err(sql)?;
    read(&transaction)
}

/// The one thread on which r2d2 opens connections; by default every pool has three.
fn housekeeping() -> Arc<ScheduledThreadPool> {
    Arc::new(ScheduledThreadPool::builder().num_threads(1).thread_name_pattern("r2d2").build())
}
