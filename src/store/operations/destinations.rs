//! Creates, reads, changes, pauses and hides destinations. What an outcome changes on a destination is in
//! `outcomes.rs`. The rows of a deleted destination are removed in `maintenance/removal.rs`.

use std::sync::Arc;

use rusqlite::Connection;

use super::{accounts, reach, rows};
use crate::domain::access::Scope;
use crate::domain::destination::{
    Destination, DestinationFields, DestinationPatch, MAX_PER_ACCOUNT, PausedReason, ROTATION_OVERLAP,
};
use crate::domain::event_type::EventTypePatterns;
use crate::domain::filter::Filter;
use crate::domain::ids::{AccountId, AccountKey, DestinationId, DestinationKey};
use crate::domain::page::{Page, PageRequest};
use crate::domain::secret::SigningSecret;
use crate::domain::template::Template;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::store::change::Change;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::{ScopedStore, Store};

const TABLES: &str =
    "destination d JOIN account a ON a.key = d.account_key AND a.deleted_at IS NULL WHERE d.deleted_at IS NULL";

impl ScopedStore {
    /// Creates a destination of an account. Events that are accepted from now on are sent to it too.
    ///
    /// # Errors
    /// Not found; conflict if the account has [`MAX_PER_ACCOUNT`] destinations.
    pub async fn create_destination(
        &self,
        account: AccountId,
        fields: DestinationFields,
        secret: SigningSecret,
        now: Timestamp,
    ) -> Result<Destination> {
        let scope = self.scope.clone();
        self.writer
            .submit_with_savepoint(move |tx| {
                let account = accounts::require(tx.connection(), &scope, &account)?;
                let count: usize = tx
                    .row(
                        "SELECT count(*) FROM destination WHERE account_key = ?1 AND deleted_at IS NULL",
                        [account.key.0],
                        |row| row.get(0),
                    )?
                    .unwrap_or(0);
                if count >= MAX_PER_ACCOUNT {
                    return Err(Error::new(
                        Kind::Conflict,
                        "too_many_destinations",
                        format!("An account has at most {MAX_PER_ACCOUNT} destinations; delete one first."),
                    ));
                }
                let id = DestinationId::generate();
                let key = insert(tx, account.key, &id, &secret, now)?;
                set_fields(tx, key, &fields, now)?;
                publish_and_get(tx, &scope, &id)
            })
            .await
    }

    /// Returns a page of an account's destinations, oldest first.
    ///
    /// # Errors
    /// Not found if the account does not exist.
    pub async fn destinations(&self, account: AccountId, page: PageRequest) -> Result<Page<Destination>> {
        let scope = self.scope.clone();
        self.readers
            .read_yielding(move |connection| {
                let account = accounts::require(connection, &scope, &account)?;
                if scope.account().is_some() {
                    return by_place(connection, account.key, page);
                }
                let items = rows::all(
                    connection,
                    &format!(
                        "SELECT {} FROM {TABLES} AND d.account_key = ?1 AND d.key > ?2 ORDER BY d.key LIMIT ?3",
                        rows::DESTINATION
                    ),
                    (account.key.0, accounts::page_start(page.cursor), page.limit + 1),
                    rows::destination,
                )?;
                Ok(accounts::paginate(items, page.limit, |destination| destination.key.0))
            })
            .await
    }

    /// Returns one destination.
    ///
    /// # Errors
    /// Not found.
    pub async fn destination(&self, id: DestinationId) -> Result<Destination> {
        let scope = self.scope.clone();
        self.readers.read(move |connection| require(connection, &scope, &id)).await
    }

    /// Returns one destination, to use or to show its secrets.
    ///
    /// # Errors
    /// Not found; conflict if its secrets cannot be opened.
    pub async fn destination_with_secrets(&self, id: DestinationId) -> Result<Destination> {
        let destination = self.destination(id).await?;
        require_secrets(&destination).map(|()| destination)
    }

    /// Replaces all fields that a client may set, from the next attempt on.
    ///
    /// # Errors
    /// Not found.
    pub async fn replace_destination(
        &self,
        id: DestinationId,
        fields: DestinationFields,
        now: Timestamp,
    ) -> Result<Destination> {
        self.change(id, move |tx, destination| change_fields(tx, destination, &fields, now)).await
    }

