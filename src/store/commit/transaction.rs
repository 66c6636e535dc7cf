//! One transaction in the making: what steps write with, and what is to be told once it is on disk.

use std::collections::HashMap;

use rusqlite::{Connection, Params, Row};

use crate::domain::ids::{DestinationKey, SequenceIds};
use crate::domain::stats::{CountKey, Counts, bucket_start};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::change::Change;
use crate::store::error::sql;
use crate::store::memory::Memory;
use crate::store::memory::destination_cache::DestinationCache;
use crate::store::memory::documents::Documents;
use crate::store::memory::first_attempts::Wait;
use crate::store::memory::tokens::TokenChange;

/// The open transaction of the write thread.
pub struct Transaction<'a> {
    connection: &'a Connection,
    ids: &'a mut SequenceIds,
    destinations: &'a mut DestinationCache,
    memory: &'a Memory,
    accepts_events: bool,
    changes: Vec<Change>,
    tokens: Vec<TokenChange>,
    waits: Vec<Wait>,
    tallies: HashMap<CountKey, Counts>,
    pending: i64,
}

impl<'a> Transaction<'a> {
    pub fn new(
        connection: &'a Connection,
        ids: &'a mut SequenceIds,
        destinations: &'a mut DestinationCache,
        memory: &'a Memory,
        accepts_events: bool,
    ) -> Self {
        Self {
            connection,
            ids,
            destinations,
            memory,
            accepts_events,
            changes: Vec::new(),
            tokens: Vec::new(),
            waits: Vec::new(),
            tallies: HashMap::new(),
            pending: 0,
        }
    }

    /// Whether the file system has room beyond the reserve that is kept for outcomes.
    pub fn accepts_events(&self) -> bool {
        self.accepts_events
    }

    /// Documents that deliveries carry.
    pub fn documents(&self) -> &'a Documents {
        &self.memory.documents
    }

    /// Runs one statement; gives the number of rows it changed.
    pub fn run(&mut self, statement: &str, params: impl Params) -> Result<usize> {
        self.connection.prepare_cached(statement).and_then(|mut prepared| prepared.execute(params)).map_err(sql)
    }

    /// The first row of a query, if there is one.
    pub fn row<T>(
        &self,
        query: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        use rusqlite::OptionalExtension as _;
        self.connection
            .prepare_cached(query)
            .and_then(|mut prepared| prepared.query_row(params, read).optional())
            .map_err(sql)
    }

    /// The connection, for the reading functions that the readers use as well.
    pub fn connection(&self) -> &'a Connection {
        self.connection
    }

    /// Key of the row that was inserted last.
    pub fn last_key(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    /// `count` hot ids in a row; gives the first.
    pub fn take_ids(&mut self, count: usize, now: Timestamp) -> i64 {
        self.ids.take(i64::try_from(count).unwrap_or(i64::MAX), now)
    }

    /// Where the events of accounts go, and what is sound. It forgets by itself: whatever changes an account or a
    /// destination tells so, but for an outcome from which on a destination is failing.
    pub fn destinations(&mut self) -> &mut DestinationCache {
        self.destinations
    }

    /// To be told to the engine after the commit.
    pub fn publish(&mut self, change: Change) {
        if !matches!(change, Change::Accepted(_) | Change::OutcomeRecorded { .. }) {
            self.destinations.clear();
        }
        self.changes.push(change);
    }

    /// To be done to the map of tokens after the commit.
    pub fn publish_token(&mut self, change: TokenChange) {
        self.destinations.clear();
        self.tokens.push(change);
    }

    /// Somebody waits for first attempts.
    pub fn add_wait(&mut self, wait: Wait) {
        self.waits.push(wait);
    }

    /// Counts what became of something, in the bucket of `at`.
    pub fn counts_mut(&mut self, destination: DestinationKey, at: Timestamp) -> &mut Counts {
        self.tallies.entry((destination, bucket_start(at))).or_default()
    }

    /// Moves the number of pending deliveries.
    pub fn add_pending(&mut self, by: i64) {
        self.pending += by;
    }

    /// The counts that came together in it.
    pub fn take_counts(&mut self) -> HashMap<CountKey, Counts> {
        std::mem::take(&mut self.tallies)
    }

    /// Runs a step that may fail halfway. Its own failure leaves the transaction as it was before; only one that ends the
    /// whole transaction is given back.
    pub fn with_savepoint(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let (changes, tokens, waits) = (self.changes.len(), self.tokens.len(), self.waits.len());
        let (tallies, pending) = (self.tallies.clone(), self.pending);
        self.run("SAVEPOINT step", [])?;
        if let Err(error) = step(self) {
            // A full disk or an I/O error may have ended the transaction already.
            if self.connection.is_autocommit() {
                return Err(error);
            }
            self.destinations.clear();
            self.changes.truncate(changes);
            self.tokens.truncate(tokens);
            self.waits.truncate(waits);
            (self.tallies, self.pending) = (tallies, pending);
            self.run("ROLLBACK TO step", [])?;
        }
        self.run("RELEASE step", [])?;
        Ok(())
    }

    /// After the commit: moves what is kept in memory, and gives what the engine is to be told.
    pub fn committed(self) -> Vec<Change> {
        self.memory.tokens.apply(self.tokens);
        self.memory.metrics.pending(self.pending);
        self.memory.first_attempts.after_commit(self.waits, &self.changes);
        self.memory.followers.after_commit(&self.changes);
        self.memory.late.after_commit(&self.changes);
        self.changes
    }
}
