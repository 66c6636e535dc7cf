//! Adds exported accounts to a file, all of them or none.

use std::collections::HashMap;

use crate::domain::access::Scope;
use crate::domain::account::Website;
use crate::domain::export::{Export, ExportedAccount, ExportedDestination};
use crate::domain::ids::{AccountId, AccountKey};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::error::{Error, FieldError, Result};
use crate::store::change::Change;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::memory::tokens::TokenChange;
use crate::store::operations::{destinations, id_slot, rows};

/// What an import did.
#[derive(Debug, Default)]
pub struct Imported {
    /// Accounts that were added.
    pub accounts: usize,
    /// Their destinations.
    pub destinations: usize,
    /// Accounts that were left out, since something of them exists already.
    pub skipped: Vec<SkippedAccount>,
}

/// An account that was not added.
#[derive(Debug)]
pub struct SkippedAccount {
    /// Its id.
    pub id: AccountId,
    /// What exists already, one sentence each.
    pub reasons: Vec<String>,
}

/// Accounts by the digests of their tokens, with tokens that ended.
type Owners = HashMap<TokenDigest, AccountId>;

impl Store {
    /// Adds accounts with their destinations, in one transaction. They get events from the next moment on. With
    /// `skip_existing`, accounts of which something exists already are left out.
    ///
    /// # Errors
    /// Invalid, with everything that exists already, unless `skip_existing`. Then nothing is added.
    pub async fn import_accounts(&self, export: Export, skip_existing: bool, now: Timestamp) -> Result<Imported> {
        self.writer
            .submit_with_savepoint(move |tx| {
                if let Some(foreign) = export.id_slot {
                    id_slot::avoid(tx, foreign)?;
                }
                let mut owners = owners(tx)?;
                let (mut imported, mut faults) = (Imported::default(), Vec::new());
                for (place, account) in export.accounts.into_iter().enumerate() {
                    let clashes = clashes(tx, &account, &owners)?;
                    if clashes.is_empty() {
                        imported.accounts += 1;
                        imported.destinations += account.destinations.len();
                        owners.extend(digests(&account).map(|digest| (digest, account.id.clone())));
                        insert(tx, &account, now)?;
                    } else if skip_existing {
                        let reasons = clashes.into_iter().map(|clash| format!("{} {}", clash.field, clash.message));
                        imported.skipped.push(SkippedAccount { id: account.id, reasons: reasons.collect() });
                    } else {
                        let at = |field: String| format!("accounts[{place}].{field}");
                        faults.extend(clashes.into_iter().map(|clash| FieldError::new(at(clash.field), clash.message)));
                    }
                }
                if faults.is_empty() { Ok(imported) } else { Err(Error::invalid(faults)) }
            })
            .await
    }
}

fn owners(tx: &Transaction<'_>) -> Result<Owners> {
    let found = rows::all(
        tx.connection(),
        "SELECT account_id, token_digest, old_token_digest FROM account WHERE deleted_at IS NULL",
        [],
        |row| Ok((AccountId::from_stored(row.get(0)?), row.get(1)?, row.get::<_, Option<[u8; 32]>>(2)?)),
    )?;
    let each = found.into_iter().flat_map(|(id, current, previous)| {
        [Some(current), previous].into_iter().flatten().map(move |digest| (TokenDigest(digest), id.clone()))
    });
    Ok(each.collect())
}

fn digests(account: &ExportedAccount) -> impl Iterator<Item = TokenDigest> {
    let previous = account.tokens.previous.map(|(digest, _)| digest);
    [Some(account.tokens.current), previous].into_iter().flatten()
}

/// What of an account exists already.
fn clashes(tx: &Transaction<'_>, account: &ExportedAccount, owners: &Owners) -> Result<Vec<FieldError>> {
    let mut clashes = Vec::new();
    let mut clash = |field: String, message: String| clashes.push(FieldError::new(field, message));
    let id = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let query = "SELECT account_id FROM account WHERE account_id = ?1 AND deleted_at IS NULL";
    if tx.row(query, [account.id.as_str()], id)?.is_some() {
        clash("account_id".to_owned(), format!("is taken: there is an account {} already", account.id));
    }
    let query = "SELECT account_id FROM account WHERE email_folded = ?1 AND deleted_at IS NULL";
    if let Some(holder) = tx.row(query, [account.fields.email.folded()], id)? {
        clash("email".to_owned(), format!("is taken: the account {holder} has {}", account.fields.email));
    }
    if let Some(holder) = owners.get(&account.tokens.current) {
        clash("token_digest".to_owned(), format!("is taken: the account {holder} has this token"));
    }
    if let Some(holder) = account.tokens.previous.and_then(|(digest, _)| owners.get(&digest)) {
        clash("old_token_digest".to_owned(), format!("is taken: the account {holder} has this token"));
    }
    for (place, destination) in account.destinations.iter().enumerate() {
        let query = "SELECT destination_id FROM destination WHERE destination_id = ?1 AND deleted_at IS NULL";
        if tx.row(query, [destination.id.as_str()], id)?.is_some() {
            let message = format!("is taken: there is a destination {} already", destination.id);
            clash(format!("destinations[{place}].destination_id"), message);
        }
    }
    Ok(clashes)
}

fn insert(tx: &mut Transaction<'_>, account: &ExportedAccount, now: Timestamp) -> Result<()> {
    let (fields, tokens) = (&account.fields, &account.tokens);
    tx.run(
        "INSERT INTO account (account_id, email, email_folded, name, website, token_digest, token_hint,
         old_token_digest, old_token_until, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        (
            account.id.as_str(),
            fields.email.as_str(),
            fields.email.folded(),
            fields.name.as_str(),
            fields.website.as_ref().map(Website::as_str),
            tokens.current.0,
            tokens.hint.as_str(),
            tokens.previous.map(|(digest, _)| digest.0),
            tokens.previous.map(|(_, until)| until.millis()),
            account.created_at.millis(),
            account.updated_at.millis(),
        ),
    )?;
    let key = AccountKey(tx.last_key());
    tx.publish_token(TokenChange::Works { digest: tokens.current, account: key, until: None });
    if let Some((digest, until)) = tokens.previous {
        tx.publish_token(TokenChange::Works { digest, account: key, until: Some(until) });
    }
    for destination in &account.destinations {
        insert_destination(tx, key, destination, now)?;
    }
    Ok(())
}

fn insert_destination(
    tx: &mut Transaction<'_>,
    account: AccountKey,
    destination: &ExportedDestination,
    now: Timestamp,
) -> Result<()> {
    let key = destinations::insert(tx, account, &destination.id, &destination.secrets.current, now)?;
    destinations::set_fields(tx, key, &destination.fields, destination.updated_at)?;
    let previous = destination.secrets.previous.as_ref();
    tx.run(
        "UPDATE destination SET old_secret = seal(?2, destination_id, 'old_secret'), old_secret_until = ?3, paused_reason = ?4, paused_at = ?5,
         created_at = ?6 WHERE key = ?1",
        (
            key.0,
            previous.map(|(secret, _)| *secret.as_bytes()),
            previous.map(|(_, until)| until.millis()),
            destination.pause.map(|pause| pause.reason.as_str()),
            destination.pause.map(|pause| pause.at.millis()),
            destination.created_at.millis(),
        ),
    )?;
    let changed = destinations::require(tx.connection(), &Scope::All, &destination.id)?;
    tx.publish(Change::DestinationChanged(changed.into()));
    Ok(())
}
