//! Wires the floors together: opens the store, starts the engine, serves the API, and ends them in order.

pub mod cli;

mod admin_token;
mod config;
mod logging;
mod login_link;
mod metrics;
mod serving;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{self, ApiOptions, BodyLimits, Cookie, Door, Gate, Site};
use crate::delivery::clock::{self, Clock};
use crate::delivery::{self, Engine, EngineOptions};
use crate::domain::login::LoginKey;
use crate::domain::memory::MemoryBudget;
use crate::domain::network::NetworkPolicy;
use crate::domain::origin::Origin;
use crate::error::{Error, Kind, Result};
use crate::process;
use crate::process::critical::{EndsProcess, panic_point};
use crate::store::{self, Removal, Retention, Space, Store, StoreOptions, Tallies};
pub use config::Config;
use login_link::Posted;
use serving::{Bound, Serving};

/// Database reads of the API, and what poem needs; the delivery workers have a pool of their own.
const BLOCKING_THREADS: usize = 32;

/// Until the next turn of background work after one that failed.
const UPKEEP_FAILED: Duration = Duration::from_secs(2);

/// Between two comparisons of the clocks.
const CLOCK_WATCH: Duration = Duration::from_secs(1);

/// Between two looks at the file, where nothing is written to it.
const FILE_WATCH: Duration = Duration::from_millis(500);

/// Signals that come so soon one after the other are one wish: `timeout` and the like send theirs to the process and to its
/// group.
const ONE_WISH: Duration = Duration::from_millis(250);

/// What the limit of open files is raised to where the system allows it.
const MOST_OPEN_FILES: libc::rlim_t = 1_048_576;

/// What the limit is taken for where the system does not tell it.
const USUAL_OPEN_FILES: libc::rlim_t = 1_024;

/// A difference of the clocks below this is not a jump.
const CLOCK_TOLERANCE_MILLIS: i64 = 500;

/// Runs the server until it is told to stop.
///
/// # Errors
/// One line that says why it cannot start.
pub fn serve(config: Config) -> Result<()> {
    logging::start(config.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|error| Error::internal(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        let mut stop = StopSignals::new()?;
        // It may wait for the file's lock, or carry an older file forward; neither is to hold up a stop.
        let mut starting = tokio::task::spawn_blocking(|| Running::start(config));
        let started = tokio::select! {
            biased;
            started = &mut starting => Some(started),
            name = stop.wait() => {
                tracing::info!(signal = name, "stopping before it listens");
                store::end_start();
                None
            }
        };
        let running = match started {
            Some(started) => started.map_err(ended_early)??,
            None => return stop_start(starting, stop).await,
        };
        let name = stop.wait().await;
        tracing::info!(signal = name, "stopping");
        let told = Instant::now();
        tokio::spawn(async move {
            let mut name = stop.wait().await;
            while told.elapsed() < ONE_WISH {
                name = stop.wait().await;
            }
            tracing::warn!(signal = name, "stopping at once; attempts under way are made again at the next start");
            process::end(1);
        });
        running.stop().await;
        Ok(())
    })
}

/// Waits for the end of a start that was told to end; where it was too late for that, stops what has begun.
async fn stop_start(starting: JoinHandle<Result<Running>>, mut stop: StopSignals) -> Result<()> {
    let ended = tokio::select! {
        ended = starting => ended.map_err(ended_early)?,
        name = stop.wait() => {
            tracing::warn!(signal = name, "stopping at once; the log stays beside the database, and belongs to it");
            process::end(1);
        }
    };
    match ended {
        Ok(running) => running.stop().await,
        Err(why) => tracing::info!(why = why.detail(), "stopped"),
    }
    Ok(())
}

fn ended_early(error: tokio::task::JoinError) -> Error {
    Error::internal(format!("the start ended early: {error}"))
}

/// Makes another login link of the server that runs on `database`.
///
/// # Errors
/// One line that says why there is none.
pub fn login_link(database: &Path) -> Result<String> {
    login_link::ask(database)
}

/// SIGTERM, SIGINT, and SIGHUP unless it is ignored: `nohup` asks for that.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

impl StopSignals {
    fn new() -> Result<Self> {
        let listen =
            |kind| signal(kind).map_err(|error| Error::internal(format!("cannot listen for signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: if is_ignored(libc::SIGHUP) { None } else { Some(listen(SignalKind::hangup())?) },
        })
    }

    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            Some(_) = async { self.hang_up.as_mut()?.recv().await } => "SIGHUP",
        }
    }
}

