//! The document that moves accounts from one database to another: written by `data-pusher export`, read by
//! `data-pusher import`. It holds secrets. Fields of accounts and destinations are read as those of request bodies are.

use std::collections::HashSet;

use serde::Serialize;

use super::accounts::account_fields;
use super::destination_values::destination_fields;
use super::destinations::Destination;
use super::sealed_export::{self, Reader};
use crate::api::request::fields::{FieldErrors, Fields, parsed, whole};
use crate::api::request::json_tree::Json;
use crate::domain;
use crate::domain::destination::{MAX_PER_ACCOUNT, Pause, PausedReason, SigningSecrets};
use crate::domain::export::{Export, ExportedAccount, ExportedDestination, ExportedTokens};
use crate::domain::ids::{AccountKey, IdSlot};
use crate::domain::network::NetworkPolicy;
use crate::domain::sealing::key::{SecretsKey, SecretsKeys};
use crate::domain::secret::{SigningSecret, TokenDigest};
use crate::domain::time::Timestamp;
use crate::domain::{ids, json};
use crate::error::{Error, FieldError, MAX_FIELD_ERRORS, Result};

/// What `format` says.
const FORMAT: &str = "data-pusher-export";

/// The version of a document with plain secrets.
const PLAIN_VERSION: u64 = 1;

/// The version of a document with sealed secrets. Both are read.
const SEALED_VERSION: u64 = 2;

#[derive(Serialize)]
struct Document {
    format: &'static str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_slot: Option<i64>,
    accounts: Vec<Account>,
}

#[derive(Serialize)]
struct Account {
    account_id: String,
    email: String,
    account_name: String,
    website: Option<String>,
    token_digest: String,
    token_hint: String,
    old_token_digest: Option<String>,
    old_token_until: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    destinations: Vec<serde_json::Value>,
}

/// What a destination has besides its settings.
#[derive(Serialize)]
struct DestinationSecrets {
    signing_secret: String,
    old_signing_secret: Option<String>,
    old_signing_secret_until: Option<Timestamp>,
}

/// Fields of a destination in responses that are not taken along: what attempts found out, and what other fields say.
const LEFT_OUT: [&str; 5] = ["account_id", "state", "held_until", "next_send_at", "failing_since"];

/// The document with these accounts, for people to read: a field a line. With a key the secrets of destinations are
/// sealed.
///
/// # Errors
/// Internal if a value cannot be written, which never happens.
pub fn write(export: Export, key: Option<&SecretsKey>) -> Result<String> {
    let mut accounts = export.accounts.into_iter().map(Account::try_from).collect::<Result<Vec<_>>>()?;
    if let Some(key) = key {
        let destinations = accounts.iter_mut().flat_map(|account| &mut account.destinations);
        destinations.filter_map(serde_json::Value::as_object_mut).for_each(|one| sealed_export::seal(one, key));
    }
    let version = if key.is_some() { SEALED_VERSION } else { PLAIN_VERSION };
    let id_slot = export.id_slot.map(IdSlot::number);
    let document = Document { format: FORMAT, version, id_slot, accounts };
    serde_json::to_string_pretty(&document).map(|text| text + "\n").map_err(unwritable)
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::internal(format!("the export cannot be written: {error}"))
}

impl TryFrom<ExportedAccount> for Account {
    type Error = Error;

    fn try_from(account: ExportedAccount) -> Result<Self> {
        let previous = account.tokens.previous;
        let destinations = account.destinations.into_iter().map(|found| destination_json(&account.id, found));
        Ok(Self {
            destinations: destinations.collect::<Result<_>>()?,
            account_id: account.id.to_string(),
            email: account.fields.email.to_string(),
            account_name: account.fields.name.to_string(),
            website: account.fields.website.map(|website| website.to_string()),
            token_digest: account.tokens.current.reveal(),
            token_hint: account.tokens.hint.to_string(),
            old_token_digest: previous.map(|(digest, _)| digest.reveal()),
            old_token_until: previous.map(|(_, until)| until),
            created_at: account.created_at,
            updated_at: account.updated_at,
        })
    }
}

