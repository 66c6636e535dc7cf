//! The server under test: a process of its own over a database of its own, used through its API only.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::Result;
use super::http::Client;
use super::system::{ends_with_us, processor_time, resident, terminate};

/// Connections that create accounts and destinations.
const SETTERS: usize = 8;

/// Maximum wait until the server listens.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server.
pub struct Server {
    /// Its address.
    pub address: SocketAddr,
    binary: PathBuf,
    flags: Vec<String>,
    database: PathBuf,
    child: Child,
    /// Lines of its log at level error.
    errors: Arc<AtomicUsize>,
    next_account: usize,
    /// Settings of destinations that are created from now on, besides URL, method and headers.
    pub settings: Map<String, Value>,
    /// Time from its last start until it listened.
    pub started_in: Duration,
    _folder: tempfile::TempDir,
}

/// An account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its app secret token.
    pub token: String,
}

impl Server {
    /// Starts a server on a new file.
    pub fn start(binary: &Path, flags: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = folder.path().join("bench.db");
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let errors = Arc::new(AtomicUsize::new(0));
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let began = Instant::now();
        let (child, address) = spawn(binary, &flags, &database, listen, &errors)?;
        let (binary, started_in) = (binary.to_owned(), began.elapsed());
        let settings = Map::new();
        Ok(Self {
            address,
            binary,
            flags,
            database,
            child,
            errors,
            next_account: 0,
            settings,
            started_in,
            _folder: folder,
        })
    }

    /// Kills the server with SIGKILL and starts it again on the same file and port. Returns the time from the start
    /// until it listens.
    pub fn crash_and_restart(&mut self) -> Result<Duration> {
        self.child.kill()?;
        self.child.wait()?;
        self.start_again()
    }

    /// Stops the server in order and starts it again on the same file and port. Returns the time from the start until
    /// it listens.
    pub fn stop_and_restart(&mut self) -> Result<Duration> {
        self.stop_and_do(|_| Ok(()))
    }

    /// Like `stop_and_restart`, and calls `something` with the path of the file while no server runs.
    pub fn stop_and_do(&mut self, something: impl FnOnce(&Path) -> Result<()>) -> Result<Duration> {
        terminate(&self.child);
        if !self.child.wait()?.success() {
            return Err("the server did not stop in order".into());
        }
        something(&self.database)?;
        self.start_again()
    }

    fn start_again(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let (child, address) = spawn(&self.binary, &self.flags, &self.database, self.address, &self.errors)?;
        (self.child, self.address) = (child, address);
        self.started_in = began.elapsed();
        Ok(self.started_in)
    }

    /// Length of the database file.
    pub fn file_bytes(&self) -> Result<u64> {
        Ok(self.database.metadata()?.len())
    }

    /// Length of the database file and of its write-ahead log together.
    pub fn all_bytes(&self) -> Result<u64> {
        let log = self.database.with_extension("db-wal").metadata().map_or(0, |log| log.len());
        Ok(self.file_bytes()? + log)
    }

