//! A store with one account and one destination, for the tests of `operations`.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::types::FromSql;

use crate::domain::account::{Account, AccountFields, AccountName, Email};
use crate::domain::destination::{Destination, DestinationFields};
use crate::domain::document::Document;
use crate::domain::event::IncomingEvent;
use crate::domain::ids::{DeliveryId, EventId};
use crate::domain::memory::MemoryBudget;
use crate::domain::secret::{SigningSecret, TokenDigest};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::open::StoreOptions;

/// The time that is `second` seconds after 1970.
pub fn at(second: u64) -> Timestamp {
    Timestamp::EPOCH.plus(Duration::from_secs(second))
}

/// The store and its rows.
pub struct Fixture {
    pub store: Store,
    pub account: Account,
    pub destination: Destination,
    folder: tempfile::TempDir,
}

impl Fixture {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::EPOCH;
        let store = Store::open(
            &StoreOptions { path: folder.path().join("a.db"), now, memory: MemoryBudget::default() },
            Box::new(drop),
        )
        .unwrap();
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
        let store = Store::open(&StoreOptions { path, now, memory: MemoryBudget::default() }, Box::new(drop)).unwrap();
        Self { store, ..self }
    }

    /// Creates another destination of the account.
    pub async fn another(&self, now: Timestamp) -> Destination {
        let (account, fields) = (self.account.id.clone(), self.destination.fields.clone());
        self.store.create_destination(account, fields, SigningSecret::generate(), now).await.unwrap()
    }

    /// Sends an event. Returns the event and its first delivery.
    pub async fn push(&self, now: Timestamp) -> (EventId, DeliveryId) {
        let payload = Document::from(b"{}".as_slice());
        let event = IncomingEvent { account: self.account.key, payload, idempotency_key: None };
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
