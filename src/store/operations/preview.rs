//! Reads events with their documents for previews.

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::Row;

use super::{accounts, reach, rows};
use crate::domain::ids::{AccountId, EventId};
use crate::domain::memory::NoMemory;
use crate::domain::preview::PreviewedEvent;
use crate::error::{Error, Result};
use crate::store::error::{no_memory, sql};
use crate::store::handle::ScopedStore;
use crate::store::memory::documents::Documents;

impl ScopedStore {
    /// Returns an event and the account that it belongs to.
    ///
    /// # Errors
    /// Not found. Unavailable if there is no memory for the document now.
    pub async fn previewed_event(&self, id: EventId) -> Result<(AccountId, PreviewedEvent)> {
        let (scope, memory) = (self.scope.clone(), Arc::clone(&self.memory));
        self.readers
            .read(move |connection| {
                reach::event(connection, &scope, id)?;
                let query = "SELECT e.id, e.received_at, e.payload, t.name, a.account_id FROM event e
                     JOIN account a ON a.key = e.account_key AND a.deleted_at IS NULL
                     LEFT JOIN event_type t ON t.event_id = e.id WHERE e.id = ?1";
                let found = rows::first(connection, query, [id.0], |row| {
                    Ok((AccountId::from_stored(row.get(4)?), event(row, &memory.documents)?))
                })?;
                let (account, event) = found.ok_or_else(|| Error::not_found("event"))?;
                Ok((account, event.map_err(|NoMemory| no_memory())?))
            })
            .await
    }

    /// Gives the newest events of an account to `look`, newest first, until there are `limit` or `look` has enough.
    /// Returns what `look` made of `start`. `look` runs on a thread that may block.
    ///
    /// # Errors
    /// Not found if the account does not exist. Unavailable if there is no memory for a document now.
    pub async fn fold_newest_events<T: Send + 'static>(
        &self,
        account: AccountId,
        limit: u16,
        start: T,
        mut look: impl FnMut(&mut T, PreviewedEvent) -> ControlFlow<()> + Send + 'static,
    ) -> Result<T> {
        let (scope, memory) = (self.scope.clone(), Arc::clone(&self.memory));
        self.readers
            .read_yielding(move |connection| {
                let account = accounts::require(connection, &scope, &account)?;
                let mut prepared = connection
                    .prepare_cached(
                        "SELECT e.id, e.received_at, e.payload, t.name FROM event e INDEXED BY event_by_account
                         LEFT JOIN event_type t ON t.event_id = e.id
                         WHERE e.account_key = ?1 ORDER BY e.id DESC LIMIT ?2",
                    )
                    .map_err(sql)?;
                let mut found = prepared.query((account.key.0, limit)).map_err(sql)?;
                let mut made = start;
                while let Some(row) = found.next().map_err(sql)? {
                    let event = event(row, &memory.documents).map_err(sql)?.map_err(|NoMemory| no_memory())?;
                    if look(&mut made, event).is_break() {
                        break;
                    }
                }
                Ok(made)
            })
            .await
    }
}

/// Reads an event from the columns `id, received_at, payload` and its type.
fn event(row: &Row<'_>, documents: &Documents) -> rusqlite::Result<std::result::Result<PreviewedEvent, NoMemory>> {
    let (id, received_at) = (EventId(row.get(0)?), rows::time(row, 1)?);
    let document = documents.read(id, row.get_ref(2)?.as_blob()?, rows::event_type(row, 3)?);
    Ok(document.map(|document| PreviewedEvent { id, received_at, document }))
}
