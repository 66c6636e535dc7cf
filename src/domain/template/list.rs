//! Lists and maps that a template makes. They know how much they hold with everything inside, so that they stay small,
//! whatever a template puts into what.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, State};

use super::failure::own_error;
use super::json;
use super::node::Node;
use super::text;
use super::work::{self, Stopped};

/// Most items of a list that a template makes or hands to a filter.
pub(super) const MAX_ITEMS: usize = 20_000;

/// Most values in a list or map, those inside of inner ones included, each as often as it occurs.
const MAX_VALUES: usize = 100_000;

/// Deepest nesting of lists and maps that a template makes. The parts of the document inside do not count.
const MAX_DEPTH: usize = 32;

/// Longest text in bytes that an expression may give to a variable. A text that doubles with each step ends here.
const MAX_HELD_TEXT: usize = 256 * 1024;

/// How much a value holds.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    values: usize,
    depth: usize,
}

impl Extent {
    fn of(value: &Value) -> Self {
        let made = value.downcast_object_ref::<List>().map(|list| list.extent);
        made.or_else(|| value.downcast_object_ref::<Map>().map(|map| map.extent)).unwrap_or_default()
    }

    /// The extent of a container with these values.
    fn around<'a>(values: impl Iterator<Item = &'a Value>) -> Result<Self, Error> {
        let mut all = Self::default();
        for value in values {
            let inner = Self::of(value);
            all = Self { values: all.values + inner.values + 1, depth: all.depth.max(inner.depth) };
        }
        all.depth += 1;
        if all.values > MAX_VALUES {
            return Err(own_error(format!("a list or map would hold more than {MAX_VALUES} values")));
        }
        if all.depth > MAX_DEPTH {
            return Err(own_error(format!("lists and maps are put into each other more than {MAX_DEPTH} times")));
        }
        Ok(all)
    }
}

/// A list that a template made.
#[derive(Debug)]
pub(super) struct List {
    items: Vec<Value>,
    extent: Extent,
}

impl List {
    /// A list of values that [`contained`] has taken.
    ///
    /// # Errors
    /// It would hold too much.
    pub(super) fn value(state: &State, items: Vec<Value>) -> Result<Value, Error> {
        if items.len() > MAX_ITEMS {
            return Err(own_error(format!("a list would have more than {MAX_ITEMS} items")));
        }
        // A unit of fuel pays for two places in a list, as in the engine.
        state.consume_fuel(items.len() as u64 / 2)?;
        let extent = Extent::around(items.iter())?;
        Ok(Value::from_object(Self { items, extent }))
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let item = self.items.get(key.as_usize()?)?;
        work::visit(item.as_str().map_or(0, str::len));
        Some(item.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        work::visit(0);
        Enumerator::Seq(self.items.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, Value::from_dyn_object(Arc::clone(self)))
    }
}

/// A map that a template made, in the order in which it was written.
#[derive(Debug)]
pub(super) struct Map {
    entries: Vec<(Value, Value)>,
    places: HashMap<Arc<str>, usize>,
    extent: Extent,
}

impl Map {
    /// A map. The last one of equal keys counts, at the place of the first.
    ///
    /// # Errors
    /// It would hold too much.
    pub(super) fn value(pairs: impl IntoIterator<Item = (Arc<str>, Value)>) -> Result<Value, Error> {
        let mut entries: Vec<(Value, Value)> = Vec::new();
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        for (key, value) in pairs {
            match places.get(&key) {
                Some(place) => entries[*place].1 = value,
                None => {
                    places.insert(Arc::clone(&key), entries.len());
                    entries.push((Value::from(key), value));
                }
            }
        }
        let extent = Extent::around(entries.iter().map(|(_, value)| value))?;
        Ok(Value::from_object(Self { entries, places, extent }))
    }
}

impl Object for Map {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let (_, value) = &self.entries[*self.places.get(key)?];
        work::visit(value.as_str().map_or(0, str::len));
        Some(value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        work::visit(0);
        let map = Arc::clone(self);
        Enumerator::Iter(Box::new((0..self.entries.len()).map(move |place| {
            work::visit(0);
            map.entries[place].0.clone()
        })))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, Value::from_dyn_object(Arc::clone(self)))
    }
}

/// Writes a list or map where the engine makes a text of it. There it takes no error of ours.
fn render(f: &mut fmt::Formatter<'_>, value: Value) -> fmt::Result {
    let mut text = Limited { out: f, left: text::MAX_TEXT_BYTES };
    if json::write(&mut text, &value).is_err() {
        work::stop(Stopped::Missing);
    }
    Ok(())
}

/// Takes a text up to a limit, and stops the rendering beyond it: one short text in many items makes a long one.
struct Limited<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    /// Bytes that may still come.
    left: usize,
}

impl fmt::Write for Limited<'_, '_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        match self.left.checked_sub(part.len()) {
            Some(left) => self.left = left,
            None => work::stop(Stopped::Spent),
        }
        self.out.write_str(part)
    }
}

/// A value as it may be put into a list, a map or a namespace: what the engine makes lazily becomes a list, and what is
/// no value of a document is refused. So no value can hold itself.
///
/// # Errors
/// It is a namespace, loop or function, or too large.
pub(super) fn contained(state: &State, value: Value) -> Result<Value, Error> {
    copied(state, value, 0)
}

/// As [`contained`]. Namespaces, loops and functions are left as they are, for variables.
pub(super) fn held(state: &State, value: Value) -> Result<Value, Error> {
    let other = value.as_object().is_some_and(|object| matches!(object.repr(), ObjectRepr::Map | ObjectRepr::Plain));
    if other { Ok(value) } else { copied(state, value, 0) }
}

fn copied(state: &State, value: Value, depth: usize) -> Result<Value, Error> {
    if value.as_str().is_some_and(|text| text.len() > MAX_HELD_TEXT) {
        return Err(own_error(format!("a variable would hold a text of more than {MAX_HELD_TEXT} bytes")));
    }
    let Some(object) = value.as_object() else { return Ok(value) };
    if is_own(&value) {
        return Ok(value);
    }
    let is_list = matches!(object.repr(), ObjectRepr::Seq | ObjectRepr::Iterable);
    // What filters make holds lists of pairs at most, so this recursion is shallow.
    let (true, Some(iter)) = (is_list && depth < 4, object.try_iter()) else {
        return Err(own_error("a namespace, a loop or a function cannot be put into a list, a map or a namespace"));
    };
    let mut items = Vec::new();
    for item in iter {
        work::visit(0);
        if items.len() == MAX_ITEMS {
            return Err(own_error(format!("a list would have more than {MAX_ITEMS} items")));
        }
        items.push(copied(state, item, depth + 1)?);
    }
    List::value(state, items)
}

/// Whether the value is of a type of this module or of the document.
fn is_own(value: &Value) -> bool {
    value.downcast_object_ref::<List>().is_some()
        || value.downcast_object_ref::<Map>().is_some()
        || value.downcast_object_ref::<Node>().is_some()
}
