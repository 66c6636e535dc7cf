//! Accepts events: writes each with its deliveries, or finds that it repeats an earlier one. Reading events is in
//! `events.rs`.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::rows;
use crate::domain::conditions::{AccountConditions, AskedEvent, SkipReason};
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::event::{IdempotencyKey, IncomingEvent, keys_over};
use crate::domain::event_type::EventType;
use crate::domain::ids::{AccountId, AccountKey, DeliveryId, DestinationId, DestinationKey, EventId};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::change::{Change, NewEvent};
use crate::store::commit::transaction::Transaction;
use crate::store::error::disk_low;
use crate::store::handle::Store;
use crate::store::memory::destination_cache::{AccountDestinations, CachedDestination};
use crate::store::memory::first_attempts::Wait;

/// Bytes of a document, times filters, above which filters are asked on a thread that may block. Filters read about
/// 100 bytes in a microsecond at worst.
const MAX_INLINE_FILTER_BYTES: usize = 64 * 1024;

/// What became of an event that was sent in.
#[derive(Debug)]
pub struct AcceptedEvent {
    /// The event's id; for a duplicate, the id of the first event.
    pub event_id: EventId,
    /// The account that the event belongs to.
    pub account_id: AccountId,
    /// Type of the event; for a duplicate, that of the first event.
    pub event_type: Option<EventType>,
    /// When the event was received; for a duplicate, when the first event was received.
    pub received_at: Timestamp,
    /// Whether the event repeats an earlier one with the same `Idempotency-Key`.
    pub duplicate: bool,
    /// The deliveries that were created. `None` for a duplicate: read its deliveries with [`Store::event_deliveries`].
    pub made: Option<MadeDeliveries>,
    /// Resolves when every delivery has had its first attempt or no longer needs one, such as after a pause. `None` if
    /// the caller did not ask to wait, and for a duplicate: see [`Store::first_attempts`].
    pub first_attempts: Option<oneshot::Receiver<()>>,
}

/// Deliveries that were just created: one for each destination that the event is for, all pending. A destination costs
/// at most one byte here, since the answer may have to wait for memory.
#[derive(Debug)]
pub struct MadeDeliveries {
    event: EventId,
    event_type: Option<EventType>,
    first: i64,
    targets: Arc<AccountDestinations>,
    /// Why the event is not for a target, in the order of the targets. Empty if it is for all of them.
    verdicts: Vec<Option<SkipReason>>,
    at: Timestamp,
}

impl MadeDeliveries {
    /// How many destinations there are, with those that the event is not for.
    pub fn destination_count(&self) -> usize {
        self.targets.all.len()
    }

    /// Each delivery as a later read would return it.
    pub fn iter(&self) -> impl Iterator<Item = Delivery> {
        let targets =
            self.targets.all.iter().enumerate().filter(|(place, _)| verdict(&self.verdicts, *place).is_none());
        targets.zip(self.first..).map(|((_, target), number)| Delivery {
            id: DeliveryId(number),
            event_id: self.event,
            destination_id: target.id.clone(),
            account_id: self.targets.account.clone(),
            event_type: self.event_type.clone(),
            state: DeliveryState::Pending,
            attempt_count: 0,
            status_code: None,
            error: None,
            next_attempt_at: Some(self.at),
            created_at: self.at,
            last_attempt_at: None,
        })
    }

    /// The destinations that the event is not for, and why.
    pub fn skipped(&self) -> impl Iterator<Item = (&DestinationId, SkipReason)> {
        let verdicts = self.targets.all.iter().zip(&self.verdicts);
        verdicts.filter_map(|(target, verdict)| verdict.map(|reason| (&target.id, reason)))
    }
}

fn verdict(verdicts: &[Option<SkipReason>], place: usize) -> Option<SkipReason> {
    verdicts.get(place).copied().flatten()
}

/// The verdicts of an account's conditions about one event.
struct Asked {
    conditions: Arc<AccountConditions>,
    verdicts: Vec<Option<SkipReason>>,
}

/// What the write thread did with an event.
enum Step {
    Accepted(AcceptedEvent),
    /// Nothing: these conditions must be asked first.
    Ask(IncomingEvent, Arc<AccountConditions>),
}