    /// Replaces only the fields that `patch` contains, from the next attempt on.
    ///
    /// # Errors
    /// Not found; invalid if the patched headers are not valid together; conflict if its secrets cannot be opened.
    pub async fn patch_destination(
        &self,
        id: DestinationId,
        patch: DestinationPatch,
        now: Timestamp,
    ) -> Result<Destination> {
        self.change(id, move |tx, destination| {
            require_secrets(destination)?;
            let fields = patch.apply(&destination.fields).map_err(Error::invalid)?;
            change_fields(tx, destination, &fields, now)
        })
        .await
    }

    /// Hides a destination: nothing more is sent to it. [`Removal`](super::maintenance::removal::Removal) deletes its
    /// deliveries in the background.
    ///
    /// # Errors
    /// Not found.
    pub async fn delete_destination(&self, id: DestinationId, now: Timestamp) -> Result<()> {
        let scope = self.scope.clone();
        self.writer
            .submit_with_savepoint(move |tx| {
                let destination = require(tx.connection(), &scope, &id)?;
                tx.run("UPDATE destination SET deleted_at = ?2 WHERE key = ?1", (destination.key.0, now.millis()))?;
                tx.publish(Change::DestinationDeleted(destination.key));
                Ok(())
            })
            .await
    }

    /// Pauses deliveries to a destination manually. New deliveries are still created and wait. A destination that is
    /// already paused keeps its reason and time.
    ///
    /// # Errors
    /// Not found.
    pub async fn pause_destination(&self, id: DestinationId, now: Timestamp) -> Result<Destination> {
        self.change(id, move |tx, destination| pause(tx, destination.key, PausedReason::Manual, now)).await
    }

    /// Resumes a destination: ends its pause and its hold, and clears the time since which it has been failing. Nothing
    /// changes in the file if the destination is neither paused nor held.
    ///
    /// # Errors
    /// Not found; conflict if its secrets cannot be opened, since it would stay paused.
    pub async fn resume_destination(&self, id: DestinationId, now: Timestamp) -> Result<Destination> {
        self.change(id, move |tx, destination| {
            require_secrets(destination)?;
            tx.run(
                "UPDATE destination SET paused_reason = NULL, paused_at = NULL, held_until = NULL, failing_since = NULL,
                 updated_at = ?2 WHERE key = ?1 AND (paused_reason IS NOT NULL OR held_until IS NOT NULL)",
                (destination.key.0, now.millis()),
            )?;
            Ok(())
        })
        .await
    }

    /// Ends a hold after a success that belongs to no delivery, such as that of a test. Does so only if the hold still
    /// ends at `held`.
    ///
    /// # Errors
    /// Not found.
    pub(super) async fn lift_hold(&self, id: DestinationId, held: Timestamp) -> Result<()> {
        let scope = self.scope.clone();
        self.writer
            .submit_with_savepoint(move |tx| {
                let destination = require(tx.connection(), &scope, &id)?;
                lift(tx, destination.key, held)
            })
            .await
    }

