//! Reads accounts with their tokens and destinations, in one snapshot.

use rusqlite::{Connection, Row};

use crate::domain::access::Scope;
use crate::domain::account::AccountFields;
use crate::domain::export::{
    Export, ExportedAccount, ExportedDestination, ExportedTokens, TokenHint, without_ended_overlaps,
};
use crate::domain::ids::{AccountId, AccountKey};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::operations::{accounts, destinations, id_slot, rows};

/// Reads what is exported from a database: its accounts with all that belongs to them, oldest first; with `only` this
/// account alone. Overlaps of rotations that are over by `now` are left out. The connection is to be in a transaction.
///
/// # Errors
/// Not found if there is no account `only`. Those of the file.
pub fn exported(connection: &Connection, only: Option<&AccountId>, now: Timestamp) -> Result<Export> {
    let only = only.map(|id| accounts::require(connection, &Scope::All, id)).transpose()?.map(|account| account.key);
    let query = format!(
        "SELECT {}, token_digest, old_token_digest, old_token_until FROM account
         WHERE deleted_at IS NULL AND (?1 IS NULL OR key = ?1) ORDER BY key",
        rows::ACCOUNT
    );
    let found = rows::all(connection, &query, [only.map(|key| key.0)], account)?;
    let exported = found.into_iter().map(|(key, account)| {
        let account = ExportedAccount { destinations: destinations_of(connection, key)?, ..account };
        Ok(without_ended_overlaps(account, now))
    });
    Ok(Export { id_slot: id_slot::of(connection)?, accounts: exported.collect::<Result<_>>()? })
}

fn account(row: &Row<'_>) -> rusqlite::Result<(AccountKey, ExportedAccount)> {
    let account = rows::account(row)?;
    let previous = match row.get::<_, Option<[u8; 32]>>(9)? {
        Some(digest) => Some((TokenDigest(digest), rows::time(row, 10)?)),
        None => None,
    };
    let exported = ExportedAccount {
        id: account.id,
        fields: AccountFields { email: account.email, name: account.name, website: account.website },
        tokens: ExportedTokens {
            current: TokenDigest(row.get(8)?),
            hint: TokenHint::from_stored(account.token_hint),
            previous,
        },
        created_at: account.created_at,
        updated_at: account.updated_at,
        destinations: Vec::new(),
    };
    Ok((account.key, exported))
}

fn destinations_of(connection: &Connection, account: AccountKey) -> Result<Vec<ExportedDestination>> {
    let found = destinations::of_account(connection, account)?.into_iter();
    let exported = found.map(|destination| {
        if !destination.has_secrets() {
            let why = format!(
                "the secrets of the destination {} (account {}) cannot be opened; replace it by a PUT and rotate its signing \
                 secret, or export each of the other accounts with --account",
                destination.id, destination.account_id
            );
            return Err(Error::internal(why));
        }
        Ok(ExportedDestination {
            id: destination.id,
            fields: destination.fields,
            secrets: destination.secrets,
            pause: destination.pause,
            created_at: destination.created_at,
            updated_at: destination.updated_at,
        })
    });
    exported.collect()
}
