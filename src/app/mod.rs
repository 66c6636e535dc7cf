//! Connects the other floors: opens the store, starts the engine, serves the API, and stops all of them in order.
//! Rules, SQL and HTTP handlers do not belong here.

mod admin_token;
mod background;
mod config;
mod greeting;
mod limits;
mod logging;
mod login_file;
mod metrics;
mod notices;
mod signals;
mod transfer;

pub use login_file::base as url_of_server;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::api::{self, ApiContext, IngestMetrics, Pages};
use crate::dashboard::{self, DashboardContext, GuardedStore};
use crate::delivery::clock::{self, Clock};
use crate::delivery::{self, Engine, EngineOptions};
use crate::domain::instance::InstanceName;
use crate::domain::login::LoginKey;
use crate::domain::memory::MemoryBudget;
use crate::domain::network::NetworkPolicy;
use crate::domain::origin::Origin;
use crate::domain::sealing::key::SecretsKeys;
use crate::error::{Error, Kind, Result};
use crate::process;
use crate::store::{self, Store, StoreOptions};
use crate::web::access::cookie::Cookie;
use crate::web::access::{AdminAccess, AdminAuth};
use crate::web::body::BodyLimits;
use crate::web::browser::same_origin::OriginPolicy;
use crate::web::rate_limit::RateLimiter;
use crate::web::server::{self, Bound, HttpServer};
pub use config::{Config, LogFormat};
use greeting::Greeting;
use logging::LogStyle;
use login_file::LoginFile;
use metrics::Sources;
use signals::LogSignals;
pub use signals::StopSignals;
pub use transfer::{ExportConfig, ImportConfig, export, import};

/// Most threads of tokio's blocking pool, for database reads of the API and for poem. Delivery workers have a pool of
/// their own.
const BLOCKING_THREADS: usize = 32;

/// Signals within this time of the first count as one request to stop. Programs such as `timeout` send a signal to the
/// process and once more to its group.
const REPEATED_SIGNAL: Duration = Duration::from_millis(250);

/// Runs the server until a signal stops it.
///
/// # Errors
/// One line that says why the server cannot start.
pub fn serve(config: Config) -> Result<()> {
    let (style, levels) = logging::start(config.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|error| Error::internal(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        let mut stop = StopSignals::new()?;
        tokio::spawn(LogSignals::new()?.follow(levels));
        // The start may wait for the file's lock or migrate an older file. Neither may delay a stop.
        let mut starting = tokio::task::spawn_blocking(move || Running::start(config, style));
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
            while told.elapsed() < REPEATED_SIGNAL {
                name = stop.wait().await;
            }
            tracing::warn!(signal = name, "stopping at once; attempts under way are made again at the next start");
            process::end(1);
        });
        running.stop().await;
        Ok(())
    })
}

/// Waits for the end of a start that was asked to end. Where the start succeeds all the same, stops the server.
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

/// Makes another login link for the server that runs on `database`.
///
/// # Errors
/// One line that says why there is no link.
pub fn login_link(database: &Path) -> Result<String> {
    login_file::new_link(database)
}

/// A running server.
struct Running {
    store: Store,
    engine: Engine,
    serving: HttpServer,
    stopping: watch::Sender<bool>,
    background: Vec<JoinHandle<()>>,
    grace: Duration,
    /// The file that `login-link` reads; removed when the server stops. `None` under `--dev`, or where the file could
    /// not be written.
    login: Option<LoginFile>,
}

impl Running {
    fn start(config: Config, style: LogStyle) -> Result<Self> {
        // Bind the port first: where the port is in use, nothing else is changed. Clients can connect only once they
        // can get a response.
        let bound = server::bind(config.listen).map_err(|error| cannot_listen(config.listen, &error))?;
        // A start with a key seals a plain file. One that would then fail must not come so far.
        if !config.dev && config.admin_token.is_none() {
            admin_token::check(&config.database)?;
        }
        let clock = Clock::start();
        let memory = MemoryBudget::new(config.memory, config.max_body);
        let (outbox, inbox) = delivery::channel();
        let told = outbox.clone();
        let store = Store::open(
            &StoreOptions {
                path: config.database.clone(),
                checkpoints: config.checkpoints,
                now: clock.now(),
                memory: memory.clone(),
                keys: SecretsKeys::new(config.secrets_key.clone()),
            },
            Box::new(move |changes| told.changes(changes)),
        )?;
        let started = Self::start_on(store.clone(), config, style, bound, clock, memory, (outbox, inbox));
        if started.is_err() {
            // Close the store, so that no write-ahead log remains next to the database file.
            tokio::runtime::Handle::current().block_on(store.close());
        }
        started
    }

