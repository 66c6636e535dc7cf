//! The maximum rate of each part of the work alone, measured in the same run. The parts are: an echo by the same HTTP
//! framework, a group commit of the same rows, and the same HTTP client to the same receiver.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use data_pusher::store::SCHEMA;
use poem::listener::TcpAcceptor;
use poem_openapi::payload::Json;
use poem_openapi::{OpenApi, OpenApiService};
use rusqlite::Connection;
use serde_json::Value;
use ureq::Agent;

use super::support::Result;
use super::support::message;
use super::support::receiver::Receiver;
use super::support::system::{ends_with_us, own_processor_time, processor_time};

/// Hidden argument with which the bench starts itself as the echo.
pub const ARGUMENT: &str = "--be-the-echo";

/// Threads that send by ureq: as many as the product uses for one destination.
const SENDERS: usize = 32;

/// Events of one transaction: as many as 64 connections send together.
const EVENTS_PER_TRANSACTION: usize = 64;

/// Rate and cost of one part of the work, alone.
#[derive(Debug, Clone, Copy)]
pub struct Ceiling {
    /// How often a second the part was done.
    pub rate: f64,
    /// Processor time for each, in microseconds, in the process that does the work.
    pub processor_us: f64,
}

struct Echo;

#[OpenApi]
impl Echo {
    #[oai(path = "/echo", method = "post")]
    async fn echo(&self, body: Json<Value>) -> Json<Value> {
        body
    }
}

/// Serves the echo until standard input ends.
pub fn run_echo() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        println!("{}", listener.local_addr()?);
        let service = OpenApiService::new(Echo, "echo", "1");
        poem::Server::new_with_acceptor(TcpAcceptor::from_std(listener)?).run(service).await?;
        Ok(())
    })
}

/// The process of the echo.
pub struct EchoServer {
    child: Child,
    /// Its address.
    pub address: SocketAddr,
}

impl EchoServer {
    /// Starts the process.
    pub fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT).stdin(Stdio::null()).stdout(Stdio::piped());
        ends_with_us(&mut command);
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse()? })
    }

    /// Processor time that the process has used, in seconds; NaN where the system does not tell.
    pub fn processor_time(&self) -> f64 {
        processor_time(self.child.id()).unwrap_or(f64::NAN)
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests a second by ureq to `receiver`, with the product's settings and number of threads.
pub fn ureq(receiver: &mut Receiver, warm: Duration, length: Duration) -> Result<Ceiling> {
    let config = Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .accept_encoding(ureq::config::AutoHeaderValue::None)
        .input_buffer_size(8 * 1024)
        .output_buffer_size(8 * 1024)
        .max_idle_connections(SENDERS)
        .max_idle_connections_per_host(SENDERS)
        .build();
    let agent =
        Agent::with_parts(config, ureq::unversioned::transport::DefaultConnector::new(), Literal(receiver.address()));
    let (url, body, stop) = (receiver.url(0), message::body(message::BODY), AtomicBool::new(false));
    thread::scope(|scope| {
        let send = || -> std::result::Result<(), ureq::Error> {
            while !stop.load(Ordering::Relaxed) {
                let request = agent.post(&url).header("content-type", "application/json");
                let timed = request.config().timeout_global(Some(Duration::from_secs(15))).build();
                timed.send(&body[..])?.into_body().read_to_vec()?;
            }
            Ok(())
        };
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
        thread::sleep(warm);
        let (before, began, processor) = (receiver.count()?.requests, Instant::now(), own_processor_time());
        thread::sleep(length);
        let requests = (receiver.count()?.requests - before) as f64;
        let rate = requests / began.elapsed().as_secs_f64();
        let processor_us = (own_processor_time() - processor) * 1e6 / requests;
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.join().map_err(|_| "a thread panicked")??;
        }
        Ok(Ceiling { rate, processor_us })
    })
}

