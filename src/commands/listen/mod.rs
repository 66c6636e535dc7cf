//! `data-pusher listen`: a receiver on this machine that shows what a destination would get. Its flags, its start and
//! its end. How requests are answered belongs in `receiver`.

mod folded;
mod forward;
mod received;
mod receiver;
mod show;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use poem::http::StatusCode;

use self::folded::Bounds;
use self::forward::Forward;
use self::receiver::{Ended, Receiver, Rules};
use super::server_url::ServerUrl;
use super::values::{file, share, status};
use crate::app::StopSignals;
use crate::delivery::Trust;
use crate::domain::duration;
use crate::domain::secret::SigningSecret;
use crate::error::{Error, Kind, Result};
use crate::process::output::{self, is_rich};
use crate::web::server::{self, HttpServer};

/// Most connections at once. The most that a server makes to one destination are 256.
const MAX_CONNECTIONS: usize = 384;

/// Time limit for the headers of a request, and for each part of an answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a stop waits for answers.
const GRACE: Duration = Duration::from_secs(1);

/// How long a stop waits for answers of the target: what it got would come again, if its answer were lost.
const GRACE_OF_TARGET: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(
    after_help = "Deliveries go to standard output, everything else to standard error. A delivery is printed before it is \
                  answered. A second Ctrl-C does not wait for answers of --forward-to.\n\nExit codes: 0 after Ctrl-C, SIGTERM, or when nobody reads the output any more; 1 where it \
                  cannot listen or print; 2 a wrong flag."
)]
pub struct Listen {
    /// Port on 127.0.0.1; with 0 the system chooses a free one
    #[arg(long, default_value = "9000")]
    port: u16,

    /// Status of every answer, from 200 to 599
    #[arg(long, default_value = "200", value_parser = status)]
    status: StatusCode,

    /// Retry-After of every answer, for --status 429 or 503
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u32>,

    /// Wait this long before each answer
    #[arg(long, default_value = "0ms", value_parser = duration::parse)]
    delay: Duration,

    /// Answer this share of the requests with 500, from 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    fail: Option<f64>,

    /// Choose the requests that fail by this number, so that every start chooses the same ones
    #[arg(long, value_name = "NUMBER", requires = "fail")]
    seed: Option<u64>,

    /// Signing secret of the destination (whsec_…), to check signatures; repeat it where an old one is still valid.
    /// Other users may see flags: the variable hides it
    #[arg(
        long,
        env = "DATA_PUSHER_SIGNING_SECRET",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "SECRET"
    )]
    secret: Vec<String>,

    /// Pass each request on to this URL, its path behind that of the URL, and answer with the answer
    #[arg(long, value_name = "URL", hide_env_values = true, value_parser = ServerUrl::parse, conflicts_with_all = ["status", "retry_after"])]
    forward_to: Option<ServerUrl>,

    /// PEM file with further certificate authorities for --forward-to (repeatable)
    #[arg(long, value_name = "PEM", value_parser = file, requires = "forward_to")]
    ca_file: Vec<PathBuf>,

    /// Print one JSON object a line, with all headers and the whole body
    #[arg(long)]
    json: bool,

    /// Print long bodies whole
    #[arg(long, conflicts_with = "json")]
    full: bool,
}

/// A receiver that is to be started.
pub struct ListenConfig {
    port: u16,
    rules: Rules,
    seed: Option<u64>,
}

impl Listen {
    /// The settings of the receiver.
    ///
    /// # Errors
    /// One line that says which value is wrong, or which file cannot be read.
    pub fn config(self) -> Result<ListenConfig, String> {
        let secrets: Result<Vec<_>, _> = self.secret.iter().map(|secret| SigningSecret::parse(secret)).collect();
        let trust = Trust::load(&self.ca_file)?;
        let forward = self.forward_to.map(|target| Forward::new(target, &trust));
        if self.port != 0 && forward.as_ref().is_some_and(|forward| forward.leads_to(self.port)) {
            return Err(format!(
                "--forward-to leads to this receiver itself, on port {0}; give the port of your program there, or another \
                 one by --port",
                self.port
            ));
        }
        let rules = Rules {
            status: self.status,
            retry_after: self.retry_after,
            delay: self.delay,
            fail: self.fail.unwrap_or_default(),
            secrets: secrets.map_err(|why| format!("--secret: {why}"))?,
            forward,
            json: self.json,
            bounds: if self.full { Bounds::NONE } else { Bounds::SOME },
            colours: is_rich(&io::stdout()),
        };
        Ok(ListenConfig { port: self.port, rules, seed: self.seed })
    }
}

/// Receives until a signal or the end of the output.
///
/// # Errors
/// One line that says why it cannot listen or print.
pub fn run(config: ListenConfig) -> Result<()> {
    output::start().map_err(|error| Error::internal(format!("cannot start a thread: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(MAX_CONNECTIONS)
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("cannot start the runtime: {error}")))?;
    let ended = runtime.block_on(receive(config));
    // Requests that are being passed on may take long.
    runtime.shutdown_background();
    ended
}

async fn receive(config: ListenConfig) -> Result<()> {
    let mut stop = StopSignals::new()?;
    let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
    let bound = server::bind(asked).map_err(|error| cannot_listen(asked, &error))?;
    let address = bound.address();
    let listener = bound.listen().map_err(|error| cannot_listen(asked, &error))?;
    let random = config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    let grace = if config.rules.forward.is_some() { GRACE_OF_TARGET } else { GRACE };
    let (receiver, mut ends) = Receiver::new(config.rules, random);
    watch_output(receiver.clone())?;
    let serving = HttpServer::start(listener, receiver.clone(), MAX_CONNECTIONS, CLIENT_TIMEOUT, grace);
    say(&format!("listening on http://{address}"));
    say("A destination with this URL needs `serve --dev`, or `--allow-network 127.0.0.1/32`. Ctrl-C ends it.");
    let ended = tokio::select! {
        _ = stop.wait() => None,
        ended = ends.wait_for(Option::is_some) => ended.ok().and_then(|ended| ended.clone()),
    };
    let served = tokio::select! {
        served = serving.stop() => served,
        _ = stop.wait() => Ok(()),
    };
    let counts = receiver.counts();
    let by_status: Vec<String> = counts.iter().map(|(status, count)| format!("{count} with {status}")).collect();
    let detail = if by_status.is_empty() { String::new() } else { format!(", answered {}", by_status.join(", ")) };
    say(&format!("received {}{detail}", counts.values().sum::<u64>()));
    match ended {
        Some(Ended::Failed(why)) => Err(Error::internal(format!("cannot write to standard output: {why}"))),
        _ => served.map_err(|error| Error::internal(format!("the receiver ended early: {error}"))),
    }
}

/// Ends the receiver when nobody reads its output any more. Without that, the next delivery would come to nothing.
fn watch_output(receiver: Receiver) -> Result<()> {
    let watch = move || {
        if output::wait_until_closed() {
            receiver.close();
        }
    };
    let started = std::thread::Builder::new().name("output".to_owned()).spawn(watch);
    started.map(drop).map_err(|error| Error::internal(format!("cannot start a thread: {error}")))
}

fn say(line: &str) {
    output::log_line(format!("{line}\n").as_bytes());
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Error {
    let why = match error.kind() {
        ErrorKind::AddrInUse => {
            format!(
                "cannot listen on {address}: another program does; stop that one, or let the system choose: --port 0"
            )
        }
        _ => format!("cannot listen on {address}: {error}"),
    };
    Error::new(Kind::Internal, "cannot_listen", why)
}