impl Store {
    /// Accepts an event. On return the event and its deliveries are on disk. With `wait` the answer has a receiver for
    /// the first attempts. Conditions of destinations are asked with the settings at the time of the commit.
    ///
    /// # Errors
    /// Not found if the account is deleted. Invalid with code `idempotency_key_reused`. Unavailable if the storage
    /// cannot accept the event; then nothing of it is kept.
    pub async fn accept_event(&self, mut event: IncomingEvent, wait: bool, now: Timestamp) -> Result<AcceptedEvent> {
        let account = event.account;
        let mut hint = self.memory.conditions.get(account);
        loop {
            let asked = match hint {
                None => None,
                Some(conditions) => Some(ask(conditions, &event, now).await?),
            };
            let was_asked = asked.is_some();
            let bytes = event.payload.len();
            let step = move |tx: &mut Transaction<'_>| insert_event(tx, event, asked, wait, now);
            match self.writer.submit_payload(bytes, step).await? {
                Step::Accepted(accepted) => {
                    if was_asked && accepted.made.as_ref().is_some_and(|made| made.verdicts.is_empty()) {
                        // The account has no conditions any more.
                        self.memory.conditions.set(account, None);
                    }
                    return Ok(accepted);
                }
                // Each turn needs another change of the account's destinations, so this ends.
                Step::Ask(again, conditions) => {
                    self.memory.conditions.set(account, Some(Arc::clone(&conditions)));
                    (event, hint) = (again, Some(conditions));
                }
            }
        }
    }
}

/// Asks conditions about an event. Moves to a thread that may block if that may take long.
async fn ask(conditions: Arc<AccountConditions>, event: &IncomingEvent, now: Timestamp) -> Result<Asked> {
    let payload = event.payload.clone();
    let work = payload.len().saturating_mul(conditions.filter_count());
    let ask = move || {
        let asked = AskedEvent { document: &payload, event_type: payload.event_type(), received_at: now };
        let verdicts = conditions.ask(&asked);
        Asked { conditions, verdicts }
    };
    if work <= MAX_INLINE_FILTER_BYTES {
        return Ok(ask());
    }
    tokio::task::spawn_blocking(ask).await.map_err(|error| Error::internal(format!("filters cannot be asked: {error}")))
}

fn insert_event(
    tx: &mut Transaction<'_>,
    incoming: IncomingEvent,
    asked: Option<Asked>,
    wait: bool,
    now: Timestamp,
) -> Result<Step> {
    let account = incoming.account;
    let targets = account_destinations(tx, account)?;
    let account_id = targets.account.clone();
    if let Some(key) = &incoming.idempotency_key
        && let Some(first) = find_idempotent(tx, &incoming, key, now)?
    {
        return Ok(Step::Accepted(AcceptedEvent {
            event_id: first.id,
            account_id,
            event_type: first.event_type,
            received_at: first.received_at,
            duplicate: true,
            made: None,
            first_attempts: None,
        }));
    }
    if !tx.accepts_events() && !incoming.may_use_reserve {
        return Err(disk_low());
    }
    let verdicts = match (&targets.conditions, asked) {
        (None, _) => Vec::new(),
        (Some(conditions), Some(asked)) if asked.conditions == *conditions => asked.verdicts,
        (Some(conditions), _) => return Ok(Step::Ask(incoming, Arc::clone(conditions))),
    };
    let skipped = verdicts.iter().flatten().count();
    let first = tx.take_ids(1 + targets.all.len() - skipped, now);
    let event_id = EventId(first);
    let event_type = incoming.payload.event_type().cloned();
    insert_row(tx, event_id, &incoming, now)?;
    let mut made = Vec::with_capacity(targets.all.len() - skipped);
    let mut awaited = Vec::new();
    let mut number = first;
    for (place, target) in targets.all.iter().enumerate() {
        if verdict(&verdicts, place).is_some() {
            tx.counts_mut(target.key, now).skipped += 1;
            continue;
        }
        number += 1;
        // `zeroblob(16)` reserves 16 bytes. New rows fill a page completely, and recording the outcome makes a row
        // longer: without the reserve the page would be split.
        tx.run(
            "INSERT INTO delivery (id, event_id, destination_key, state, step, attempt_count, next_attempt_at, first_body)
             VALUES (?1, ?2, ?3, 0, 0, 0, 0, zeroblob(16))",
            (number, event_id.0, target.key.0),
        )?;
        tx.counts_mut(target.key, now).accepted += 1;
        made.push((DeliveryId(number), target.key));
        if wait && !target.paused && !tx.is_unreadable(target.key) {
            awaited.push((DeliveryId(number), target.key));
        }
    }
    // The event itself is counted once: with its first delivery, or at the first destination that it is not for.
    let counted = made.first().map(|(_, destination)| *destination).or(targets.all.first().map(|target| target.key));
    if let Some(destination) = counted {
        tx.counts_mut(destination, now).events += 1;
    }
    tx.add_pending(i64::try_from(made.len()).unwrap_or(i64::MAX));
    tx.documents().keep(event_id, &incoming.payload);
    tx.publish(Change::Accepted(NewEvent { id: event_id, payload: incoming.payload, deliveries: made }));
    let first_attempts = wait.then(|| {
        let (done, first_attempts) = oneshot::channel();
        tx.add_wait(Wait { event: event_id, deliveries: awaited, done });
        first_attempts
    });
    let made = MadeDeliveries {
        event: event_id,
        event_type: event_type.clone(),
        first: first + 1,
        targets,
        verdicts,
        at: now,
    };
    Ok(Step::Accepted(AcceptedEvent {
        event_id,
        account_id,
        event_type,
        received_at: now,
        duplicate: false,
        made: Some(made),
        first_attempts,
    }))
}

