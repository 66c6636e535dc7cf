//! Reads rows into domain values. All values were valid when they were written, so a value that cannot be read means a
//! damaged file. Business rules do not belong here.

use std::str::FromStr;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use crate::domain::account::{Account, AccountName, Email, Website};
use crate::domain::conditions::Conditions;
use crate::domain::delivery::{Delivery, DeliveryState, LoggedAttempt, LoggedBody};
use crate::domain::destination::{Destination, DestinationFields, HttpMethod, Pause, PausedReason, SigningSecrets};
use crate::domain::event_type::{EventType, EventTypePatterns};
use crate::domain::filter::Filter;
use crate::domain::headers::Headers;
use crate::domain::ids::{AccountId, AccountKey, DeliveryId, DestinationId, DestinationKey, EventId};
use crate::domain::manual_action::{ManualAction, ManualActionKind};
use crate::domain::retry::RetrySchedule;
use crate::domain::sealing::value::TEXT_PREFIX;
use crate::domain::secret::SigningSecret;
use crate::domain::target_url::TargetUrl;
use crate::domain::template::{Template, TemplateKind};
use crate::domain::templates::{HeaderTemplates, Templates};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::error::sql;
use crate::store::memory::Memory;

/// Bytes of a signing secret.
const SECRET_BYTES: usize = 32;

/// Columns that [`account`] reads.
pub const ACCOUNT: &str = "key, account_id, email, name, website, token_hint, created_at, updated_at";

/// Columns that [`destination`] reads, of `destination d JOIN account a`. Secrets are opened where they are sealed.
pub const DESTINATION: &str = "d.key, d.destination_id, a.key, a.account_id, d.url, d.http_method,
    unseal(d.headers, d.destination_id, 'headers'), d.retry_schedule, d.timeout_ms, d.max_concurrency,
    unseal(d.secret, d.destination_id, 'secret'), unseal(d.old_secret, d.destination_id, 'old_secret'),
    d.old_secret_until, d.paused_reason, d.paused_at, d.held_until, d.failing_since, d.created_at, d.updated_at,
    d.rate_limit, d.ordering, d.on_exhausted, d.event_types, d.filter, d.body_template,
    unseal(d.header_templates, d.destination_id, 'header_templates')";

/// Columns that [`delivery`] reads, of the tables in [`DELIVERY_TABLES`].
pub const DELIVERY: &str = "v.id, v.event_id, d.destination_id, a.account_id, v.state, v.attempt_count, v.status_code,
    v.error, v.next_attempt_at, e.received_at, v.last_attempt_at, t.name";

/// The tables of [`DELIVERY`]. `CROSS JOIN` fixes their order, so that SQLite starts with the delivery. Rows of deleted
/// accounts and destinations are hidden.
pub const DELIVERY_TABLES: &str = "delivery v
    CROSS JOIN event e ON e.id = v.event_id
    CROSS JOIN destination d ON d.key = v.destination_key AND d.deleted_at IS NULL
    CROSS JOIN account a ON a.key = d.account_key AND a.deleted_at IS NULL
    LEFT JOIN event_type t ON t.event_id = v.event_id";

/// Returns all rows of a query.
pub fn all<T>(
    connection: &Connection,
    query: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut prepared = connection.prepare_cached(query).map_err(sql)?;
    let rows = prepared.query_map(params, read).map_err(sql)?;
    rows.collect::<rusqlite::Result<_>>().map_err(sql)
}

/// Returns the first row of a query, or `None`.
pub fn first<T>(
    connection: &Connection,
    query: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    connection.prepare_cached(query).and_then(|mut prepared| prepared.query_row(params, read).optional()).map_err(sql)
}

/// Returns the value that a column was parsed into. `None` means that the file is damaged, and becomes an error with
/// the column's number and type.
fn parsed<T>(row: &Row<'_>, column: usize, value: Option<T>) -> rusqlite::Result<T> {
    value.ok_or_else(|| {
        let kind = row.get_ref(column).map_or(rusqlite::types::Type::Null, |value| value.data_type());
        rusqlite::Error::FromSqlConversionFailure(column, kind, "not a value of this program".into())
    })
}

