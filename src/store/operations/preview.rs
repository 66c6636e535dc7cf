//! Reads events with their documents for previews.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use rusqlite::Row;

use super::{reach, rows};
use crate::domain::ids::{AccountId, AccountKey, EventId};
use crate::domain::memory::NoMemory;
use crate::domain::preview::PreviewedEvent;
use crate::error::{Error, Result};
use crate::store::error::{no_memory, sql};
use crate::store::handle::ScopedStore;
use crate::store::memory::documents::Documents;

/// Maximum number of events that one read gives. Their documents are in memory together.
const MAX_PORTION: usize = 50;

/// A read gives no further event once its documents have this many bytes.
const MAX_PORTION_BYTES: usize = 1024 * 1024;

/// Time after which the work on events lets other work go first.
const SLICE: Duration = Duration::from_millis(20);

/// No event has this id or a greater one.
const NEWEST: EventId = EventId(i64::MAX);

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

    /// Returns the newest event of an account, if there is one.
    ///
    /// # Errors
    /// Not found if the account does not exist. Unavailable if there is no memory for the document now.
    pub async fn newest_event(&self, account: AccountId) -> Result<Option<PreviewedEvent>> {
        let account = self.account(account).await?.key;
        Ok(self.portion(account, NEWEST, 1).await?.pop())
    }

    /// Gives the newest events of an account to `look`, newest first, until there are `limit` or `time` has passed.
    /// Returns what `look` made of `start`. `look` runs on a thread that may block, and no read waits for it. An account
    /// has one such call in progress at a time; others wait for at most `time`.
    ///
    /// # Errors
    /// Not found if the account does not exist. Unavailable if there is no memory for a document now, or too many such
    /// calls are in progress.
    pub async fn fold_newest_events<T, F>(
        &self,
        account: AccountId,
        limit: u16,
        time: Duration,
        start: T,
        look: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut T, PreviewedEvent) + Send + 'static,
    {
        let account = self.account(account).await?.key;
        let _turn = self.memory.preview_turns.turn(account, time).await?;
        let end = Instant::now() + time;
        let (mut made, mut look, mut before, mut left) = (start, look, NEWEST, usize::from(limit));
        while left > 0 {
            let portion = self.portion(account, before, left.min(MAX_PORTION)).await?;
            let Some(oldest) = portion.last() else { break };
            before = oldest.id;
            left -= portion.len();
            let mut events = portion.into_iter();
            while events.len() > 0 {
                (made, look, events) = self.run_apart(move || slice(made, look, events, end)).await?;
                if Instant::now() >= end {
                    return Ok(made);
                }
            }
        }
        Ok(made)
    }

    /// Reads the newest events before the event `before`, newest first: at most `most`, and no more once they have
    /// [`MAX_PORTION_BYTES`]. Empty only if there are none.
    async fn portion(&self, account: AccountKey, before: EventId, most: usize) -> Result<Vec<PreviewedEvent>> {
        let memory = Arc::clone(&self.memory);
        self.readers
            .read_yielding(move |connection| {
                let mut prepared = connection
                    .prepare_cached(
                        "SELECT e.id, e.received_at, e.payload, t.name FROM event e INDEXED BY event_by_account
                         LEFT JOIN event_type t ON t.event_id = e.id
                         WHERE e.account_key = ?1 AND e.id < ?2 ORDER BY e.id DESC LIMIT ?3",
                    )
                    .map_err(sql)?;
                let mut found = prepared.query((account.0, before.0, most)).map_err(sql)?;
                let (mut events, mut bytes) = (Vec::new(), 0);
                while bytes < MAX_PORTION_BYTES
                    && let Some(row) = found.next().map_err(sql)?
                {
                    match event(row, &memory.documents).map_err(sql)? {
                        Ok(event) => {
                            bytes += event.document.len();
                            events.push(event);
                        }
                        // There may be memory again when these are done with.
                        Err(NoMemory) if !events.is_empty() => break,
                        Err(NoMemory) => return Err(no_memory()),
                    }
                }
                Ok(events)
            })
            .await
    }
}

/// Looks at some of `events`: at least one, and at no further one after [`SLICE`] or at `end`.
fn slice<T, F: FnMut(&mut T, PreviewedEvent)>(
    mut made: T,
    mut look: F,
    mut events: IntoIter<PreviewedEvent>,
    end: Instant,
) -> (T, F, IntoIter<PreviewedEvent>) {
    let end = end.min(Instant::now() + SLICE);
    for event in events.by_ref() {
        look(&mut made, event);
        if Instant::now() >= end {
            break;
        }
    }
    (made, look, events)
}

/// Reads an event from the columns `id, received_at, payload` and its type.
fn event(row: &Row<'_>, documents: &Documents) -> rusqlite::Result<std::result::Result<PreviewedEvent, NoMemory>> {
    let (id, received_at) = (EventId(row.get(0)?), rows::time(row, 1)?);
    let document = documents.read(id, row.get_ref(2)?.as_blob()?, rows::event_type(row, 3)?);
    Ok(document.map(|document| PreviewedEvent { id, received_at, document }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::operations::fixture::{Fixture, at};

    const LONG: Duration = Duration::from_secs(600);

    impl Fixture {
        /// The ids of the newest events, as they are given.
        async fn newest(&self, limit: usize, time: Duration) -> Vec<EventId> {
            let look = |seen: &mut Vec<EventId>, event: PreviewedEvent| seen.push(event.id);
            let (account, limit) = (self.account.id.clone(), u16::try_from(limit).unwrap());
            self.store.fold_newest_events(account, limit, time, Vec::new(), look).await.unwrap()
        }
    }

    #[tokio::test]
    async fn portions_give_each_event_once_and_the_newest_first() {
        let fixture = Fixture::new().await;
        let mut pushed = Vec::new();
        for _ in 0..2 * MAX_PORTION + 3 {
            pushed.insert(0, fixture.push(at(1)).await.0);
        }
        for limit in [1, MAX_PORTION, MAX_PORTION + 1, pushed.len(), 1_000] {
            assert_eq!(fixture.newest(limit, LONG).await, pushed[..limit.min(pushed.len())], "{limit}");
        }
        let newest = fixture.store.newest_event(fixture.account.id.clone()).await.unwrap();
        assert_eq!(newest.map(|event| event.id), Some(pushed[0]));
    }

    #[tokio::test]
    async fn when_the_time_is_over_no_further_event_is_looked_at() {
        let fixture = Fixture::new().await;
        let newest = [fixture.push(at(1)).await.0, fixture.push(at(1)).await.0][1];
        assert_eq!(fixture.newest(2, Duration::ZERO).await, [newest]);
    }
}
