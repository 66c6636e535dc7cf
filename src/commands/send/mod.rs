//! `data-pusher send`: sends the documents of a file or of standard input to a server. Its flags, its threads and its
//! end. What a server's answer means belongs in `sender`.

mod documents;
mod input;
mod json_line;
mod keys;
mod patience;
mod report;
mod run;
mod sender;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, Args};

use self::input::{Input, KeyChoice};
use self::report::{Lines, Report};
use self::run::{End, Run};
use self::sender::Sender;
use super::server_url::ServerUrl;
use super::token_flags::{self, Way};
use super::values::{count, file};
use crate::api::PATH_OF_EVENTS;
use crate::app::StopSignals;
use crate::delivery::{HttpClient, Trust};
use crate::domain::duration;
use crate::domain::event_type::EventType;
use crate::domain::rate::Rate;
use crate::domain::secret::AppToken;
use crate::process::harmless::harmless;
use crate::process::{self, output};

/// Time limit of one request, besides a wait that was asked for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Least time limit of one request: with a shorter time to give up, an answer must still be possible.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Exit code after a signal that ended the run early, as of programs that SIGINT ends.
const INTERRUPTED: u8 = 130;

#[derive(Debug, Args)]
#[command(
    after_help = "Every document has an Idempotency-Key, so that a run that broke off can be made again: the server knows what it \
                  has, and takes only the rest. It remembers keys for 24 hours. A key is made of the document, the number of \
                  its line and the event type, and of the content of the whole file. So a file that was changed is a new \
                  one. Of standard input a key has the lines before. With --key NAME it has that name instead, and lines can \
                  be corrected or added between two runs; take a name for one set of data only.\n\nA 429, a 503 or no answer is \
                  waited for, and the document is sent again. If the server asks for a wait that --give-up-after does not \
                  leave, the run ends at once. With --concurrency 1 the order of the lines is kept.\n\nThe id of \
                  a single event, the deliveries of --wait and the lines of --json go to standard output, everything else \
                  to standard error.\n\nExit codes: 0 all were taken; 1 some were refused or not sent; 2 a wrong flag; 130 \
                  after Ctrl-C or SIGTERM, which wait for the requests that have begun."
)]
pub struct SendCommand {
    /// File with one JSON document, or one a line where it is named .ndjson or .jsonl; - or none is standard input
    #[arg(value_name = "FILE")]
    input: Option<PathBuf>,

    /// URL of the server
    #[arg(long, env = "DATA_PUSHER_URL", hide_env_values = true, default_value = "http://127.0.0.1:8080", value_parser = ServerUrl::parse)]
    url: ServerUrl,

    /// App secret token of the account. Other users may see flags: the variable or --token-file hides it
    #[arg(long, env = "DATA_PUSHER_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// File that holds the token
    #[arg(long, env = "DATA_PUSHER_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Each line is a document, whatever the file's name is
    #[arg(long)]
    ndjson: bool,

    /// Type of the events, such as order.paid
    #[arg(long, value_name = "TYPE")]
    event_type: Option<EventType>,

    /// Most requests that begin in a time, such as 100/s
    #[arg(long, value_parser = Rate::parse)]
    rate: Option<Rate>,

    /// Requests at the same time, from 1 to 256
    #[arg(long, default_value = "16", value_name = "COUNT", value_parser = count::<256>)]
    concurrency: u16,

    /// Wait up to this many seconds for the first attempts of each event, and print what became of them
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "10", value_parser = count::<30>)]
    wait: Option<u16>,

    /// Make the keys with this name instead of the file's content
    #[arg(long, value_name = "NAME", conflicts_with = "again")]
    key: Option<String>,

    /// Send documents that were sent before as new ones: the keys are of this run alone
    #[arg(long)]
    again: bool,

    /// End the run after this time without an answer, or with nothing but 429 and 503
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = duration::parse)]
    give_up_after: Duration,

    /// PEM file with further certificate authorities for https (repeatable)
    #[arg(long, env = "DATA_PUSHER_CA_FILE", value_delimiter = ',', value_name = "PEM", value_parser = file)]
    ca_file: Vec<PathBuf>,

    /// Print one JSON object a line for each document: line, event_id, status
    #[arg(long)]
    json: bool,
}

/// A run that is to be made.
pub struct SendConfig {
    input: Input,
    by_line: bool,
    lines: Lines,
    sender: Sender,
    event_type: Option<EventType>,
    keys: KeyChoice,
    rate: Option<Rate>,
    workers: u16,
    give_up_after: Duration,
}

impl SendCommand {
    /// Of the two ways to give the token: a flag wins over the other way's variable, as it does over its own.
    pub fn choose_token(&mut self, matches: &ArgMatches) -> Result<(), String> {
        match token_flags::way(matches, "token", "token_file")? {
            Way::Token => self.token_file = None,
            Way::File => self.token = None,
            Way::Any => {}
        }
        Ok(())
    }

