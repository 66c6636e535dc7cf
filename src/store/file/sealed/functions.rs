//! Functions that seal and open values inside a query. So every reader of a column opens it in the same way, and only the
//! connection has to know the keys.

use std::sync::Arc;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error};

use crate::domain::sealing::key::SecretsKeys;
use crate::domain::sealing::value::{self, Place};

/// Bytes of a secret that is no text. A sealed one is longer.
const PLAIN_BYTES: usize = 32;

/// Adds two functions to a connection. Both take a value, the id of its owner, and the name of its column. NULL stays
/// NULL.
///
/// - `seal` seals a text or bytes. Without keys the value stays plain.
/// - `unseal` opens what `seal` made. A plain value stays as it is. Without keys a sealed value stays as it is too. A
///   value that does not open becomes an empty blob, which no column holds otherwise.
///
/// # Errors
/// Those of SQLite.
pub fn install(connection: &Connection, keys: &Arc<SecretsKeys>) -> rusqlite::Result<()> {
    // Nothing in the schema of a file may call them.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let (to_seal, to_open) = (Arc::clone(keys), Arc::clone(keys));
    connection.create_scalar_function("seal", 3, flags, move |call| seal(call, &to_seal))?;
    connection.create_scalar_function("unseal", 3, flags, move |call| unseal(call, &to_open))
}

fn place<'a>(call: &'a Context<'_>) -> rusqlite::Result<Place<'a>> {
    Ok(Place { owner: call.get_raw(1).as_str()?, column: call.get_raw(2).as_str()? })
}

fn seal(call: &Context<'_>, keys: &SecretsKeys) -> rusqlite::Result<Value> {
    let given = call.get_raw(0);
    let Some(key) = keys.current() else { return Ok(given.try_into()?) };
    match given {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Text(_) => Ok(Value::Text(value::seal_text(key, place(call)?, given.as_str()?))),
        ValueRef::Blob(plain) => Ok(Value::Blob(value::seal(key, place(call)?, plain))),
        _ => Err(Error::InvalidFunctionParameterType(0, given.data_type())),
    }
}

fn unseal(call: &Context<'_>, keys: &SecretsKeys) -> rusqlite::Result<Value> {
    let given = call.get_raw(0);
    let is_plain = match given {
        ValueRef::Text(_) => !value::is_sealed_text(given.as_str()?),
        ValueRef::Blob(bytes) => bytes.len() <= PLAIN_BYTES,
        _ => true,
    };
    if is_plain || keys.current().is_none() {
        return Ok(given.try_into()?);
    }
    let place = place(call)?;
    let opened = match given {
        ValueRef::Text(_) => value::open_text(keys, place, given.as_str()?).map(|text| Value::Text(text.to_string())),
        ValueRef::Blob(sealed) => value::open(keys, place, sealed).map(|bytes| Value::Blob(bytes.to_vec())),
        _ => None,
    };
    Ok(opened.unwrap_or(Value::Blob(Vec::new())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sealing::key::SecretsKey;

    fn connection(keys: SecretsKeys) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        install(&connection, &Arc::new(keys)).unwrap();
        connection
    }

    fn one(connection: &Connection, query: &str) -> Value {
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn texts_and_bytes_open_at_their_place_and_nowhere_else() {
        let file = connection(SecretsKeys::new(Some(SecretsKey::generate())));
        assert_eq!(one(&file, "SELECT unseal(seal('{}', 'a', 'h'), 'a', 'h')"), Value::Text("{}".to_owned()));
        assert_eq!(one(&file, "SELECT unseal(seal(zeroblob(32), 'a', 's'), 'a', 's')"), Value::Blob(vec![0; 32]));
        for moved in ["unseal(seal('{}', 'a', 'h'), 'b', 'h')", "unseal(seal(zeroblob(32), 'a', 's'), 'a', 't')"] {
            assert_eq!(one(&file, &format!("SELECT {moved}")), Value::Blob(Vec::new()), "{moved}");
        }
    }

    #[test]
    fn plain_values_and_null_stay_as_they_are() {
        for keys in [SecretsKeys::default(), SecretsKeys::new(Some(SecretsKey::generate()))] {
            let file = connection(keys);
            assert_eq!(one(&file, "SELECT unseal('{}', 'a', 'h')"), Value::Text("{}".to_owned()));
            assert_eq!(one(&file, "SELECT unseal(zeroblob(32), 'a', 's')"), Value::Blob(vec![0; 32]));
            assert_eq!(one(&file, "SELECT unseal(NULL, 'a', 's')"), Value::Null);
            assert_eq!(one(&file, "SELECT seal(NULL, 'a', 's')"), Value::Null);
        }
        let file = connection(SecretsKeys::default());
        assert_eq!(one(&file, "SELECT seal('{}', 'a', 'h')"), Value::Text("{}".to_owned()));
        assert_eq!(one(&file, "SELECT unseal('sealed:AAAA', 'a', 'h')"), Value::Text("sealed:AAAA".to_owned()));
    }

    #[test]
    fn the_schema_of_a_file_cannot_call_them() {
        let file = connection(SecretsKeys::new(Some(SecretsKey::generate())));
        file.execute_batch("CREATE VIEW v AS SELECT unseal('sealed:AAAA', 'a', 'h')").unwrap();
        assert!(file.query_row("SELECT * FROM v", [], |_| Ok(())).is_err());
    }
}
