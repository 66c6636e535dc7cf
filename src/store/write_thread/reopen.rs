//! Opens the connection again after a failure that makes it untrustworthy. What commits changed in memory is read again
//! from the file, and the whole WAL is to be copied into the file again. When this is needed is decided by the write
//! thread.

use rusqlite::Connection;

use crate::error::Result;
use crate::store::change::Change;
use crate::store::error::sql;
use crate::store::file::held::HeldFile;
use crate::store::file::sealed::functions;
use crate::store::file::{opening, wal};
use crate::store::memory::Memory;
use crate::store::operations::{access_tokens, accounts, destinations, due};

/// Opens the read-write connection again, and counts no frame of the WAL as copied.
pub fn reopen(held: &HeldFile) -> Result<Connection> {
    let connection = opening::connect(held.path()).map_err(sql)?;
    opening::keep_log(&connection, true).map_err(sql)?;
    wal::install_hook(&connection);
    functions::install(&connection, held.keys()).map_err(sql)?;
    wal::reset_backfill(&connection)?;
    Ok(connection)
}

/// Opens the read-write connection again and reads the memory beside the file again. Returns the connection and the
/// change for the engine.
pub fn connect(held: &HeldFile, memory: &Memory) -> Result<(Connection, Change)> {
    let connection = reopen(held)?;
    let destinations = destinations::all(&connection)?;
    let pending = due::count_pending(&connection)?;
    memory.tokens.replace(accounts::tokens(&connection)?);
    memory.access_tokens.replace(access_tokens::all(&connection)?);
    memory.metrics.set_pending(pending);
    Ok((connection, Change::Reloaded(destinations)))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::domain::access::Scope;
    use crate::domain::account::{AccountFields, AccountName, Email};
    use crate::domain::memory::MemoryBudget;
    use crate::domain::sealing::key::SecretsKeys;
    use crate::domain::secret::TokenDigest;
    use crate::domain::time::Timestamp;
    use crate::error::{Error, Unavailable};
    use crate::store::file::checkpoints::Checkpoints;
    use crate::store::handle::Store;
    use crate::store::open::StoreOptions;

    struct Fixture {
        folder: tempfile::TempDir,
        store: Store,
        told: Arc<Mutex<Vec<Change>>>,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let keeps = Arc::clone(&told);
        let options = StoreOptions {
            path: folder.path().join("a.db"),
            checkpoints: Checkpoints::Own,
            now: Timestamp::EPOCH,
            memory: MemoryBudget::default(),
            keys: SecretsKeys::default(),
        };
        let store = Store::open(&options, Box::new(move |changes| keeps.lock().unwrap().extend(changes))).unwrap();
        Fixture { folder, store, told }
    }

    fn failure() -> Error {
        Error::unavailable(Unavailable::Io, "as after a failed fsync")
    }

    async fn create_account(store: &Store) {
        let fields = AccountFields {
            email: Email::from_stored("ada@example.com".to_owned()),
            name: AccountName::from_stored("Ada".to_owned()),
            website: None,
        };
        let digest = TokenDigest::of(b"token");
        let everything = store.within(&Scope::All);
        everything.create_account(None, fields, digest, "oken".to_owned(), Timestamp::EPOCH).await.unwrap();
    }

    #[tokio::test]
    async fn the_log_and_its_index_outlive_the_connection_that_is_given_up() {
        use std::os::unix::fs::MetadataExt as _;
        let Fixture { folder, store, .. } = fixture();
        let files = ["a.db-wal", "a.db-shm"].map(|name| std::fs::File::open(folder.path().join(name)).unwrap());
        assert!(store.writer.submit(|_| Err::<(), _>(failure())).await.is_err());
        store.probe().await.unwrap();
        for file in files {
            assert_eq!(file.metadata().unwrap().nlink(), 1, "the last connection had gone, and the log with it");
        }
        store.close().await;
    }

    #[tokio::test]
    async fn what_a_failed_commit_left_in_the_file_is_known_once_the_connection_is_opened_anew() {
        let Fixture { folder: _folder, store, told } = fixture();
        create_account(&store).await;
        let insert = "INSERT INTO destination (destination_id, account_key, url, http_method, headers, secret,
            created_at, updated_at) VALUES ('dst_a', 1, 'http://h/', 'POST', '{}', zeroblob(32), 0, 0);
            UPDATE account SET token_digest = zeroblob(32); COMMIT";
        // The rows are committed, but nobody has learned of the commit.
        let request = store.writer.submit(move |tx| {
            tx.connection().execute_batch(insert).map_err(sql)?;
            Err::<(), _>(failure())
        });
        assert!(request.await.is_err());
        store.probe().await.unwrap();
        let told = std::mem::take(&mut *told.lock().unwrap());
        let [Change::Reloaded(destinations)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(destinations[0].id.as_str(), "dst_a");
        assert!(store.memory.tokens.owner(&TokenDigest::of(b"token"), Timestamp::EPOCH).is_none());
        assert!(store.memory.tokens.owner(&TokenDigest([0; 32]), Timestamp::EPOCH).is_some());
        store.close().await;
    }
}