    /// The settings of the run.
    ///
    /// # Errors
    /// One line that says which value is wrong, or which file cannot be read.
    pub fn config(self) -> Result<SendConfig, String> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => AppToken::parse(token)?,
            (None, Some(path)) => token_in(path)?,
            (None, None) => {
                return Err("no token; give it by --token-file, by DATA_PUSHER_TOKEN or by --token".to_owned());
            }
        };
        let path = self.input.filter(|path| path.as_os_str() != "-");
        let extension = path.as_deref().and_then(Path::extension).map(|name| name.to_ascii_lowercase());
        let by_line = self.ndjson || extension.is_some_and(|name| name == "ndjson" || name == "jsonl");
        let input = path.map_or(Ok(Input::Standard), Input::open)?;
        let wait = Duration::from_secs(self.wait.unwrap_or_default().into());
        let trust = Trust::load(&self.ca_file)?;
        // A server that hangs ends the run in time too.
        let timeout = TIMEOUT.min(self.give_up_after.max(MIN_TIMEOUT)) + wait;
        let client = HttpClient::new(self.url.is_https(), &trust, self.concurrency.into(), timeout);
        let path = if self.url.path().ends_with(PATH_OF_EVENTS) { "" } else { PATH_OF_EVENTS };
        let uri = self.url.join(path, None)?;
        let lines = match (self.json, self.wait, by_line) {
            (true, ..) => Lines::Json,
            (_, Some(_), _) => Lines::Deliveries,
            (_, _, false) => Lines::Ids,
            (_, _, true) => Lines::None,
        };
        Ok(SendConfig {
            input,
            by_line,
            lines,
            sender: Sender::new(client, uri, &token, self.event_type.as_ref(), self.wait)?,
            event_type: self.event_type,
            keys: match (self.key, self.again) {
                (Some(name), _) => KeyChoice::Name(name),
                (None, true) => KeyChoice::Fresh,
                (None, false) => KeyChoice::Content,
            },
            rate: self.rate,
            workers: self.concurrency,
            give_up_after: self.give_up_after,
        })
    }
}

fn token_in(path: &Path) -> Result<AppToken, String> {
    let text = token_flags::read(path, "token")?;
    AppToken::parse(text.trim()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Sends everything. Failures are said on standard error; the exit code tells of them.
pub fn run(config: SendConfig) -> ExitCode {
    let SendConfig { input, by_line, lines, sender, event_type, keys, rate, workers, give_up_after } = config;
    let run = Arc::new(Run::new(workers.into(), rate, give_up_after));
    let has_fresh_keys = matches!(keys, KeyChoice::Fresh);
    let report = Arc::new(Report::new(lines, by_line, input.length()).with_fresh_keys(has_fresh_keys));
    if input.is_terminal() {
        report.say("reading from the terminal; Ctrl-D ends the input");
    }
    let started = start_to_listen_for_signals(&run, &report).and_then(|()| {
        let (run, report) = (Arc::clone(&run), Arc::clone(&report));
        // This thread may wait for an input that never ends, so nobody waits for it.
        let reading = move || match input.read(by_line, keys, event_type.as_ref(), &run, &report) {
            Ok(()) => run.end_of_input(),
            Err(why) => run.end(End::Failed(why)),
        };
        std::thread::Builder::new().name("read".to_owned()).spawn(reading).map(drop)
    });
    if let Err(error) = started {
        run.end(End::Failed(format!("cannot start a thread: {error}")));
    }
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let work = || work(&run, &sender, &report);
            // With fewer threads it only takes longer. Without any, nothing would be sent.
            if let Err(error) = std::thread::Builder::new().name("send".to_owned()).spawn_scoped(scope, work) {
                run.end(End::Failed(format!("cannot start a thread: {error}; give a lower --concurrency")));
            }
        }
    });
    let end = run.ended();
    let (counts, unwritten) = report.finish(end.as_ref());
    let failures = match &end {
        Some(End::Failed(why)) => vec![why.clone()],
        _ => Vec::new(),
    };
    for why in failures.iter().chain(&unwritten) {
        output::log_line(format!("error: {}\n", harmless(why)).as_bytes());
    }
    match end {
        Some(End::Interrupted) => ExitCode::from(INTERRUPTED),
        Some(End::Failed(_)) => ExitCode::FAILURE,
        None if counts.refused > 0 || unwritten.is_some() => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    }
}

fn work(run: &Run, sender: &Sender, report: &Report) {
    while let Some(document) = run.take() {
        let fate = sender.send(run, &document, &|line| report.say(line));
        report.settle(document.place, &fate);
        run.release(&document);
    }
}

/// The first signal ends the run after the requests that have begun, the second one at once.
fn start_to_listen_for_signals(run: &Arc<Run>, report: &Arc<Report>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut stop = runtime.block_on(async { StopSignals::new() }).map_err(io::Error::other)?;
    let (run, report) = (Arc::clone(run), Arc::clone(report));
    let listen = move || {
        runtime.block_on(async {
            stop.wait().await;
            run.end(End::Interrupted);
            report.say("stopping; the requests that have begun are waited for");
            stop.wait().await;
            process::end(INTERRUPTED.into());
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map(drop)
}
