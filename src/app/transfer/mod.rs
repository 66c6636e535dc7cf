//! `data-pusher export` and `data-pusher import`: take accounts out of a file, and into another one, whether or not a
//! server uses it. What the document looks like is decided in `api`, and what is taken along in `store`.

mod printed;
mod running;

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::api::{self, ExportReader, ImportReport};
use crate::delivery::clock::{self, Clock};
use crate::domain::ids::AccountId;
use crate::domain::memory::MemoryBudget;
use crate::domain::network::NetworkPolicy;
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::error::{Error, Kind, Result};
use crate::process::output;
use crate::store::upkeep::{self, Target};
use crate::store::{DATABASE_IN_USE, Store, StoreOptions};

/// What `data-pusher export` is to do.
#[derive(Debug, Clone)]
pub struct ExportConfig {
    /// Database file.
    pub database: PathBuf,
    /// Only this account.
    pub account: Option<AccountId>,
    /// File to write; standard output if there is none.
    pub output: Option<PathBuf>,
    /// Whether an existing file may be replaced.
    pub force: bool,
    /// The key that opens secrets of the file.
    pub secrets_key: Option<SecretsKey>,
    /// Whether secrets are written plain, though there is a key.
    pub plain: bool,
}

/// What `data-pusher import` is to do.
#[derive(Debug, Clone)]
pub struct ImportConfig {
    /// Database file; created if there is none.
    pub database: PathBuf,
    /// Document to read; standard input if there is none.
    pub input: Option<PathBuf>,
    /// Whether accounts of which something exists already are left out.
    pub skip_existing: bool,
    /// Networks that are not global but may have destinations, in a file that no server uses.
    pub allow_network: Vec<IpNet>,
    /// Whether the result is printed as JSON.
    pub json: bool,
    /// The key that opens secrets of the document, and seals secrets in a file that no server uses.
    pub secrets_key: Option<SecretsKey>,
    /// Whether that key was given for this command, and not by a variable that the server may have too.
    pub is_key_given: bool,
}

/// How long an import waits at most for what uses the file and takes no import: another import, or a server that starts
/// or stops.
const USED_WITHIN: Duration = Duration::from_secs(15);
/// Time between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(50);

fn failed(why: impl Into<String>) -> Error {
    Error::new(Kind::Internal, "transfer_failed", why)
}

/// Writes the accounts of a file.
///
/// # Errors
/// One line that says why nothing, or not everything, was written.
pub fn export(config: &ExportConfig) -> Result<()> {
    let (database, now) = (&config.database, clock::wall());
    // The file is closed before anything is written: a slow reader must not keep the log of a running server long.
    let keys = SecretsKeys::new(config.secrets_key.clone());
    let sealing = config.secrets_key.as_ref().filter(|_| !config.plain);
    let text = api::write_export(upkeep::export(database, config.account.as_ref(), now, &keys)?, sealing)?;
    let Some(file) = &config.output else {
        if sealing.is_none() && std::io::stdout().is_terminal() {
            output::log_line(
                b"warning: what follows holds secrets; --output FILE writes them to a file for you alone\n",
            );
        }
        return output::print(&text).map_err(|error| failed(format!("cannot write to standard output: {error}")));
    };
    upkeep::write_export(database, file, config.force, &text, now)
}

/// Adds the accounts of a document to a file, all or none, and prints what was done.
///
/// # Errors
/// Says why nothing was added: one line for each error.
pub fn import(config: &ImportConfig) -> Result<()> {
    let document = read(config.input.as_deref())?;
    let report = add(config, &document).map_err(|error| printed::with_lines(&error))?;
    let text = if config.json {
        let text = serde_json::to_string(&report).map_err(|error| failed(error.to_string()))?;
        text + "\n"
    } else {
        printed::for_people(&report)
    };
    output::print(&text)
        .map_err(|error| failed(format!("the accounts were imported; cannot write to standard output: {error}")))
}

/// Adds the accounts to the file, or has the server do it that uses the file.
fn add(config: &ImportConfig, document: &[u8]) -> Result<ImportReport> {
    let end = Instant::now() + USED_WITHIN;
    loop {
        let added = match upkeep::is_in_use(&config.database)? {
            true => running::import(config, document)?,
            false => into_file(config, document)?,
        };
        if let Some(report) = added {
            return Ok(report);
        }
        if Instant::now() > end {
            return Err(failed(
                "another program uses the database, and takes no import: a server with --dev, or another import or a \
                 restore that takes long; stop it, or try again when it has ended",
            ));
        }
        std::thread::sleep(TRY_AGAIN);
    }
}

fn read(input: Option<&Path>) -> Result<Vec<u8>> {
    let mut document = Vec::new();
    match input {
        Some(path) => {
            document =
                std::fs::read(path).map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?;
        }
        None => {
            let read = std::io::stdin().lock().read_to_end(&mut document);
            read.map_err(|error| failed(format!("cannot read standard input: {error}")))?;
        }
    }
    Ok(document)
}

/// Adds accounts to a file that no server uses. `None` if one has begun to use it.
fn into_file(config: &ImportConfig, document: &[u8]) -> Result<Option<ImportReport>> {
    let keys = SecretsKeys::new(config.secrets_key.clone());
    let network = NetworkPolicy::new(config.allow_network.clone());
    let export = api::read_export(document, &network, &keys, ExportReader::Command)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("cannot start the runtime: {error}")))?;
    let target = upkeep::import_target(&config.database)?;
    let options = StoreOptions {
        path: config.database.clone(),
        checkpoints: upkeep::checkpoints_of(&config.database),
        now: Clock::start().now(),
        memory: MemoryBudget::default(),
        // An import adds accounts. That a plain file is sealed is a step of its own: from then on its server needs the
        // key.
        keys: if target == Target::Plain { SecretsKeys::default() } else { keys },
    };
    // No engine runs, so nobody needs to be told what changes.
    let store = match Store::open(&options, Box::new(|_| {})) {
        Err(error) if error.code() == DATABASE_IN_USE => return Ok(None),
        opened => opened?,
    };
    let imported = runtime.block_on(async {
        let imported = store.import_accounts(export, config.skip_existing, clock::wall()).await;
        store.close().await;
        imported
    });
    if imported.is_err() {
        store.remove_if_new();
    }
    let report = imported?.into();
    if target == Target::Plain && config.secrets_key.is_some() {
        output::log_line(
            b"note: the secrets of the database are plain, and so are those that were imported; a start of the server with \
              --secrets-key-file seals them all\n",
        );
    }
    if store.is_new() {
        let created = format!("created {}", config.database.display());
        for remark in [created].into_iter().chain(upkeep::owner_remark(&config.database)) {
            output::log_line(format!("note: {remark}\n").as_bytes());
        }
    }
    Ok(Some(report))
}
