//! One transaction of the write thread while it is open: what write requests use to write, and what is published after
//! the commit. Nothing here knows a table.

use std::collections::HashMap;

use rusqlite::{Connection, Params, Row};

use crate::domain::ids::{DestinationKey, IdSlot, SequenceIds};
use crate::domain::stats::{CountKey, Counts, bucket_start};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::change::Change;
use crate::store::error::sql;
use crate::store::memory::Memory;
use crate::store::memory::access_tokens::AccessTokenChange;
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
    access_tokens: Vec<AccessTokenChange>,
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
            access_tokens: Vec::new(),
            waits: Vec::new(),
            tallies: HashMap::new(),
            pending: 0,
        }
    }

    /// Whether free disk space is above the reserve, which is kept for outcomes. If not, events are refused.
    pub fn accepts_events(&self) -> bool {
        self.accepts_events
    }

    /// Documents of events that are in memory.
    pub fn documents(&self) -> &'a Documents {
        &self.memory.documents
    }

    /// Runs one statement, and returns the number of rows that it changed.
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

    /// The connection, for read functions that read-only connections use as well.
    pub fn connection(&self) -> &'a Connection {
        self.connection
    }

    /// Key of the row that was inserted last.
    pub fn last_key(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    /// Ids of events have another slot from now on.
    pub fn set_id_slot(&mut self, slot: IdSlot) {
        self.ids.set_slot(slot);
    }

    /// Reserves `count` consecutive sequence ids, and returns the first, which is for an event.
    pub fn take_ids(&mut self, count: usize, now: Timestamp) -> i64 {
        self.ids.take(i64::try_from(count).unwrap_or(i64::MAX), now)
    }

    /// The cache of each account's destinations, and of healthy destinations. [`Transaction::publish`] and
    /// [`Transaction::publish_token`] clear the cache, except for `Accepted` and `OutcomeRecorded`. So whoever records
    /// an outcome that makes a destination failing must call [`DestinationCache::failing`].
    pub fn destinations(&mut self) -> &mut DestinationCache {
        self.destinations
    }

    /// Adds a change that the engine gets after the commit.
    pub fn publish(&mut self, change: Change) {
        if !matches!(change, Change::Accepted(_) | Change::OutcomeRecorded { .. }) {
            self.destinations.clear();
        }
        self.changes.push(change);
    }

    /// Adds a change of the token map, which is applied after the commit.
    pub fn publish_token(&mut self, change: TokenChange) {
        self.destinations.clear();
        self.tokens.push(change);
    }

    /// Adds a change of the table of tokens with a role, which is applied after the commit.
    pub fn publish_access_token(&mut self, change: AccessTokenChange) {
        self.access_tokens.push(change);
    }

    /// Adds a caller's wait for first attempts.
    pub fn add_wait(&mut self, wait: Wait) {
        self.waits.push(wait);
    }

    /// The counts of a destination for the minute of `at`, to be increased.
    pub fn counts_mut(&mut self, destination: DestinationKey, at: Timestamp) -> &mut Counts {
        self.tallies.entry((destination, bucket_start(at))).or_default()
    }

    /// Whether the secrets of the destination do not open, so that nothing is sent to it.
    pub fn is_unreadable(&self, destination: DestinationKey) -> bool {
        self.memory.unreadable.contains(destination)
    }

    /// Adds `by`, which may be negative, to the number of pending deliveries.
    pub fn add_pending(&mut self, by: i64) {
        self.pending += by;
    }

    /// Takes the counts that were collected in this transaction.
    pub fn take_counts(&mut self) -> HashMap<CountKey, Counts> {
        std::mem::take(&mut self.tallies)
    }

    /// Runs work that may fail after it has written. The failure of such work leaves the transaction as it was before.
    /// An error is returned only if it ends the whole transaction.
    pub fn with_savepoint(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let (changes, tokens, waits) = (self.changes.len(), self.tokens.len(), self.waits.len());
        let (tallies, pending) = (self.tallies.clone(), self.pending);
        let access_tokens = self.access_tokens.len();
        self.run("SAVEPOINT step", [])?;
        if let Err(error) = step(self) {
            // A full disk or an I/O error may have ended the whole transaction.
            if self.connection.is_autocommit() {
                return Err(error);
            }
            self.destinations.clear();
            self.changes.truncate(changes);
            self.tokens.truncate(tokens);
            self.access_tokens.truncate(access_tokens);
            self.waits.truncate(waits);
            (self.tallies, self.pending) = (tallies, pending);
            self.run("ROLLBACK TO step", [])?;
        }
        self.run("RELEASE step", [])?;
        Ok(())
    }

    /// Updates the memory after the commit, and returns the changes for the engine.
    pub fn committed(self) -> Vec<Change> {
        self.memory.tokens.apply(self.tokens);
        self.memory.access_tokens.apply(self.access_tokens);
        self.memory.metrics.pending(self.pending);
        self.memory.first_attempts.after_commit(self.waits, &self.changes);
        self.memory.subscribers.after_commit(&self.changes);
        self.memory.count_subscribers.after_commit(&self.changes);
        self.memory.late.after_commit(&self.changes);
        self.memory.unreadable.after_commit(&self.changes);
        self.changes
    }
}