fn insert_row(tx: &mut Transaction<'_>, id: EventId, incoming: &IncomingEvent, now: Timestamp) -> Result<()> {
    tx.run(
        "INSERT INTO event (id, account_key, received_at, idempotency_key, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            id.0,
            incoming.account.0,
            now.millis(),
            incoming.idempotency_key.as_ref().map(IdempotencyKey::as_str),
            &*incoming.payload,
        ),
    )?;
    if let Some(event_type) = incoming.payload.event_type() {
        tx.run("INSERT INTO event_type (event_id, name) VALUES (?1, ?2)", (id.0, event_type.as_str()))?;
    }
    Ok(())
}

fn account_destinations(tx: &mut Transaction<'_>, account: AccountKey) -> Result<Arc<AccountDestinations>> {
    if let Some(known) = tx.destinations().get(account) {
        return Ok(known);
    }
    let id = tx
        .row("SELECT account_id FROM account WHERE key = ?1 AND deleted_at IS NULL", [account.0], |row| {
            row.get(0).map(AccountId::from_stored)
        })?
        .ok_or_else(|| Error::not_found("account"))?;
    let (all, conditions) = rows::all(
        tx.connection(),
        "SELECT key, destination_id, paused_reason IS NOT NULL, event_types, filter FROM destination
         WHERE account_key = ?1 AND deleted_at IS NULL ORDER BY key",
        [account.0],
        |row| {
            let target = CachedDestination {
                key: DestinationKey(row.get(0)?),
                id: DestinationId::from_stored(row.get(1)?),
                paused: row.get(2)?,
            };
            Ok((target, rows::conditions(row, 3)?))
        },
    )?
    .into_iter()
    .unzip();
    let conditions = AccountConditions::new(id.clone(), conditions).map(Arc::new);
    let targets = Arc::new(AccountDestinations { account: id, all, conditions });
    tx.destinations().insert(account, Arc::clone(&targets));
    Ok(targets)
}

/// The event that another one repeats.
struct FirstEvent {
    id: EventId,
    received_at: Timestamp,
    event_type: Option<EventType>,
}

/// Looks for an event that was accepted with the same key in the last 24 hours. A key that is older is freed for the new
/// event.
///
/// # Errors
/// Invalid if that event's document differs.
fn find_idempotent(
    tx: &mut Transaction<'_>,
    incoming: &IncomingEvent,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<Option<FirstEvent>> {
    // Compares the documents byte by byte: both are at hand, so no digest is needed.
    let found = tx.row(
        "SELECT e.id, e.received_at, e.payload = ?3, t.name FROM event e LEFT JOIN event_type t ON t.event_id = e.id
         WHERE e.account_key = ?1 AND e.idempotency_key = ?2",
        (incoming.account.0, key.as_str(), &*incoming.payload),
        |row| {
            let event_type = rows::event_type(row, 3)?;
            let first = FirstEvent { id: EventId(row.get(0)?), received_at: rows::time(row, 1)?, event_type };
            Ok((first, row.get::<_, bool>(2)?))
        },
    )?;
    let Some((first, same)) = found else { return Ok(None) };
    if first.received_at <= keys_over(now) {
        tx.run("UPDATE event SET idempotency_key = NULL WHERE id = ?1", [first.id.0])?;
        return Ok(None);
    }
    if same {
        return Ok(Some(first));
    }
    Err(Error::new(
        Kind::Invalid,
        "idempotency_key_reused",
        "This Idempotency-Key was used for another body within 24 hours; use a new key for new data.",
    ))
}