/// A server that takes requests.
struct Running {
    store: Store,
    engine: Engine,
    serving: Serving,
    stopping: watch::Sender<bool>,
    background: [JoinHandle<()>; 3],
    grace: Duration,
    /// What `login-link` reads, while it is right; none under `--dev`.
    login: Option<Posted>,
}

impl Running {
    fn start(config: Config) -> Result<Self> {
        // The port first: where it is taken, nothing else is touched. Nobody can connect before there is an answer.
        let bound = serving::bind(config.listen).map_err(|error| cannot_listen(config.listen, &error))?;
        ignore_file_size_signal();
        let clock = Clock::start();
        let (outbox, inbox) = delivery::mailbox();
        let told = outbox.clone();
        let store = Store::open(
            &StoreOptions { path: config.database.clone(), now: clock.now() },
            Box::new(move |changes| told.changes(changes)),
        )?;
        let started = Self::start_on(store.clone(), config, bound, clock, (outbox, inbox));
        if started.is_err() {
            // The file is to stand alone after this end as well.
            tokio::runtime::Handle::current().block_on(store.close());
        }
        started
    }

    fn start_on(
        store: Store,
        config: Config,
        bound: Bound,
        clock: Clock,
        (outbox, inbox): (delivery::Outbox, delivery::Inbox),
    ) -> Result<Self> {
        let address = bound.address();
        let memory = MemoryBudget::new(config.memory, config.max_body);
        let open_files = raise_open_files(config.workers);
        let network = if config.dev { NetworkPolicy::dev } else { NetworkPolicy::new };
        let network = Arc::new(network(config.allow_network.clone()).listening_on(address));
        let base = login_link::base(address, config.public_url.as_ref());
        let login_key = LoginKey::generate();
        let (gate, login) = if config.dev {
            (Gate::Dev, None)
        } else {
            let make = || admin_token::load_or_make(store.path(), &config.database);
            let token = config.admin_token.map_or_else(make, Ok)?;
            let cookie = Cookie::new(address.port(), config.public_url.as_ref().is_some_and(Origin::is_https));
            let posted = login_link::post(store.path(), address, &base, &login_key);
            // A disk that is full keeps nobody from logging in with the link of the start.
            let posted = posted.inspect_err(|error| tracing::warn!(%error, "data-pusher login-link will not work"));
            (Gate::Door(Door::new(token, login_key.clone(), cookie)), posted.ok())
        };
        store.load_pending()?;
        let engine = Engine::start(
            EngineOptions {
                workers: config.workers,
                destination_concurrency: config.destination_concurrency,
                timeout: config.timeout,
                retry_schedule: config.retry_schedule,
                pause_after: config.pause_after,
                network: Arc::clone(&network),
                trust: config.trust,
                clock,
            },
            store.clone(),
            outbox,
            inbox,
        )?;
        let (figures, writes) = (engine.figures(), store.clone());
        let (stopping, stopped) = watch::channel(false);
        let routes = api::routes(ApiOptions {
            store: store.clone(),
            gate,
            site: Site { public: config.public_url.clone(), friends: config.cors_origins },
            network,
            bodies: BodyLimits::new(config.max_body, config.request_timeout, memory, stopped),
            account_rate: config.account_rate,
            test_sender: engine.tester(),
            metrics: Arc::new(move || metrics::render(&figures.read(), &writes.figures())),
            clock: clock::wall,
        });
        let grace = config.shutdown_grace;
        let most = serving::most_connections(open_files);
        let listener = bound.listen().map_err(|error| cannot_listen(config.listen, &error))?;
        let serving = Serving::start(listener, routes, most, config.request_timeout, grace);
        let background = [
            tokio::spawn(upkeep(store.clone(), clock, config.retention)),
            tokio::spawn(watch_clock(store.clone(), clock)),
            tokio::spawn(watch_file(store.clone())),
        ];
        tracing::info!(
            address = %address,
            docs = format!("{base}/docs"),
            database = %store.path().display(),
            dev = config.dev,
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        match config.public_url {
            Some(url) if config.dev => {
                tracing::warn!(%url, "--dev asks nobody for a token, under the public URL neither")
            }
            _ if config.dev => {}
            _ => {
                let link = login_link::link(&base, &login_key);
                tracing::info!(link, "open this link to log in: it works once, within 10 minutes");
            }
        }
        Ok(Self { store, engine, serving, stopping, background, grace, login })
    }

    /// Takes nothing more, lets requests and attempts end within the grace, commits, and closes the file.
    async fn stop(self) {
        let Self { store, mut engine, serving, stopping, background, grace, login } = self;
        drop(login);
        stopping.send_replace(true);
        background.iter().for_each(JoinHandle::abort);
        let waits = store.clone();
        let attempts = tokio::task::spawn_blocking(move || {
            engine.stop(grace);
            waits.end_waits();
        });
        let (served, ended) = tokio::join!(serving.stop(), attempts);
        for failure in [served.err(), ended.err().map(std::io::Error::other)].into_iter().flatten() {
            tracing::error!(%failure, "a part of the server ended early");
        }
        store.close().await;
        tracing::info!("stopped");
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Error {
    Error::new(Kind::Internal, "cannot_listen", format!("cannot listen on {address}: {error}"))
}

/// Whether whoever started this process has it ignore `signal`.
fn is_ignored(signal: libc::c_int) -> bool {
    let mut known = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: `known` is room for one `sigaction`, which the call fills when it gives 0; nothing is changed.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), known.as_mut_ptr()) == 0
            && known.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// A write past the limit of file sizes is to fail like one to a full disk, and not to kill the process.
fn ignore_file_size_signal() {
    // SAFETY: ignoring a signal installs no handler that could run at a bad moment.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Each host keeps connections, and the usual soft limit of 1,024 files would be reached by a thousand of them.
/// Returns what the limit is then.
fn raise_open_files(workers: usize) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return USUAL_OPEN_FILES;
    }
    // macOS refuses its own "unlimited".
    let wanted = limit.rlim_max.min(MOST_OPEN_FILES);
    if limit.rlim_cur < wanted {
        let raised = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max };
        // SAFETY: `raised` is a whole `rlimit`.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit.rlim_cur = wanted;
        }
    }
    if limit.rlim_cur < 2 * workers as libc::rlim_t + 256 {
        tracing::warn!(limit = limit.rlim_cur, workers, "few open files are allowed; raise it with ulimit -n");
    }
    limit.rlim_cur
}