/// A destination as a response shows it, with its secrets and without what is not taken along.
fn destination_json(account: &ids::AccountId, exported: ExportedDestination) -> Result<serde_json::Value> {
    let secrets = exported.secrets.clone();
    let whole = domain::destination::Destination {
        key: ids::DestinationKey(0),
        id: exported.id,
        account_key: AccountKey(0),
        account_id: account.clone(),
        fields: exported.fields,
        secrets: exported.secrets,
        pause: exported.pause,
        held_until: None,
        failing_since: None,
        created_at: exported.created_at,
        updated_at: exported.updated_at,
    };
    let mut value = serde_json::to_value(Destination::whole(whole, None)).map_err(unwritable)?;
    let previous = secrets.previous;
    let secrets = serde_json::to_value(DestinationSecrets {
        signing_secret: secrets.current.reveal(),
        old_signing_secret: previous.as_ref().map(|(secret, _)| secret.reveal()),
        old_signing_secret_until: previous.map(|(_, until)| until),
    });
    if let (Some(fields), serde_json::Value::Object(secrets)) = (value.as_object_mut(), secrets.map_err(unwritable)?) {
        fields.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
        fields.extend(secrets);
    }
    Ok(value)
}

/// Reads a document. `network` says at which addresses destinations may be, and `keys` of `reader` open secrets that are
/// sealed.
///
/// # Errors
/// Invalid, with every error and its place, such as `accounts[0].destinations[2].url`.
pub fn read(bytes: &[u8], network: &NetworkPolicy, keys: &SecretsKeys, reader: Reader) -> Result<Export> {
    // For bodies the message says what they are.
    let wrong =
        |message: String| Error::invalid(vec![FieldError::new("", message.replacen("The body", "The document", 1))]);
    json::check(bytes).map_err(wrong)?;
    let mut document: Json = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    check_format(&document)?;
    sealed_export::open(&mut document, keys, reader).map_err(Error::invalid)?;
    let mut fields = Fields::of(document, Vec::new())?;
    fields.required("format", |_| Ok(()));
    fields.required("version", |_| Ok(()));
    let id_slot = fields.optional("id_slot", id_slot);
    let accounts = fields.required("accounts", |value| objects(value, "accounts", |fields| account(fields, network)));
    let export = id_slot.zip(accounts).map(|(id_slot, accounts)| Export { id_slot, accounts });
    fields.finish(export)
}

fn id_slot(value: Json) -> std::result::Result<IdSlot, FieldErrors> {
    let number = whole(1, IdSlot::MAX.into())(value)?;
    i64::try_from(number).ok().and_then(IdSlot::new).ok_or_else(|| format!("must be 1 to {}", IdSlot::MAX).into())
}

/// Checks what the document is. Of another format or version nothing else is worth saying.
fn check_format(document: &Json) -> Result<()> {
    let member = |name: &str| match document {
        Json::Object(members) => members.iter().find(|(member, _)| member == name).map(|(_, value)| value.clone()),
        _ => None,
    };
    let wrong = |field: &str, message: String| Error::invalid(vec![FieldError::new(field, message)]);
    if member("format") != Some(Json::Text(FORMAT.to_owned())) {
        return Err(wrong("format", format!("must be {FORMAT}, as `data-pusher export` writes it")));
    }
    let version = member("version").unwrap_or(Json::Null);
    match whole(1, u64::MAX)(version) {
        Ok(PLAIN_VERSION | SEALED_VERSION) => Ok(()),
        Ok(version) => {
            let known = format!("{PLAIN_VERSION} and {SEALED_VERSION}");
            Err(wrong("version", format!("is {version}, and this program reads {known}; use that program's version")))
        }
        Err(_) => Err(wrong("version", format!("must be {PLAIN_VERSION} or {SEALED_VERSION}"))),
    }
}

