//! Values that only the domain can read. They were valid when they were written, though later rules may be stricter: what
//! counts is whether the server can still read them.

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row};

use super::fault::{Faults, Many, RESTORE};
use crate::domain::account::Email;
use crate::domain::destination::{DeliveryOrder, HttpMethod, MAX_CONCURRENCY, MAX_TIMEOUT, OnExhausted, PausedReason};
use crate::domain::event_type::EventTypePatterns;
use crate::domain::filter::Filter;
use crate::domain::ids::{AccountId, DestinationId, EventId};
use crate::domain::json;
use crate::domain::rate::Rate;
use crate::domain::retry::RetrySchedule;
use crate::domain::target_url::TargetUrl;
use crate::domain::template::{Template, TemplateKind};
use crate::store::operations::sealing::{COLUMNS as SECRETS, is_sealed};

/// Length of digests and secrets, in bytes.
const KEY_BYTES: usize = 32;

/// What to do where a setting cannot be read.
const SET_AGAIN: &str = "set it again through the API, or restore a backup: data-pusher restore";

fn text<'a>(row: &'a Row<'_>, column: usize) -> Option<&'a str> {
    row.get_ref(column).ok()?.as_str().ok()
}

fn is_null(row: &Row<'_>, column: usize) -> bool {
    row.get_ref(column).is_ok_and(|value| value == ValueRef::Null)
}

/// Whether a column holds a text that `reads` accepts.
fn reads(row: &Row<'_>, column: usize, reads: impl FnOnce(&str) -> bool) -> bool {
    text(row, column).is_some_and(reads)
}

/// The same, or NULL.
fn reads_or_null(row: &Row<'_>, column: usize, reads: impl FnOnce(&str) -> bool) -> bool {
    is_null(row, column) || self::reads(row, column, reads)
}

fn is_key(row: &Row<'_>, column: usize) -> bool {
    row.get_ref(column).is_ok_and(|value| value.as_blob().is_ok_and(|bytes| bytes.len() == KEY_BYTES))
}

fn is_within(row: &Row<'_>, column: usize, least: i64, most: i64) -> bool {
    is_null(row, column) || row.get::<_, i64>(column).is_ok_and(|number| (least..=most).contains(&number))
}

fn is_object_of_strings(text: &str) -> bool {
    let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(text);
    object.is_ok_and(|object| object.values().all(serde_json::Value::is_string))
}

fn are_header_templates(text: &str) -> bool {
    let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(text);
    let compiles = |value: &serde_json::Value| {
        value.as_str().is_some_and(|source| Template::parse(source, TemplateKind::Header).is_ok())
    };
    object.is_ok_and(|object| object.values().all(compiles))
}

/// Ids, digests and addresses of accounts.
pub fn accounts(connection: &Connection, faults: &mut Faults) -> rusqlite::Result<()> {
    let (mut ids, mut digests, mut folded) = (Many::default(), Many::default(), Many::default());
    // An address keeps the form of an earlier version where the present form is taken.
    let mut is_taken = connection
        .prepare("SELECT count(*) FROM account WHERE email_folded = ?1 AND deleted_at IS NULL AND key <> ?2")?;
    let mut accounts = connection
        .prepare("SELECT key, account_id, email, email_folded, token_digest, old_token_digest FROM account")?;
    let mut rows = accounts.query([])?;
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        let name = || text(row, 1).unwrap_or_default().escape_debug().to_string();
        if !reads(row, 1, |id| id.parse::<AccountId>().is_ok()) {
            ids.add(|| format!("key {key}"));
        }
        if !is_key(row, 4) || !is_null(row, 5) && !is_key(row, 5) {
            digests.add(name);
        }
        let fold = Email::from_stored(text(row, 2).unwrap_or_default().to_owned()).folded();
        if text(row, 3) != Some(fold.as_str()) && is_taken.query_row((&fold, key), |row| row.get::<_, i64>(0))? == 0 {
            folded.add(name);
        }
    }
    faults.add_many("account_id", "accounts without a valid id", &ids, RESTORE);
    faults.add_many("token_digest", "accounts whose token has no valid digest", &digests, "rotate their tokens");
    let advice = "set their e-mail addresses again through the API";
    faults.add_many(
        "email_folded",
        "accounts whose e-mail address is not the one that is kept unique",
        &folded,
        advice,
    );
    Ok(())
}

/// A column as a query reads it: secrets are opened, if there is a key.
fn opened(column: &str) -> String {
    match SECRETS.contains(&column) {
        true => format!("unseal({column}, destination_id, '{column}')"),
        false => column.to_owned(),
    }
}

/// Whether a secret is sealed, or did not open, of which `secrets.rs` says more.
fn is_closed(row: &Row<'_>, column: usize) -> bool {
    row.get_ref(column).is_ok_and(|value| is_sealed(value) || matches!(value, ValueRef::Blob([])))
}

