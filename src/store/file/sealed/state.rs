//! What a file says of its sealing: whether secrets are sealed, by which key, and whether that is complete. It decides,
//! before anything is changed, whether the keys that were given are the right ones.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::domain::sealing::key::{KeyId, SecretsKey, SecretsKeys};
use crate::domain::sealing::value::{self, Place};
use crate::error::Result;
use crate::store::file::error::explain;
use crate::store::file::held::HeldFile;
use crate::store::file::sealed::ids::{Ids, named};
use crate::store::file::start;

/// What a key check opens to. Only whether it opens counts.
const CHECKED: &[u8] = b"data-pusher";

/// Where a key check belongs.
const PLACE: Place<'_> = Place { owner: "sealing", column: "key_check" };

/// The row of a file whose secrets are sealed, at least in part.
#[derive(Debug, Clone)]
pub struct Sealing {
    key_check: Vec<u8>,
    old_key_check: Option<Vec<u8>>,
    /// Whether nothing is left that is plain, or sealed by the key before.
    pub complete: bool,
}

/// How a file and the keys that were given go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Nothing is sealed, and there is no key.
    Plain,
    /// Nothing is sealed yet, and there is a key.
    ToBeSealed,
    /// The current key is the file's.
    Sealed,
    /// The current key is the file's once a rotation is complete. The key before it was given too.
    Rotating,
    /// The file's key is the one that was given as the key before.
    ToBeRotated,
    /// It is sealed, and no key was given.
    NoKey,
    /// It is sealed with another key.
    OtherKey,
    /// A rotation has begun, and only one of its two keys was given.
    Unfinished,
}

impl Fit {
    /// Why a server cannot use the file, and what to do. `None` if it can.
    pub fn refusal(self, ids: &Ids) -> Option<String> {
        match self {
            Self::Plain | Self::ToBeSealed | Self::Sealed => None,
            Self::NoKey if ids.before.is_some() => Some(ids.unfinished()),
            Self::NoKey => {
                Some(format!("its secrets are sealed with {}; give the key with --secrets-key-file", named(ids.needed)))
            }
            Self::OtherKey | Self::ToBeRotated => Some(format!(
                "its secrets are sealed with another key than that of --secrets-key-file: they need {}, and {} was given; \
                 data-pusher key id FILE says which key a file holds",
                named(ids.needed),
                named(ids.current)
            )),
            Self::Unfinished | Self::Rotating => Some(ids.unfinished()),
        }
    }
}

impl Sealing {
    /// The key that the file needs. `None` if the row is damaged.
    pub fn key(&self) -> Option<KeyId> {
        value::key_id(&self.key_check)
    }

    /// The key that the file needs too, until the rotation from it is complete.
    pub fn key_before(&self) -> Option<KeyId> {
        value::key_id(self.old_key_check.as_ref()?)
    }

    fn fit(&self, keys: &SecretsKeys) -> Fit {
        let opens = |check: &Vec<u8>, key: Option<&SecretsKey>| {
            let keys = SecretsKeys::new(key.cloned());
            value::open(&keys, PLACE, check).is_some_and(|opened| opened.as_slice() == CHECKED)
        };
        let (current, previous) = (keys.current(), keys.previous());
        let is = |key| opens(&self.key_check, key);
        match &self.old_key_check {
            _ if current.is_none() => Fit::NoKey,
            None if is(current) => Fit::Sealed,
            None if is(previous) => Fit::ToBeRotated,
            None => Fit::OtherKey,
            Some(old) if is(current) && opens(old, previous) => Fit::Rotating,
            Some(old) if is(current) || opens(old, current) || opens(old, previous) => Fit::Unfinished,
            Some(_) => Fit::OtherKey,
        }
    }
}

/// Reads the row. `None` if nothing is sealed; a file of an earlier version has no such table.
///
/// # Errors
/// Those of SQLite.
pub fn read(connection: &Connection) -> rusqlite::Result<Option<Sealing>> {
    let has_table = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'sealing'";
    if connection.query_row(has_table, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(None);
    }
    let row = "SELECT key_check, old_key_check, complete FROM sealing";
    connection
        .query_row(row, [], |row| {
            Ok(Sealing { key_check: row.get(0)?, old_key_check: row.get(1)?, complete: row.get(2)? })
        })
        .optional()
}

/// How the file of `connection` and `keys` go together.
///
/// # Errors
/// Those of SQLite.
pub fn fit(connection: &Connection, keys: &SecretsKeys) -> rusqlite::Result<Fit> {
    fit_and_ids(connection, keys).map(|(fit, _)| fit)
}

/// The same, with the ids of all keys.
///
/// # Errors
/// Those of SQLite.
pub fn fit_and_ids(connection: &Connection, keys: &SecretsKeys) -> rusqlite::Result<(Fit, Ids)> {
    let sealing = read(connection)?;
    let fit = match &sealing {
        None => unsealed(keys),
        Some(sealing) => sealing.fit(keys),
    };
    Ok((fit, Ids::of(sealing.as_ref().and_then(Sealing::key), sealing.as_ref().and_then(Sealing::key_before), keys)))
}

fn unsealed(keys: &SecretsKeys) -> Fit {
    if keys.current().is_some() { Fit::ToBeSealed } else { Fit::Plain }
}

/// The same for a file that is held, before it is opened for writing. Nothing is changed: neither the file nor a log
/// beside it. A file that cannot be read is left to the opening, which says why.
///
/// # Errors
/// Another program has locked the file for too long.
pub fn fit_of_held(held: &HeldFile, keys: &SecretsKeys) -> Result<(Fit, Ids)> {
    match look_at_held(held, keys) {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
            Err(explain(held.path(), &error))
        }
        looked => Ok(looked.unwrap_or((unsealed(keys), Ids::of(None, None, keys)))),
    }
}

