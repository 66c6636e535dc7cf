//! Opens and closes the database. Only this file knows all parts of the store; rules and SQL do not belong here.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::change::Observer;
use super::commit::queue;
use super::commit::writer::Writer;
use super::error::sql;
use super::file::checkpoints::Checkpoints;
use super::file::error::{cannot_start, explain};
use super::file::held::HeldFile;
use super::file::identity::marker::Marker;
use super::file::readers::Readers;
use super::file::sealed::{copies, functions, state};
use super::file::{opening, wal};
use super::handle::Store;
use super::memory::Memory;
use super::operations::{access_tokens, accounts, outcomes, sealing};
use super::write_thread;
use crate::domain::memory::MemoryBudget;
use crate::domain::sealing::key::SecretsKeys;
use crate::domain::time::Timestamp;
use crate::error::Result;

/// What [`Store::open`] needs.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Path of the database file.
    pub path: PathBuf,
    /// Who copies the WAL into the file.
    pub checkpoints: Checkpoints,
    /// The engine clock at start. A due time further ahead than any schedule allows comes from a clock that was wrong,
    /// and is reset.
    pub now: Timestamp,
    /// Budget for the documents of events that are in memory.
    pub memory: MemoryBudget,
    /// The key that seals secrets in the file, if there is one.
    pub keys: SecretsKeys,
}

/// Locks the file, and makes sure that the key is the right one. Nothing in the file is changed.
fn hold(options: &StoreOptions) -> Result<Arc<HeldFile>> {
    let keys = Arc::new(options.keys.clone());
    let held = opening::hold_with(&options.path, options.checkpoints)?.with_keys(keys);
    match state::fit_of_held(&held, held.keys()).map(|(fit, ids)| fit.refusal(&ids)) {
        Ok(None) => Ok(Arc::new(held)),
        refused => {
            let error = refused.map(|why| cannot_start(held.path(), why.unwrap_or_default()));
            held.refuse();
            Err(error.unwrap_or_else(|error| error))
        }
    }
}

/// Another read-write connection of the file, with the keys.
pub fn connect_again(held: &HeldFile) -> Result<Connection> {
    let connection = opening::connect(held.path()).map_err(sql)?;
    opening::keep_log(&connection, true).map_err(sql)?;
    wal::install_hook(&connection);
    functions::install(&connection, held.keys()).map_err(sql)?;
    Ok(connection)
}

/// Seals what is plain in the file and beside it, if there is a key.
fn seal(held: &HeldFile, connection: &mut Connection, marker: &mut Marker) -> Result<()> {
    // Before the file was opened, one that cannot be read counted as plain.
    let (fit, ids) = state::fit_and_ids(connection, held.keys()).map_err(|error| explain(held.path(), &error))?;
    if let Some(why) = fit.refusal(&ids) {
        return Err(cannot_start(held.path(), why));
    }
    let Some(key) = held.keys().current() else { return Ok(()) };
    let copies = || copies::seal_all(held.path(), key).map_err(|left| cannot_start(held.path(), left));
    sealing::seal_file(held, connection, marker, || connect_again(held), copies).map(drop)
}

impl Store {
    /// Opens the file, creates or migrates its schema, seals its secrets if there is a key and they are plain, and starts
    /// the write thread. That thread calls `observer` with the changes of every commit.
    ///
    /// # Errors
    /// Says in one line why the file cannot be used: another server holds the file, it is foreign, damaged or not
    /// writable, or its secrets are sealed with another key.
    pub fn open(options: &StoreOptions, observer: Observer) -> Result<Self> {
        let held = hold(options)?;
        let opened = Self::open_held(&held, options, observer);
        if opened.is_err() {
            // On a full disk, what was made of a new file only takes space.
            held.remove_made();
        }
        opened
    }

    fn open_held(held: &Arc<HeldFile>, options: &StoreOptions, observer: Observer) -> Result<Self> {
        let (mut connection, mut marker) = opening::open(held, options.now)?;
        wal::install_hook(&connection);
        functions::install(&connection, held.keys()).map_err(sql)?;
        if let Err(error) = seal(held, &mut connection, &mut marker) {
            // An interrupt lasts until a statement has run.
            let _ = connection.query_row("SELECT 1", [], |_| Ok(()));
            write_thread::closing::close(held, marker, Some(connection));
            return Err(error);
        }
        outcomes::reset_future_times(&connection, options.now)?;
        let memory = Arc::new(Memory::new(options.memory.clone()));
        memory.tokens.replace(accounts::tokens(&connection)?);
        memory.access_tokens.replace(access_tokens::all(&connection)?);
        let readers = Readers::new(held, &memory.read_gate, &memory.read_throttle);
        let opened = write_thread::Opened { held: Arc::clone(held), connection, marker };
        let (queue, receiver) = queue::queue();
        let thread = write_thread::start(opened, Arc::clone(&memory), observer, receiver)?;
        let writer = Writer::new(queue);
        Ok(Self { writer, readers, memory, thread: Arc::new(Mutex::new(Some(thread))), held: Arc::clone(held) })
    }

    /// Writes what is queued and closes the file. Later write requests are refused.
    pub async fn close(&self) {
        if let Err(error) = self.fold_all_recent().await {
            tracing::warn!(error = error.detail(), "recent counts are added to the tallies after the next start");
        }
        if let Err(error) = self.write_token_uses().await {
            tracing::warn!(
                error = error.detail(),
                "when tokens were used last is known less exactly after the next start"
            );
        }
        let readers = self.readers.clone();
        // A read that does not end in time is already in a log line.
        let _ = tokio::task::spawn_blocking(move || readers.close()).await;
        self.writer.stop().await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread has answered the stop and ends at once.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