/// Reads a column of milliseconds since 1970.
pub fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// Reads a column of milliseconds since 1970, or NULL.
pub fn time_or_null(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// Reads a column with the text of a `T`.
pub fn word<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    parsed(row, column, row.get_ref(column)?.as_str()?.parse().ok())
}

/// Reads a column with the text of a `T`, or NULL.
fn word_or_null<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    if row.get_ref(column)? == ValueRef::Null { Ok(None) } else { word(row, column).map(Some) }
}

/// Reads a column with the type of an event, or NULL.
pub fn event_type(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<EventType>> {
    Ok(row.get_ref(column)?.as_str_or_null()?.map(EventType::from_stored))
}

/// Reads two columns with a destination's event types and filter.
pub fn conditions(row: &Row<'_>, first: usize) -> rusqlite::Result<Conditions> {
    let event_types = match row.get_ref(first)?.as_str_or_null()? {
        Some(text) => Some(parsed(row, first, EventTypePatterns::from_json(text))?),
        None => None,
    };
    let filter = match row.get_ref(first + 1)?.as_str_or_null()? {
        Some(text) => Some(parsed(row, first + 1, Filter::parse(text).ok())?),
        None => None,
    };
    Ok(Conditions { event_types, filter })
}

/// Reads two columns with a destination's templates. They are compiled when they are first used. Templates of headers
/// that did not open are left out.
fn templates(row: &Row<'_>, first: usize) -> rusqlite::Result<Templates> {
    let body = row.get_ref(first)?.as_str_or_null()?;
    let headers = row.get_ref(first + 1)?.as_str_or_null().unwrap_or_default();
    Ok(Templates {
        body: body.map(|source| Template::from_stored(source, TemplateKind::Body)),
        headers: headers.map(HeaderTemplates::from_json).unwrap_or_default(),
    })
}

/// Reads a column with the HTTP method of a destination.
pub fn method(row: &Row<'_>, column: usize) -> rusqlite::Result<HttpMethod> {
    parsed(row, column, row.get::<_, String>(column)?.parse().ok())
}

/// Reads a row of [`ACCOUNT`].
pub fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        key: AccountKey(row.get(0)?),
        id: AccountId::from_stored(row.get(1)?),
        email: Email::from_stored(row.get(2)?),
        name: AccountName::from_stored(row.get(3)?),
        website: row.get::<_, Option<String>>(4)?.map(Website::from_stored),
        token_hint: row.get(5)?,
        created_at: time(row, 6)?,
        updated_at: time(row, 7)?,
    })
}

/// Whether a column of [`DESTINATION`] is a secret that did not open: sealed with another key, changed, or moved here.
fn is_unopened(row: &Row<'_>, column: usize) -> rusqlite::Result<bool> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(text) => text.starts_with(TEXT_PREFIX.as_bytes()),
        ValueRef::Blob(bytes) => bytes.len() != SECRET_BYTES,
        _ => false,
    })
}

