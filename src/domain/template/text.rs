//! Filters that make texts, in place of the engine's, which bound them by fuel alone or write values otherwise than they
//! print.

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, State};

use super::failure::{own_error, refuse_missing};
use super::json;

/// Longest text in bytes that a filter makes.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 20;

/// A value as JSON, which prints as it is.
pub(super) fn to_json(value: &Value) -> Result<Value, Error> {
    let mut text = String::new();
    json::write(&mut text, value)?;
    Ok(Value::from_safe_string(text))
}

/// A value as a text, as a header prints it.
pub(super) fn string(value: &Value) -> Result<Value, Error> {
    if value.as_str().is_some() {
        return Ok(value.clone());
    }
    let mut text = String::new();
    json::write_text(&mut text, value)?;
    Ok(Value::from(text))
}

/// The items of a list, or one field of each, as texts with `separator` in between.
pub(super) fn join(state: &State, value: &Value, separator: Option<&str>, named: Kwargs) -> Result<String, Error> {
    refuse_missing(value)?;
    let separator = separator.or(named.get("d")?).unwrap_or_default();
    let attribute: Option<&str> = named.get("attribute")?;
    named.assert_all_used()?;
    let mut text = String::new();
    for (place, item) in value.try_iter()?.enumerate() {
        let item = match attribute {
            Some(attribute) => item.get_attr(attribute)?,
            None => item,
        };
        if place > 0 {
            text.push_str(separator);
        }
        json::write_text(&mut text, &item)?;
        state.consume_fuel(1)?;
        check_length(text.len())?;
    }
    Ok(text)
}

/// A text with `to` wherever it has `from`.
pub(super) fn replace(value: &Value, from: &str, to: &str) -> Result<Value, Error> {
    refuse_missing(value)?;
    let Some(text) = value.as_str() else {
        return Err(own_error("replace takes a text; |string makes one of a number"));
    };
    if from.is_empty() {
        return Err(own_error("replace has no text to look for"));
    }
    let longer = text.matches(from).count().saturating_mul(to.len().saturating_sub(from.len()));
    check_length(text.len().saturating_add(longer))?;
    let replaced = text.replace(from, to);
    Ok(if value.is_safe() { Value::from_safe_string(replaced) } else { Value::from(replaced) })
}

fn check_length(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_TEXT_BYTES {
        return Err(own_error(format!("a text would be longer than {MAX_TEXT_BYTES} bytes")));
    }
    Ok(())
}
