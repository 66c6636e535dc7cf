//! A store with one account and one destination, for the tests of `operations`.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::types::FromSql;

use crate::domain::access::Scope;
use crate::domain::account::{Account, AccountFields, AccountName, Email};
use crate::domain::delivery::DeliveryState;
use crate::domain::destination::{Destination, DestinationFields};
use crate::domain::document::Document;
use crate::domain::event::IncomingEvent;
use crate::domain::ids::{DeliveryId, EventId};
use crate::domain::memory::MemoryBudget;
use crate::domain::sealing::key::SecretsKeys;
use crate::domain::secret::{SigningSecret, TokenDigest};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::file::checkpoints::Checkpoints;
use crate::store::handle::{ScopedStore, Store};
use crate::store::open::StoreOptions;

/// The time that is `second` seconds after 1970.
pub fn at(second: u64) -> Timestamp {
    Timestamp::EPOCH.plus(Duration::from_secs(second))
}

/// The store and its rows.
pub struct Fixture {
    pub store: ScopedStore,
    pub account: Account,
    pub destination: Destination,
    folder: tempfile::TempDir,
}

impl Fixture {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::EPOCH;
        let store = Store::open(
            &StoreOptions {
                path: folder.path().join("a.db"),
                checkpoints: Checkpoints::Own,
                now,
                memory: MemoryBudget::default(),
                keys: SecretsKeys::default(),
            },
            Box::new(drop),
        )
        .unwrap()
        .within(&Scope::All);
        let fields = AccountFields {
            email: Email::from_stored("ada@example.com".to_owned()),
            name: AccountName::from_stored("Ada".to_owned()),
            website: None,
        };
        let digest = TokenDigest::of(b"token");
        let account = store.create_account(None, fields, digest, "oken".to_owned(), now).await.unwrap();
        let fields = DestinationFields::example("http://h/");
        let secret = SigningSecret::generate();
        let destination = store.create_destination(account.id.clone(), fields, secret, now).await.unwrap();
        Self { store, account, destination, folder }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("a.db")
    }

    /// Closes the store and opens the file again, as a restart of the server does.
    pub async fn restart(self, now: Timestamp) -> Self {
        let path = self.path();
        self.store.close().await;
        // Dropping the store releases the lock of the file.
        drop(self.store);
        let store = Store::open(
            &StoreOptions {
                path,
                checkpoints: Checkpoints::Own,
                now,
                memory: MemoryBudget::default(),
                keys: SecretsKeys::default(),
            },
            Box::new(drop),
        )
        .unwrap()
        .within(&Scope::All);
        Self { store, ..self }
    }

    /// Creates another destination of the account.
    pub async fn another(&self, now: Timestamp) -> Destination {
        let (account, fields) = (self.account.id.clone(), self.destination.fields.clone());
        self.store.create_destination(account, fields, SigningSecret::generate(), now).await.unwrap()
    }

    /// Creates another account with one destination.
    pub async fn another_account(&self, name: &str, now: Timestamp) -> (Account, Destination) {
        let fields = AccountFields {
            email: Email::from_stored(format!("{name}@example.com")),
            name: AccountName::from_stored(name.to_owned()),
            website: None,
        };
        let digest = TokenDigest::of(name.as_bytes());
        let account = self.store.create_account(None, fields, digest, "oken".to_owned(), now).await.unwrap();
        let (id, fields) = (account.id.clone(), self.destination.fields.clone());
        let destination = self.store.create_destination(id, fields, SigningSecret::generate(), now).await.unwrap();
        (account, destination)
    }

    /// Writes `count` events that were received at `now`, each with one delivery for `destination` in this state. With
    /// a status, the delivery has had one attempt, which took 5 ms. Returns the lowest id of the deliveries; each of
    /// the others is higher by two.
    pub async fn fill(
        &self,
        destination: &Destination,
        count: usize,
        now: Timestamp,
        state: DeliveryState,
        status: Option<u16>,
    ) -> i64 {
        const NUMBERS: &str = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 2 FROM n WHERE i + 2 < 2 * ?1)";
        let (account, key) = (destination.account_key.0, destination.key.0);
        let step = move |tx: &mut Transaction<'_>| {
            let first = tx.take_ids(2 * count, now);
            let events = "INSERT INTO event (id, account_key, received_at, payload)
                 SELECT ?2 + i, ?3, ?4, CAST('{}' AS BLOB) FROM n";
            tx.run(&format!("{NUMBERS} {events}"), (count, first, account, now.millis()))?;
            let deliveries = "INSERT INTO delivery (id, event_id, destination_key, state, step, attempt_count,
                 next_attempt_at, last_attempt_at, status_code, error, first_duration_ms)
                 SELECT ?2 + i + 1, ?2 + i, ?3, ?4, 0, ?5 IS NOT NULL, 0, ?6, ?5,
                 CASE WHEN ?5 >= 300 THEN 'status' END, CASE WHEN ?5 < 300 THEN 5 END FROM n";
            let params = (count, first, key, state.code(), status, status.map(|_| now.millis()));
            tx.run(&format!("{NUMBERS} {deliveries}"), params)?;
            let attempts = "INSERT INTO attempt (delivery_id, number, at, duration_ms, status_code, error, body,
                 body_truncated) SELECT ?2 + i + 1, 1, ?3, 5, ?4, 'status', zeroblob(0), 0 FROM n WHERE ?4 >= 300";
            tx.run(&format!("{NUMBERS} {attempts}"), (count, first, now.millis(), status))?;
            if state == DeliveryState::Pending {
                tx.add_pending(i64::try_from(count).unwrap_or(i64::MAX));
            }
            Ok(first + 1)
        };
        self.step(step).await.unwrap()
    }

    /// Sends an event. Returns the event and its first delivery.
    pub async fn push(&self, now: Timestamp) -> (EventId, DeliveryId) {
        let payload = Document::from(b"{}".as_slice());
        let event = IncomingEvent { account: self.account.key, payload, idempotency_key: None, may_use_reserve: false };
        let accepted = self.store.accept_event(event, false, now).await.unwrap();
        (accepted.event_id, accepted.made.unwrap().iter().next().unwrap().id)
    }

    /// Runs `step` as a write request.
    pub async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.store.writer.submit(step).await
    }

    /// Returns the only value of a query's first row.
    pub fn value<T: FromSql>(&self, query: &str) -> T {
        rusqlite::Connection::open(self.path()).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
    }
}