    /// Gives a destination a new signing secret. For [`ROTATION_OVERLAP`] requests are signed with the previous secret
    /// too, if that can be opened.
    ///
    /// # Errors
    /// Not found.
    pub async fn rotate_signing_secret(
        &self,
        id: DestinationId,
        secret: SigningSecret,
        now: Timestamp,
    ) -> Result<Destination> {
        self.change(id, move |tx, destination| {
            let previous = destination.has_secrets().then(|| *destination.secrets.current.as_bytes());
            tx.run(
                "UPDATE destination SET old_secret = seal(?5, destination_id, 'old_secret'), old_secret_until = ?2,
                 secret = seal(?3, destination_id, 'secret'), updated_at = ?4 WHERE key = ?1",
                (destination.key.0, now.plus(ROTATION_OVERLAP).millis(), secret.as_bytes(), now.millis(), previous),
            )?;
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        id: DestinationId,
        change: impl FnOnce(&mut Transaction<'_>, &Destination) -> Result<()> + Send + 'static,
    ) -> Result<Destination> {
        let scope = self.scope.clone();
        self.writer
            .submit_with_savepoint(move |tx| {
                let destination = require(tx.connection(), &scope, &id)?;
                change(tx, &destination)?;
                publish_and_get(tx, &scope, &id)
            })
            .await
    }
}

impl Store {
    /// Returns every destination that is not deleted, for the start of the engine. Keeps in mind which of them have
    /// secrets that do not open, and logs where that is because there is no key.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub fn all_destinations(&self) -> Result<Vec<Destination>> {
        let all = self.readers.read_for_engine(all)?;
        let unreadable = all.iter().filter(|destination| !destination.has_secrets());
        if self.held.keys().current().is_none()
            && let Some(first) = unreadable.clone().min_by_key(|destination| destination.key)
        {
            tracing::warn!(
                destinations = unreadable.clone().count(),
                first = first.id.as_str(),
                "secrets of destinations are sealed and there is no key, so nothing is sent there; start with the key, or, \
                 if it is lost, replace each by a PUT and rotate its signing secret"
            );
        }
        self.memory.unreadable.replace(unreadable.map(|destination| destination.key));
        Ok(all)
    }
}

/// A page of an account's destinations for a caller that reaches no other account. Its cursor is a place.
fn by_place(connection: &Connection, account: AccountKey, page: PageRequest) -> Result<Page<Destination>> {
    let query = format!(
        "WITH placed AS MATERIALIZED (SELECT o.key, {} AS place
             FROM destination o WHERE o.account_key = ?1 AND o.deleted_at IS NULL)
         SELECT {}, p.place FROM placed p CROSS JOIN destination d ON d.key = p.key
         JOIN account a ON a.key = d.account_key WHERE p.place > ?2 ORDER BY p.place LIMIT ?3",
        accounts::place("o"),
        rows::DESTINATION
    );
    let params = (account.0, accounts::page_start(page.cursor), page.limit + 1);
    let items =
        rows::all(connection, &query, params, |row| Ok((rows::destination(row)?, row.get::<_, i64>("place")?)))?;
    let Page { items, next } = accounts::paginate(items, page.limit, |(_, place)| *place);
    Ok(Page { items: items.into_iter().map(|(destination, _)| destination).collect(), next })
}

/// Returns every destination that is not deleted.
pub fn all(connection: &Connection) -> Result<Vec<Destination>> {
    rows::all(connection, &format!("SELECT {} FROM {TABLES}", rows::DESTINATION), [], rows::destination)
}

/// Returns the destinations of an account that are not deleted, oldest first.
pub fn of_account(connection: &Connection, account: AccountKey) -> Result<Vec<Destination>> {
    let query = format!("SELECT {} FROM {TABLES} AND d.account_key = ?1 ORDER BY d.key", rows::DESTINATION);
    rows::all(connection, &query, [account.0], rows::destination)
}

/// Adds a destination without fields; [`set_fields`] must follow. Only events from now on are for it.
pub fn insert(
    tx: &mut Transaction<'_>,
    account: AccountKey,
    id: &DestinationId,
    secret: &SigningSecret,
    now: Timestamp,
) -> Result<DestinationKey> {
    let first_id = tx.take_ids(1, now);
    tx.run(
        "INSERT INTO destination (destination_id, account_key, url, http_method, headers, secret, created_at,
         updated_at, first_id) VALUES (?1, ?2, '', '', '', seal(?3, ?1, 'secret'), ?4, ?4, ?5)",
        (id.as_str(), account.0, secret.as_bytes(), now.millis(), first_id),
    )?;
    Ok(DestinationKey(tx.last_key()))
}

/// Pauses a destination that is not paused yet.
pub fn pause(tx: &mut Transaction<'_>, key: DestinationKey, reason: PausedReason, now: Timestamp) -> Result<()> {
    tx.run(
        "UPDATE destination SET paused_reason = ?2, paused_at = ?3, updated_at = ?3 WHERE key = ?1 AND paused_reason IS NULL",
        (key.0, reason.as_str(), now.millis()),
    )?;
    Ok(())
}