/// A column of a destination, and whether its value can be read.
type Column = (&'static str, fn(&Row<'_>, usize) -> bool);

/// Columns of a destination whose values have rules.
const COLUMNS: [Column; 16] = [
    ("destination_id", |row, at| reads(row, at, |id| id.parse::<DestinationId>().is_ok())),
    ("url", |row, at| reads(row, at, TargetUrl::is_readable)),
    ("http_method", |row, at| reads(row, at, |word| word.parse::<HttpMethod>().is_ok())),
    ("headers", |row, at| is_closed(row, at) || reads(row, at, is_object_of_strings)),
    ("retry_schedule", |row, at| reads_or_null(row, at, |text| RetrySchedule::parse(text).is_ok())),
    ("timeout_ms", |row, at| is_within(row, at, 1, i64::try_from(MAX_TIMEOUT.as_millis()).unwrap_or(i64::MAX))),
    ("max_concurrency", |row, at| is_within(row, at, 1, i64::from(MAX_CONCURRENCY))),
    ("secret", |row, at| is_closed(row, at) || is_key(row, at)),
    ("old_secret", |row, at| is_closed(row, at) || is_null(row, at) || is_key(row, at)),
    ("paused_reason", |row, at| reads_or_null(row, at, |word| word.parse::<PausedReason>().is_ok())),
    ("event_types", |row, at| reads_or_null(row, at, |text| EventTypePatterns::from_json(text).is_some())),
    ("filter", |row, at| reads_or_null(row, at, |text| Filter::parse(text).is_ok())),
    ("body_template", |row, at| reads_or_null(row, at, |text| Template::parse(text, TemplateKind::Body).is_ok())),
    ("header_templates", |row, at| is_closed(row, at) || reads_or_null(row, at, are_header_templates)),
    ("rate_limit", |row, at| reads_or_null(row, at, |text| Rate::parse(text).is_ok())),
    ("ordering", |row, at| reads(row, at, |word| word.parse::<DeliveryOrder>().is_ok())),
];

/// Settings of destinations. A value is never shown, since it may hold a secret.
pub fn destinations(connection: &Connection, faults: &mut Faults) -> rusqlite::Result<()> {
    let names: Vec<String> = COLUMNS.iter().map(|(name, _)| opened(name)).collect();
    let query = format!(
        "SELECT {}, on_exhausted, paused_reason IS NOT NULL AND paused_at IS NULL,
         old_secret IS NOT NULL AND old_secret_until IS NULL, key FROM destination",
        names.join(", ")
    );
    let mut wrong = vec![Many::default(); COLUMNS.len()];
    let (mut exhausted, mut times) = (Many::default(), Many::default());
    let mut destinations = connection.prepare(&query)?;
    let mut rows = destinations.query([])?;
    let after = COLUMNS.len();
    while let Some(row) = rows.next()? {
        let name = || match text(row, 0) {
            Some(id) => id.escape_debug().to_string(),
            None => format!("key {}", row.get::<_, i64>(after + 3).unwrap_or_default()),
        };
        for (at, (_, is_right)) in COLUMNS.iter().enumerate() {
            if !is_right(row, at) {
                wrong[at].add(name);
            }
        }
        if !reads(row, after, |word| word.parse::<OnExhausted>().is_ok()) {
            exhausted.add(name);
        }
        if row.get(after + 1)? || row.get(after + 2)? {
            times.add(name);
        }
    }
    for ((column, _), many) in COLUMNS.iter().zip(&wrong) {
        faults.add_many("destination", &format!("destinations whose {column} cannot be read"), many, SET_AGAIN);
    }
    faults.add_many("destination", "destinations whose on_exhausted cannot be read", &exhausted, SET_AGAIN);
    faults.add_many("destination_time", "destinations whose pause or old secret has no time", &times, SET_AGAIN);
    Ok(())
}

/// Whether each document is still one of JSON. SQLite has no checksums, so nothing else shows that bytes of a document
/// have changed.
pub fn documents(connection: &Connection, faults: &mut Faults) -> rusqlite::Result<()> {
    let mut wrong = Many::default();
    let mut events = connection.prepare("SELECT id, payload FROM event")?;
    let mut rows = events.query([])?;
    while let Some(row) = rows.next()? {
        let id = EventId(row.get(0)?);
        let bytes = row.get_ref(1)?;
        let is_json = bytes.data_type() == Type::Blob && bytes.as_blob().is_ok_and(|bytes| json::check(bytes).is_ok());
        if !is_json {
            wrong.add(|| id.to_string());
        }
    }
    faults.add_many("document", "events whose document is not JSON any more", &wrong, RESTORE);
    Ok(())
}