/// Reads a column with a signing secret, or NULL. One that did not open becomes a random one, which signs nothing.
fn secret(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<SigningSecret>> {
    if is_unopened(row, column)? {
        return Ok(Some(SigningSecret::generate()));
    }
    Ok(row.get::<_, Option<[u8; SECRET_BYTES]>>(column)?.map(SigningSecret::from_bytes))
}

/// Reads a row of [`DESTINATION`]. One with a secret that did not open is paused, for as long as that is so: nothing may
/// be sent without its headers, or with a wrong signature.
pub fn destination(row: &Row<'_>) -> rusqlite::Result<Destination> {
    let mut unopened = false;
    for column in [6, 10, 11, 25] {
        unopened |= is_unopened(row, column)?;
    }
    let headers = row.get_ref(6)?.as_str().unwrap_or_default();
    let schedule: Option<String> = row.get(7)?;
    let reason: Option<String> = row.get(13)?;
    let pause = match reason {
        _ if unopened => Some(Pause { reason: PausedReason::SecretsUnreadable, at: time(row, 18)? }),
        Some(reason) => Some(Pause { reason: parsed(row, 13, reason.parse().ok())?, at: time(row, 14)? }),
        None => None,
    };
    let previous = match secret(row, 11)? {
        Some(secret) => Some((secret, time(row, 12)?)),
        None => None,
    };
    Ok(Destination {
        key: DestinationKey(row.get(0)?),
        id: DestinationId::from_stored(row.get(1)?),
        account_key: AccountKey(row.get(2)?),
        account_id: AccountId::from_stored(row.get(3)?),
        fields: DestinationFields {
            url: TargetUrl::from_stored(row.get(4)?),
            method: method(row, 5)?,
            headers: Headers::from_json(headers),
            retry_schedule: match schedule {
                Some(text) => Some(parsed(row, 7, RetrySchedule::parse(&text).ok())?),
                None => None,
            },
            timeout: row.get::<_, Option<u64>>(8)?.map(Duration::from_millis),
            max_concurrency: row.get(9)?,
            rate_limit: word_or_null(row, 19)?,
            ordering: word(row, 20)?,
            on_exhausted: word(row, 21)?,
            conditions: conditions(row, 22)?,
            templates: templates(row, 24)?,
        },
        secrets: SigningSecrets { current: parsed(row, 10, secret(row, 10)?)?, previous },
        pause,
        held_until: time_or_null(row, 15)?,
        failing_since: time_or_null(row, 16)?,
        created_at: time(row, 17)?,
        updated_at: time(row, 18)?,
    })
}

/// Reads a row of [`DELIVERY`]. Due times are stored on the engine clock and returned on the wall clock.
pub fn delivery(row: &Row<'_>, memory: &Memory) -> rusqlite::Result<Delivery> {
    let state = parsed(row, 4, DeliveryState::from_code(row.get(4)?))?;
    let error: Option<String> = row.get(7)?;
    let created_at = time(row, 9)?;
    let last_attempt_at = time_or_null(row, 10)?;
    let due: i64 = row.get(8)?;
    let next_attempt_at = (state == DeliveryState::Pending).then(|| match due {
        0 => last_attempt_at.unwrap_or(created_at),
        due => memory.to_wall_time(Timestamp::from_millis(due)),
    });
    Ok(Delivery {
        id: DeliveryId(row.get(0)?),
        event_id: EventId(row.get(1)?),
        destination_id: DestinationId::from_stored(row.get(2)?),
        account_id: AccountId::from_stored(row.get(3)?),
        event_type: event_type(row, 11)?,
        state,
        attempt_count: row.get(5)?,
        status_code: row.get(6)?,
        error: match error {
            Some(word) => Some(parsed(row, 7, word.parse().ok())?),
            None => None,
        },
        next_attempt_at,
        created_at,
        last_attempt_at,
    })
}

/// Reads an attempt from the columns `number, at, duration_ms, status_code, error, detail, body, body_truncated`, and
/// from the body that a template made and whether that was longer.
pub fn attempt(row: &Row<'_>) -> rusqlite::Result<LoggedAttempt> {
    let error: Option<String> = row.get(4)?;
    Ok(LoggedAttempt {
        number: row.get(0)?,
        at: time(row, 1)?,
        duration: Duration::from_millis(row.get(2)?),
        status_code: row.get(3)?,
        error: match error {
            Some(word) => Some(parsed(row, 4, word.parse().ok())?),
            None => None,
        },
        detail: row.get(5)?,
        body: row.get(6)?,
        body_truncated: row.get(7)?,
        made_body: match row.get(8)? {
            Some(bytes) => Some(LoggedBody { bytes, truncated: row.get(9)? }),
            None => None,
        },
    })
}

/// Reads a manual action from the columns `at, action`.
pub fn manual_action(row: &Row<'_>) -> rusqlite::Result<ManualAction> {
    Ok(ManualAction { at: time(row, 0)?, action: parsed(row, 1, ManualActionKind::from_code(row.get(1)?))? })
}