    /// Path of the database file.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The value of a metric in `/metrics`.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let page = String::from_utf8(Client::new(self.address).get("/metrics")?.body)?;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.ok_or_else(|| format!("/metrics has no {name}"))?.parse()?)
    }

    /// The ids of all destinations of `accounts`.
    pub fn destinations(&self, accounts: &[Account]) -> Result<Vec<String>> {
        let mut client = Client::new(self.address);
        let mut ids = Vec::new();
        for account in accounts {
            let page = client.get(&format!("/v1/accounts/{}/destinations", account.id))?;
            let page: Value = serde_json::from_slice(&page.body)?;
            let items = page["items"].as_array().into_iter().flatten();
            ids.extend(items.filter_map(|item| item["destination_id"].as_str()).map(str::to_owned));
        }
        Ok(ids)
    }

    /// Pauses or resumes destinations: `what` is the last part of the path.
    pub fn steer(&self, destinations: &[String], what: &str) -> Result<()> {
        self.post_all(destinations.iter().map(|id| format!("/v1/destinations/{id}/{what}")).collect(), 200)
    }

    /// Retries deliveries by hand.
    pub fn retry(&self, deliveries: &[String]) -> Result<()> {
        self.post_all(deliveries.iter().map(|id| format!("/v1/deliveries/{id}/retry")).collect(), 202)
    }

    /// Sends POST requests on several connections, because each request is a commit.
    fn post_all(&self, paths: Vec<String>, expected: u16) -> Result<()> {
        let address = self.address;
        thread::scope(|scope| {
            let some = paths.chunks(paths.len().div_ceil(SETTERS).max(1)).map(|some| {
                scope.spawn(move || {
                    let mut client = Client::new(address);
                    some.iter().try_for_each(|path| {
                        match client.post(path, None, "").map_err(|error| error.to_string())?.status {
                            status if status == expected => Ok(()),
                            status => Err(format!("{path} answered {status}")),
                        }
                    })
                })
            });
            let some: Vec<_> = some.collect();
            some.into_iter().try_for_each(|one| one.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
        })?;
        Ok(())
    }

    /// Resident memory of the server, in bytes.
    pub fn resident(&self) -> Result<u64> {
        resident(self.child.id()).ok_or_else(|| "the memory of the server cannot be read".into())
    }

    /// Processor time that the server has used, in seconds; NaN where the system does not tell.
    pub fn processor_time(&self) -> f64 {
        processor_time(self.child.id()).unwrap_or(f64::NAN)
    }

    /// Lines of its log at level error.
    pub fn errors(&self) -> usize {
        self.errors.load(Ordering::Relaxed)
    }

    /// Creates `count` accounts with `destinations` destinations each. `url` makes a URL of a destination's number,
    /// which is counted over all accounts.
    pub fn accounts(
        &mut self,
        count: usize,
        destinations: usize,
        url: impl Fn(usize) -> String + Sync,
    ) -> Result<Vec<Account>> {
        let mut client = Client::new(self.address);
        let mut accounts = Vec::with_capacity(count);
        for _ in 0..count {
            self.next_account += 1;
            let number = self.next_account;
            let body =
                json!({ "email": format!("bench{number}@example.com"), "account_name": format!("Bench {number}") });
            let made = created(&mut client, "/v1/accounts", &body)?;
            let text =
                |key: &str| made[key].as_str().map(str::to_owned).ok_or_else(|| format!("an account without {key}"));
            accounts.push(Account { id: text("account_id")?, token: text("app_secret_token")? });
        }
        let (next, accounts_made, address) = (AtomicUsize::new(0), &accounts, self.address);
        let settings = &self.settings;
        thread::scope(|scope| {
            let set = || {
                let mut client = Client::new(address);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(account) = number.checked_div(destinations).and_then(|at| accounts_made.get(at)) else {
                        return Ok(());
                    };
                    let mut body = settings.clone();
                    body.insert("url".to_owned(), url(number).into());
                    body.insert("http_method".to_owned(), "POST".into());
                    body.entry("headers").or_insert_with(|| json!({}));
                    let body = Value::Object(body);
                    let path = format!("/v1/accounts/{}/destinations", account.id);
                    created(&mut client, &path, &body).map_err(|error| error.to_string())?;
                }
            };
            let setters: Vec<_> = (0..SETTERS).map(|_| scope.spawn(set)).collect();
            setters
                .into_iter()
                .try_for_each(|setter| setter.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
        })?;
        Ok(accounts)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn created(client: &mut Client, path: &str, body: &Value) -> Result<Value> {
    let answer = client.post(path, None, &body.to_string())?;
    match answer.status {
        201 => Ok(serde_json::from_slice(&answer.body)?),
        status => Err(format!("POST {path} answered {status}: {}", String::from_utf8_lossy(&answer.body)).into()),
    }
}

fn spawn(
    binary: &Path,
    flags: &[String],
    database: &Path,
    listen: SocketAddr,
    errors: &Arc<AtomicUsize>,
) -> Result<(Child, SocketAddr)> {
    let mut command = Command::new(binary);
    command.args(["serve", "--dev", "--log-format", "json", "--listen", &listen.to_string(), "--database"]);
    command.arg(database).args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    ends_with_us(&mut command);
    let mut child = command.spawn()?;
    let log = child.stderr.take().ok_or("no pipe")?;
    let (found, listening) = mpsc::channel();
    let errors = Arc::clone(errors);
    thread::spawn(move || watch(log, &found, &errors));
    match listening.recv_timeout(START_TIMEOUT) {
        Ok(address) => Ok((child, address)),
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            Err("the server does not listen".into())
        }
    }
}

/// Reads the log to its end, so that the server is never blocked by a full pipe.
fn watch(log: ChildStderr, found: &mpsc::Sender<SocketAddr>, errors: &AtomicUsize) {
    for line in BufReader::new(log).lines().map_while(std::result::Result::ok) {
        if line.contains(r#""level":"ERROR""#) {
            if errors.fetch_add(1, Ordering::Relaxed) == 0 {
                eprintln!("the server says: {line}");
            }
        } else if line.contains(r#""message":"listening""#) {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = line["address"].as_str().and_then(|address| address.parse().ok()) {
                let _ = found.send(address);
            }
        }
    }
}
