//! Functions that templates call, and those that `check` puts in the place of literals and around values of variables.

use std::sync::Arc;

use minijinja::functions;
use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, State};

use super::failure::own_error;
use super::list::{List, MAX_ITEMS, Map, contained, held};

/// Takes the place of `[`. The space parts it from a word before.
pub(super) const LIST: &str = " __list(";

/// Takes the place of `{`.
pub(super) const MAP: &str = " __map(";

/// Begins the value of a variable.
pub(super) const HELD: &str = " __held(";

/// Begins the value of a field of a namespace.
pub(super) const CONTAINED: &str = " __contained(";

/// Adds all functions.
pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.add_function("__list", list);
    environment.add_function("__map", map);
    environment.add_function("__held", |state: &State, value: Value| held(state, value));
    environment.add_function("__contained", |state: &State, value: Value| contained(state, value));
    environment.add_function("range", range);
    environment.add_function("namespace", namespace);
}

fn list(state: &State, items: Rest<Value>) -> Result<Value, Error> {
    let items = items.iter().map(|item| contained(state, item.clone())).collect::<Result<_, _>>()?;
    List::value(state, items)
}

/// Makes a map of keys and values that take turns.
fn map(state: &State, parts: Rest<Value>) -> Result<Value, Error> {
    state.consume_fuel(parts.len() as u64 / 2)?;
    let pairs = parts.chunks_exact(2).map(|pair| Ok((key(&pair[0])?, contained(state, pair[1].clone())?)));
    Map::value(pairs.collect::<Result<Vec<_>, Error>>()?)
}

fn key(value: &Value) -> Result<Arc<str>, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.to_str().unwrap_or_default()),
        ValueKind::Number => Ok(value.to_string().into()),
        ValueKind::Undefined => Err(own_error("a key of a map is missing; a key that is a text stands in quotes")),
        _ => Err(own_error("a key of a map is a text")),
    }
}

/// Numbers from `from` up to and without `to`, or from 0 if only one is given.
fn range(state: &State, from: i64, to: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    let (from, to) = to.map_or((0, from), |to| (from, to));
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(own_error("a range has no step of 0"));
    }
    let mut items = Vec::new();
    let mut next = Some(from);
    while let Some(number) = next.filter(|number| if step > 0 { *number < to } else { *number > to }) {
        if items.len() == MAX_ITEMS {
            return Err(own_error(format!("a range would have more than {MAX_ITEMS} numbers")));
        }
        items.push(Value::from(number));
        next = number.checked_add(step);
    }
    List::value(state, items)
}

/// A namespace whose fields begin with the values of the named arguments.
fn namespace(state: &mut State, fields: Option<ValueOrKwargs>) -> Result<Value, Error> {
    let fields = fields.map(ValueOrKwargs::into_value).unwrap_or_default();
    let pairs = fields.as_object().and_then(|fields| fields.try_iter_pairs()).into_iter().flatten();
    let pairs = pairs.map(|(name, value)| Ok((key(&name)?, contained(state, value)?)));
    let fields = Map::value(pairs.collect::<Result<Vec<_>, Error>>()?)?;
    Value::from_function(functions::namespace).call(state, &[fields])
}