    fn start_on(
        store: Store,
        config: Config,
        style: LogStyle,
        bound: Bound,
        clock: Clock,
        memory: MemoryBudget,
        (outbox, inbox): (delivery::EngineHandle, delivery::EngineReceiver),
    ) -> Result<Self> {
        let address = bound.address();
        let open_files = limits::raise_open_files(config.workers);
        let network = if config.dev { NetworkPolicy::dev } else { NetworkPolicy::new };
        let network = Arc::new(network(config.allow_network.clone()).listening_on(address));
        let base = login_file::base(address, config.public_url.as_ref());
        let login_key = LoginKey::generate();
        let (access, login) = if config.dev {
            (AdminAccess::Dev, None)
        } else {
            let make = || admin_token::load_or_make(store.path(), &config.database);
            let token = config.admin_token.map_or_else(make, Ok)?;
            let cookie = Cookie::new(address.port(), config.public_url.as_ref().is_some_and(Origin::is_https));
            let posted = login_file::write(store.path(), address, &base, &login_key);
            // A full disk must not prevent a login: the link in the log still works.
            let posted = posted.inspect_err(|error| tracing::warn!(%error, "data-pusher login-link will not work"));
            let auth = AdminAuth::new(token, store.tokens_with_roles(), login_key.clone(), cookie);
            (AdminAccess::Token(Box::new(auth)), posted.ok())
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
                memory: memory.clone(),
                max_body: config.max_body,
            },
            store.clone(),
            outbox,
            inbox,
        )?;
        let (stopping, stopped) = watch::channel(false);
        let access = Arc::new(access);
        let ingest = Arc::new(IngestMetrics::default());
        let sources = Arc::new(Sources {
            engine: engine.metrics(),
            store: store.clone(),
            ingest: Arc::clone(&ingest),
            access: Arc::clone(&access),
            memory: memory.clone(),
            workers: config.workers,
            instance: config.instance.clone(),
            started: clock::wall(),
            asking: Arc::new(Semaphore::new(1)),
        });
        let origins = OriginPolicy { public: config.public_url.clone(), allowed_origins: config.cors_origins };
        let bodies = BodyLimits::new(config.max_body, config.request_timeout, memory, stopped);
        let account_rate = Arc::new(RateLimiter::new(config.account_rate));
        let dashboard = Arc::new(DashboardContext {
            store: GuardedStore::new(store.clone()),
            access: Arc::clone(&access),
            origins: origins.clone(),
            network: Arc::clone(&network),
            bodies: bodies.clone(),
            account_rate: Arc::clone(&account_rate),
            test_sender: engine.tester(),
            engine: engine.watcher(),
            url: base.clone(),
            instance: config.instance.clone(),
            clock: clock::wall,
        });
        let context = ApiContext {
            store: store.clone(),
            access,
            origins,
            network,
            bodies,
            account_rate,
            test_sender: engine.tester(),
            engine: engine.watcher(),
            ingest,
            metrics: Arc::new(move || {
                let sources = Arc::clone(&sources);
                Box::pin(async move { sources.text().await })
            }),
            instance: config.instance.clone(),
            clock: clock::wall,
        };
        let lost = dashboard::lost(Arc::clone(&dashboard));
        let pages = Pages { api: dashboard::pages(dashboard), paths: &dashboard::PATHS, lost: Box::new(lost) };
        let routes = api::routes(context, pages);
        let grace = config.shutdown_grace;
        let most = server::max_connections(open_files);
        let listener = bound.listen().map_err(|error| cannot_listen(config.listen, &error))?;
        let serving = HttpServer::start(listener, routes, most, config.request_timeout, grace);
        let mut background = vec![
            tokio::spawn(background::upkeep(store.clone(), clock, config.retention)),
            tokio::spawn(background::watch_clock(store.clone(), clock)),
            tokio::spawn(background::watch_file(store.clone())),
        ];
        if let Some(account) = config.notify_account {
            background.push(tokio::spawn(notices::tell(store.clone(), account)));
        }
        let link = (!config.dev).then(|| login_file::link(&base, &login_key));
        Greeting {
            address,
            url: &base,
            database: store.path().display().to_string(),
            instance: config.instance.as_ref().map(InstanceName::as_str),
            dev: config.dev,
            link,
        }
        .say(style);
        if let Some(url) = config.public_url.filter(|_| config.dev) {
            tracing::warn!(%url, "--dev asks nobody for a token, under the public URL neither");
        }
        Ok(Self { store, engine, serving, stopping, background, grace, login })
    }

    /// Stops accepting requests, waits at most `grace` for requests and attempts in progress, commits, and closes the
    /// file.
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
    let mut why = format!("cannot listen on {address}: {error}");
    if error.kind() == std::io::ErrorKind::AddrInUse {
        let other = SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(8081));
        why = format!(
            "cannot listen on {address}: another program does; stop that one, or choose a free port: --listen {other}"
        );
    }
    Error::new(Kind::Internal, "cannot_listen", why)
}