fn account(fields: &mut Fields, network: &NetworkPolicy) -> Option<ExportedAccount> {
    let id = fields.required("account_id", parsed);
    let settings = account_fields(fields);
    let current = fields.required("token_digest", parsed::<TokenDigest>);
    let hint = fields.required("token_hint", parsed);
    let previous = pair(fields, "old_token_digest", "old_token_until");
    if let (Some(current), Some(Some((digest, _)))) = (&current, &previous)
        && digest == current
    {
        fields.add_error("old_token_digest", "must be another one than token_digest");
    }
    let created_at = fields.required("created_at", parsed);
    let updated_at = fields.required("updated_at", parsed);
    let destinations = fields.required("destinations", |value| {
        let all = objects(value, "destinations", |fields| destination(fields, network))?;
        let mut seen = HashSet::new();
        let twice = all.iter().enumerate().filter(|(_, destination)| !seen.insert(destination.id.as_str()));
        let twice = twice.map(|(place, _)| {
            FieldError::new(format!("destinations[{place}].destination_id"), "is given twice in this account")
        });
        let faults: Vec<FieldError> = twice.collect();
        if !faults.is_empty() {
            return Err(faults.into());
        }
        let fits = all.len() <= MAX_PER_ACCOUNT;
        fits.then_some(all).ok_or_else(|| format!("must be at most {MAX_PER_ACCOUNT}").into())
    });
    Some(ExportedAccount {
        id: id?,
        fields: settings?,
        tokens: ExportedTokens { current: current?, hint: hint?, previous: previous? },
        created_at: created_at?,
        updated_at: updated_at?,
        destinations: destinations?,
    })
}

fn destination(fields: &mut Fields, network: &NetworkPolicy) -> Option<ExportedDestination> {
    let id = fields.required("destination_id", parsed);
    let settings = destination_fields(fields, network);
    let current = fields.required("signing_secret", parsed::<SigningSecret>);
    let previous = pair(fields, "old_signing_secret", "old_signing_secret_until");
    let pause = pair::<PausedReason>(fields, "paused_reason", "paused_at");
    let created_at = fields.required("created_at", parsed);
    let updated_at = fields.required("updated_at", parsed);
    Some(ExportedDestination {
        id: id?,
        fields: settings?,
        secrets: SigningSecrets { current: current?, previous: previous? },
        pause: pause?.map(|(reason, at)| Pause { reason, at }),
        created_at: created_at?,
        updated_at: updated_at?,
    })
}

/// Reads a value and its time: both are given, or neither.
fn pair<T: std::str::FromStr<Err = String>>(
    fields: &mut Fields,
    value: &'static str,
    time: &'static str,
) -> Option<Option<(T, Timestamp)>> {
    let (given, at) = (fields.optional(value, parsed::<T>), fields.optional(time, parsed::<Timestamp>));
    match (given?, at?) {
        (Some(given), Some(at)) => Some(Some((given, at))),
        (None, None) => Some(None),
        (Some(_), None) => {
            fields.add_error(time, &format!("must be given with {value}"));
            None
        }
        (None, Some(_)) => {
            fields.add_error(value, &format!("must be given with {time}"));
            None
        }
    }
}

/// Reads an array of objects. Errors name the place of the object.
fn objects<T>(
    value: Json,
    name: &str,
    read: impl Fn(&mut Fields) -> Option<T>,
) -> std::result::Result<Vec<T>, FieldErrors> {
    let Json::Array(items) = value else { return Err("must be an array of objects".into()) };
    let (mut all, mut faults, mut left_out) = (Vec::with_capacity(items.len()), Vec::new(), 0);
    for (place, item) in items.into_iter().enumerate() {
        let one = Fields::of(item, Vec::new()).and_then(|mut fields| {
            let one = read(&mut fields);
            fields.finish(one)
        });
        match one {
            Ok(one) => all.push(one),
            Err(error) if faults.len() >= MAX_FIELD_ERRORS => left_out += error.field_errors().len(),
            Err(error) => faults.extend(error.field_errors().iter().map(|fault| {
                let dot = if fault.field.is_empty() { "" } else { "." };
                FieldError::new(format!("{name}[{place}]{dot}{}", fault.field), &fault.message)
            })),
        }
    }
    if left_out > 0 {
        left_out += faults.len() - (MAX_FIELD_ERRORS - 1);
        faults.truncate(MAX_FIELD_ERRORS - 1);
        faults.push(FieldError::new("", format!("There are {left_out} more faults than these.")));
    }
    if faults.is_empty() { Ok(all) } else { Err(faults.into()) }
}