/// The same, where a file that cannot be read must not be taken for a plain one.
///
/// # Errors
/// Says in one line why it cannot be read.
pub fn sure_fit_of_held(held: &HeldFile, keys: &SecretsKeys) -> Result<(Fit, Ids)> {
    look_at_held(held, keys).map_err(|error| explain(held.path(), &error))
}

fn look_at_held(held: &HeldFile, keys: &SecretsKeys) -> rusqlite::Result<(Fit, Ids)> {
    if held.raw().length().unwrap_or(0) == 0 {
        return Ok((unsealed(keys), Ids::of(None, None, keys)));
    }
    look(held.path(), keys)
}

fn look(path: &Path, keys: &SecretsKeys) -> rusqlite::Result<(Fit, Ids)> {
    let log = crate::store::file::companions::sibling_path(path, "-wal");
    let has_log = log.metadata().is_ok_and(|meta| meta.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(start::wait))?;
    // The end of the last connection would move a log into the file. Where there was none, it removes what this
    // connection has made.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    fit_and_ids(&connection, keys)
}

/// Writes that sealing with the current key has begun. `from` is the key before, in a rotation.
///
/// # Errors
/// Those of SQLite.
pub fn begin(connection: &Connection, current: &SecretsKey, from: Option<&SecretsKey>) -> rusqlite::Result<()> {
    let check = |key: &SecretsKey| value::seal(key, PLACE, CHECKED);
    connection
        .execute(
            "INSERT INTO sealing (id, key_check, old_key_check, complete) VALUES (1, ?1, ?2, 0)
             ON CONFLICT (id) DO UPDATE SET key_check = ?1, old_key_check = ?2, complete = 0",
            (check(current), from.map(check)),
        )
        .map(drop)
}

/// Writes that sealing is complete: from now on the key before is not needed.
///
/// # Errors
/// Those of SQLite.
pub fn complete(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE sealing SET complete = 1, old_key_check = NULL", []).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Connection {
        let file = Connection::open_in_memory().unwrap();
        file.execute_batch(crate::store::file::schema::SCHEMA).unwrap();
        file
    }

    #[test]
    fn only_the_right_keys_fit() {
        let (a, b, c) = (SecretsKey::generate(), SecretsKey::generate(), SecretsKey::generate());
        let one = |key: &SecretsKey| SecretsKeys::new(Some(key.clone()));
        let two = |new: &SecretsKey, old: &SecretsKey| SecretsKeys::rotating(new.clone(), old.clone());
        let (none, file) = (SecretsKeys::default(), file());
        let fit = |keys: &SecretsKeys| fit(&file, keys).unwrap();
        assert_eq!([fit(&none), fit(&one(&a))], [Fit::Plain, Fit::ToBeSealed]);
        begin(&file, &a, None).unwrap();
        for _ in ["while it is sealed", "and then"] {
            assert_eq!([fit(&none), fit(&one(&a)), fit(&one(&b))], [Fit::NoKey, Fit::Sealed, Fit::OtherKey]);
            assert_eq!([fit(&two(&b, &a)), fit(&two(&b, &c))], [Fit::ToBeRotated, Fit::OtherKey]);
            complete(&file).unwrap();
        }
        begin(&file, &b, Some(&a)).unwrap();
        assert_eq!([fit(&none), fit(&one(&a)), fit(&one(&b))], [Fit::NoKey, Fit::Unfinished, Fit::Unfinished]);
        assert_eq!([fit(&two(&b, &a)), fit(&two(&a, &b))], [Fit::Rotating, Fit::Unfinished]);
        assert_eq!([fit(&one(&c)), fit(&two(&c, &a))], [Fit::OtherKey, Fit::Unfinished]);
        complete(&file).unwrap();
        assert_eq!([fit(&one(&b)), fit(&one(&a)), fit(&two(&b, &a))], [Fit::Sealed, Fit::OtherKey, Fit::Sealed]);
    }

    #[test]
    fn a_refusal_names_the_keys_that_the_file_needs_and_those_that_were_given() {
        let [a, b, c] = [(); 3].map(|()| SecretsKey::generate());
        let file = file();
        let why = |keys: SecretsKeys| {
            let (fit, ids) = fit_and_ids(&file, &keys).unwrap();
            fit.refusal(&ids).unwrap()
        };
        let names = |text: &str| [&a, &b, &c].map(|key| text.contains(&key.id().to_string()));
        begin(&file, &a, None).unwrap();
        assert_eq!(names(&why(SecretsKeys::default())), [true, false, false]);
        assert_eq!(names(&why(SecretsKeys::new(Some(c.clone())))), [true, false, true]);
        begin(&file, &b, Some(&a)).unwrap();
        for key in [None, Some(&a), Some(&b)] {
            let text = why(SecretsKeys::new(key.cloned()));
            assert!(names(&text) == [true, true, false] && text.contains("key rotate"), "{text}");
        }
        file.execute("UPDATE sealing SET key_check = x'00', old_key_check = NULL", []).unwrap();
        assert!(why(SecretsKeys::default()).contains("an unknown key"));
    }

    #[test]
    fn a_file_of_an_earlier_version_is_plain() {
        let file = Connection::open_in_memory().unwrap();
        assert_eq!(fit(&file, &SecretsKeys::default()).unwrap(), Fit::Plain);
    }
}
