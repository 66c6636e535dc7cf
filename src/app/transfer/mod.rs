//! `data-pusher export` and `data-pusher import`: take accounts out of a file, and into another one, whether or not a
//! server uses it. What the document looks like is decided in `api`, and what is taken along in `store`.

mod running;

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::api::{self, ImportReport};
use crate::delivery::clock::{self, Clock};
use crate::domain::ids::AccountId;
use crate::domain::memory::MemoryBudget;
use crate::domain::network::NetworkPolicy;
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::error::{Error, FieldError, Kind, Result};
use crate::process::output;
use crate::store::{Store, StoreOptions, upkeep};

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
}

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
    let report = if upkeep::is_in_use(&config.database)? {
        if !config.allow_network.is_empty() {
            return Err(failed(
                "a server uses the database, and its own --allow-network holds; leave out --allow-network here",
            ));
        }
        running::import(&config.database, &document, config.skip_existing)
    } else {
        into_file(config, &document)
    };
    let report = report.map_err(|error| with_lines(&error))?;
    let text = if config.json {
        let text = serde_json::to_string(&report).map_err(|error| failed(error.to_string()))?;
        text + "\n"
    } else {
        for_people(&report)
    };
    output::print(&text).map_err(|error| failed(format!("cannot write to standard output: {error}")))
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

/// Adds accounts to a file that no server uses.
fn into_file(config: &ImportConfig, document: &[u8]) -> Result<ImportReport> {
    let keys = SecretsKeys::new(config.secrets_key.clone());
    let export = api::read_export(document, &NetworkPolicy::new(config.allow_network.clone()), &keys)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("cannot start the runtime: {error}")))?;
    let options = StoreOptions {
        path: config.database.clone(),
        checkpoints: upkeep::checkpoints_of(&config.database),
        now: Clock::start().now(),
        memory: MemoryBudget::default(),
        keys,
    };
    let is_new = !config.database.exists();
    // No engine runs, so nobody needs to be told what changes.
    let store = Store::open(&options, Box::new(|_| {}))?;
    let imported = runtime.block_on(async {
        let imported = store.import_accounts(export, config.skip_existing, clock::wall()).await;
        store.close().await;
        imported
    });
    if is_new && let Some(remark) = upkeep::owner_remark(&config.database) {
        output::log_line(format!("note: {remark}\n").as_bytes());
    }
    Ok(imported?.into())
}

/// The error with each of its errors of fields on a line of its own.
fn with_lines(error: &Error) -> Error {
    match error.field_errors() {
        [] => error.clone(),
        faults => failed(format!("nothing was imported: {}", lines(faults))),
    }
}

fn lines(faults: &[FieldError]) -> String {
    let line = |fault: &FieldError| format!("{} {}", fault.field, fault.message).trim_start().to_owned();
    match faults {
        [one] => line(one),
        many => {
            let lines: Vec<String> = many.iter().map(|fault| format!("\n  {}", line(fault))).collect();
            format!("{} errors{}", many.len(), lines.concat())
        }
    }
}

fn for_people(report: &ImportReport) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let (accounts, destinations) = (count(report.accounts, "account"), count(report.destinations, "destination"));
    let mut text = format!("imported {accounts} with {destinations}\n");
    for account in &report.skipped {
        text.push_str(&format!("skipped {}: {}\n", account.account_id, account.reasons.join("; ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_a_line_of_its_own() {
        let one = FieldError::new("accounts[0].email", "is taken");
        let two = FieldError::new("", "The body must be an object.");
        let shown = |faults: Vec<FieldError>| with_lines(&Error::invalid(faults)).detail().to_owned();
        assert_eq!(shown(vec![one.clone()]), "nothing was imported: accounts[0].email is taken");
        assert_eq!(
            shown(vec![one, two]),
            "nothing was imported: 2 errors\n  accounts[0].email is taken\n  The body must be an object."
        );
        assert_eq!(with_lines(&failed("no")).detail(), "no");
    }
}