/// Publishes the destination to the engine as it is at this point of the transaction. Does nothing if the destination
/// is deleted.
pub fn publish(tx: &mut Transaction<'_>, key: DestinationKey) -> Result<()> {
    let query = format!("SELECT {} FROM {TABLES} AND d.key = ?1", rows::DESTINATION);
    if let Some(destination) = tx.row(&query, [key.0], rows::destination)? {
        tx.publish(Change::DestinationChanged(Arc::new(destination)));
    }
    Ok(())
}

/// Reads a destination after a change, publishes it to the engine, and returns it.
fn publish_and_get(tx: &mut Transaction<'_>, scope: &Scope, id: &DestinationId) -> Result<Destination> {
    let destination = require(tx.connection(), scope, id)?;
    tx.publish(Change::DestinationChanged(Arc::new(destination.clone())));
    Ok(destination)
}

/// Ends the hold that lasts until `held`, since the server that asked for it has answered with success. A hold with
/// another end was set in the meantime and stays.
pub fn lift(tx: &mut Transaction<'_>, key: DestinationKey, held: Timestamp) -> Result<()> {
    let query = "UPDATE destination SET held_until = NULL WHERE key = ?1 AND held_until = ?2";
    if tx.run(query, (key.0, held.millis()))? > 0 {
        publish(tx, key)?;
    }
    Ok(())
}

fn change_fields(
    tx: &mut Transaction<'_>,
    before: &Destination,
    fields: &DestinationFields,
    now: Timestamp,
) -> Result<()> {
    if before.fields.url.origin() != fields.url.origin() {
        // The hold was asked for by the server at the old URL, and the new URL is another server.
        tx.run("UPDATE destination SET held_until = NULL WHERE key = ?1", [before.key.0])?;
    }
    set_fields(tx, before.key, fields, now)
}

/// Writes all fields that a client may set, and `now` as the time of the last change.
pub fn set_fields(
    tx: &mut Transaction<'_>,
    key: DestinationKey,
    fields: &DestinationFields,
    now: Timestamp,
) -> Result<()> {
    tx.run(
        "UPDATE destination SET url = ?2, http_method = ?3, headers = seal(?4, destination_id, 'headers'), retry_schedule = ?5, timeout_ms = ?6,
         max_concurrency = ?7, updated_at = ?8, rate_limit = ?9, ordering = ?10, on_exhausted = ?11,
         event_types = ?12, filter = ?13, body_template = ?14,
         header_templates = seal(?15, destination_id, 'header_templates') WHERE key = ?1",
        (
            key.0,
            fields.url.as_str(),
            fields.method.as_str(),
            fields.headers.to_json(),
            fields.retry_schedule.as_ref().map(ToString::to_string),
            fields.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            fields.max_concurrency,
            now.millis(),
            fields.rate_limit.map(|rate| rate.to_string()),
            fields.ordering.as_str(),
            fields.on_exhausted.as_str(),
            fields.conditions.event_types.as_ref().map(EventTypePatterns::to_json),
            fields.conditions.filter.as_ref().map(Filter::as_str),
            fields.templates.body.as_ref().map(Template::as_str),
            (!fields.templates.headers.is_empty()).then(|| fields.templates.headers.to_json()),
        ),
    )?;
    Ok(())
}

/// Refuses what needs the secrets of a destination while they cannot be opened.
fn require_secrets(destination: &Destination) -> Result<()> {
    if destination.has_secrets() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Conflict,
        "secrets_unreadable",
        "The secrets of this destination cannot be opened; replace it by a PUT, and rotate its signing secret.",
    ))
}

/// Returns a destination that is reached and not deleted, or the error "not found".
pub fn require(connection: &Connection, scope: &Scope, id: &DestinationId) -> Result<Destination> {
    reach::destination(connection, scope, id)?;
    let query = format!("SELECT {} FROM {TABLES} AND d.destination_id = ?1", rows::DESTINATION);
    rows::first(connection, &query, [id.as_str()], rows::destination)?.ok_or_else(|| Error::not_found("destination"))
}