/// Resolves every name to one address. ureq's own resolver would start a thread for each request.
#[derive(Debug)]
struct Literal(SocketAddr);

impl ureq::unversioned::resolver::Resolver for Literal {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: ureq::unversioned::transport::NextTimeout,
    ) -> std::result::Result<ureq::unversioned::resolver::ResolvedSocketAddrs, ureq::Error> {
        let mut resolved = self.empty();
        resolved.push(self.0);
        Ok(resolved)
    }
}

/// A file with the product's schema and settings, an account and a destination.
struct Rows {
    connection: Connection,
    next: i64,
    _folder: tempfile::TempDir,
}

impl Rows {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let connection = Connection::open(folder.path().join("ceiling.db"))?;
        connection.execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
             PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 1000; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192",
        )?;
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch(
            "INSERT INTO account (account_id, email, email_folded, name, token_digest, token_hint, created_at, updated_at)
             VALUES ('a', 'a', 'a', 'a', x'00', 'a', 0, 0);
             INSERT INTO destination (destination_id, account_key, url, http_method, headers, secret, created_at, updated_at)
             VALUES ('d', 1, 'u', 'POST', '{}', x'00', 0, 0)",
        )?;
        // About the ids that the product makes now.
        Ok(Self { connection, next: 1_790_000_000_000 << 21, _folder: folder })
    }

    /// Commits `events` events in one transaction. If `delivered`, each has its delivery and its outcome.
    fn commit(&mut self, events: usize, delivered: bool, body: &[u8]) -> Result<()> {
        let first = self.next;
        let connection = &self.connection;
        let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<usize> {
            connection.prepare_cached(sql)?.execute(params)
        };
        run("BEGIN IMMEDIATE", &[])?;
        for id in (first..).step_by(2).take(events) {
            run(
                "INSERT INTO event (id, account_key, received_at, idempotency_key, payload) VALUES (?1, 1, ?2, NULL, ?3)",
                &[&id, &(id >> 21), &body],
            )?;
            if delivered {
                let delivery = id + 1;
                run(
                    "INSERT INTO delivery (id, event_id, destination_key, state, step, attempt_count, next_attempt_at,
                     first_body) VALUES (?1, ?2, 1, 0, 0, 0, 0, zeroblob(16))",
                    &[&delivery, &id],
                )?;
                run(
                    "UPDATE delivery SET state = 1, attempt_count = 1, next_attempt_at = 0, last_attempt_at = ?2,
                     status_code = 200, error = NULL, first_duration_ms = 1, first_body = x'6f6b'
                     WHERE id = ?1 AND state = 0 AND attempt_count = 0",
                    &[&delivery, &(id >> 21)],
                )?;
            }
        }
        run("COMMIT", &[])?;
        self.next += 2 * events as i64;
        Ok(())
    }
}

/// Events a second that SQLite commits in groups. If `delivered`, each has its delivery and its outcome.
pub fn group_commit(delivered: bool, length: Duration) -> Result<Ceiling> {
    let (mut rows, body) = (Rows::new()?, message::body(message::BODY));
    let (began, processor, mut events) = (Instant::now(), own_processor_time(), 0);
    while began.elapsed() < length {
        rows.commit(EVENTS_PER_TRANSACTION, delivered, &body)?;
        events += EVENTS_PER_TRANSACTION;
    }
    let processor_us = (own_processor_time() - processor) * 1e6 / events as f64;
    Ok(Ceiling { rate: events as f64 / began.elapsed().as_secs_f64(), processor_us })
}

/// Median time of a commit of one event, in milliseconds.
pub fn commit_ms(commits: usize) -> Result<f64> {
    let (mut rows, body) = (Rows::new()?, message::body(message::BODY));
    let mut took = Vec::with_capacity(commits);
    for _ in 0..commits {
        let began = Instant::now();
        rows.commit(1, false, &body)?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took[commits / 2].as_secs_f64() * 1e3)
}