/// The work in the background, each part in turns of its own.
async fn upkeep(store: Store, clock: Clock, retention: Duration) {
    let _ends = EndsProcess("background work");
    // The earlier of the two: a wall clock that somebody set a year ahead must not take everything for old.
    let now = || clock::wall().min(clock.now());
    let (mut removal, mut space) = (Removal::default(), Space::default());
    let (mut retired, mut tallies) = (Retention::default(), Tallies::default());
    tokio::join!(
        async {
            loop {
                until_next(store.remove_deleted(&mut removal).await).await;
            }
        },
        async {
            loop {
                until_next(store.retire(&mut retired, retention, now()).await).await;
            }
        },
        async {
            loop {
                until_next(store.tend_tallies(&mut tallies, retention, now()).await).await;
            }
        },
        async {
            loop {
                until_next(store.give_back(&mut space).await).await;
            }
        },
    );
}

/// Waits until the next turn is due, which a turn tells.
async fn until_next(turn: Result<Duration>) {
    panic_point("upkeep");
    let rest = turn.unwrap_or_else(|error| {
        tracing::warn!(error = error.detail(), "background work is put off");
        UPKEEP_FAILED
    });
    tokio::time::sleep(rest).await;
}

/// Notices a file that was moved, replaced or removed.
async fn watch_file(store: Store) {
    let _ends = EndsProcess("watch over the file");
    loop {
        panic_point("file");
        store.look_at_file().await;
        tokio::time::sleep(FILE_WATCH).await;
    }
}

async fn watch_clock(store: Store, clock: Clock) {
    let _ends = EndsProcess("watch over the clock");
    let mut known = 0;
    loop {
        panic_point("clock");
        let skew = clock.skew();
        if (skew - known).abs() > CLOCK_TOLERANCE_MILLIS {
            tracing::warn!(moved_millis = skew - known, "the wall clock was set; due times are not affected");
            known = skew;
            store.set_clock_skew(skew);
        }
        tokio::time::sleep(CLOCK_WATCH).await;
    }
}
