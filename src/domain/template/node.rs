//! `data` and `raw`: the parts of a document as values of the engine.
//!
//! Lists and objects are the same under both names: they are read where they lie and print as they came. What differs is
//! what they hold. `data` gives strings, numbers and booleans that filters and operators understand. `raw` gives parts
//! that only print, byte for byte as they came.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value};

use super::document::{Document, Keys, position};
use super::{number, scan, work};

/// Bytes that are read in the time in which one is copied and written.
const READING: usize = 16;

/// Which values the part gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Strings, numbers, booleans and none.
    Data,
    /// Parts that print as they came.
    Raw,
}

/// A part of a document. Under `data` it is a list or an object.
pub(super) struct Node {
    document: Arc<Document>,
    at: u32,
    end: u32,
    reading: Reading,
}

/// The whole document, as a value.
pub(super) fn root(document: &Arc<Document>, reading: Reading) -> Value {
    let bytes = document.bytes();
    // White space ends it, and nothing has to be read to know that.
    value_of(document, position(scan::skip_space(bytes, 0)), position(bytes.trim_ascii_end().len()), reading)
}

fn value_of(document: &Arc<Document>, at: u32, end: u32, reading: Reading) -> Value {
    match (document.bytes().get(at as usize), reading) {
        (None, _) => Value::UNDEFINED,
        (Some(b'{' | b'['), _) | (_, Reading::Raw) => {
            Value::from_object(Node { document: Arc::clone(document), at, end, reading })
        }
        (Some(b'"'), _) => document.scalar(at, end, || Value::from(document.string(at).as_ref())),
        (Some(b't'), _) => Value::from(true),
        (Some(b'f'), _) => Value::from(false),
        (Some(b'n'), _) => Value::from(()),
        _ => document.scalar(at, end, || number(document, at, end)),
    }
}

/// The number from `at` to `end`. Integers of up to 38 digits are exact, everything else becomes the nearest `f64`, and
/// what is beyond that type becomes infinite: it compares as such, and cannot be printed.
fn number(document: &Document, at: u32, end: u32) -> Value {
    let text = document.text(at, end);
    let value = match text.parse::<i64>() {
        Ok(number) => Value::from(number),
        Err(_) => match text.parse::<i128>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(text.parse::<f64>().unwrap_or(f64::NAN)),
        },
    };
    // Most numbers are integers without more, and nothing is printed to see that they are exact.
    if !value.is_integer() || text == "-0" {
        let printed = number::printed(&value).unwrap_or_default();
        if printed != text {
            document.note_inexact(at, printed);
        }
    }
    value
}

impl Node {
    /// The part as it came.
    pub(super) fn text(&self) -> &str {
        self.document.text(self.at, self.end)
    }

    fn bytes(&self) -> &[u8] {
        self.document.part(self.at, self.end)
    }

    /// The text of a string of `raw`, without quotes and escapes. `None` for any other part.
    pub(super) fn string(&self) -> Option<Cow<'_, str>> {
        self.bytes().starts_with(b"\"").then(|| self.document.string(self.at))
    }

    fn child(&self, at: u32) -> Value {
        value_of(&self.document, at, self.document.value_end(at), self.reading)
    }

    fn child_of_key(&self, key: u32) -> Value {
        self.child(position(scan::value_of(self.document.bytes(), key as usize)))
    }

    fn items(&self) -> Arc<Vec<u32>> {
        self.document.items(self.at, self.end)
    }

    /// Counts a lookup that gave `value`. Whatever uses a text reads it, and the engine's operators do so for nothing.
    fn looked_up(value: Value) -> Value {
        work::visit(value.as_str().map_or(0, str::len) / READING);
        value
    }

    fn visit(value: &Value) {
        work::visit(value.as_str().map_or(0, str::len));
    }
}

impl Object for Node {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.document.bytes().get(self.at as usize) {
            Some(b'{') => ObjectRepr::Map,
            Some(b'[') => ObjectRepr::Seq,
            _ => ObjectRepr::Plain,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (self.repr(), key.as_str()) {
            (ObjectRepr::Map, Some(name)) => self.get_value_by_str(name),
            (ObjectRepr::Seq, None) => {
                let at = *self.items().get(key.as_usize()?)?;
                Some(Self::looked_up(self.child(at)))
            }
            _ => None,
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        work::visit(0);
        if self.repr() != ObjectRepr::Map {
            return None;
        }
        let key = self.document.find(self.at, self.end, key)?;
        Some(Self::looked_up(self.child_of_key(key)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        work::visit(0);
        let node = Arc::clone(self);
        match self.repr() {
            ObjectRepr::Map => {
                let index = self.document.index(self.at, self.end);
                let length = self.document.distinct(self.at, self.end);
                let next = scan::first(self.document.bytes(), self.at as usize);
                Enumerator::KeyValueIter(Box::new(Entries { node, index, next, left: length }))
            }
            ObjectRepr::Seq => Enumerator::Iter(Box::new(Items { items: self.items(), node, next: 0 })),
            _ => Enumerator::NonEnumerable,
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        work::visit(0);
        match self.repr() {
            ObjectRepr::Map => Some(self.document.distinct(self.at, self.end)),
            ObjectRepr::Seq => Some(self.items().len()),
            _ => None,
        }
    }

    /// As the same value under `data`: empty lists, objects and strings, zero, false and null are not true.
    fn is_true(self: &Arc<Self>) -> bool {
        match self.bytes() {
            [b'{' | b'[', ..] => self.enumerator_len() != Some(0),
            b"" | b"\"\"" | b"false" | b"null" => false,
            [b'-' | b'0'..=b'9', ..] => self.text().parse() != Ok(0.0f64),
            _ => true,
        }
    }

    /// Parts of documents are equal when their bytes are.
    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        work::visit(self.bytes().len().min(other.bytes().len()) / READING);
        Some(self.bytes().cmp(other.bytes()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        work::visit(self.bytes().len());
        f.write_str(self.text())
    }
}

/// The engine prints this in places of its own, so nothing of the document is shown.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({}..{})", self.reading, self.at, self.end)
    }
}

/// The items of an array.
struct Items {
    node: Arc<Node>,
    items: Arc<Vec<u32>>,
    next: usize,
}

impl Iterator for Items {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let item = self.node.child(*self.items.get(self.next)?);
        self.next += 1;
        Node::visit(&item);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.items.len() - self.next;
        (left, Some(left))
    }
}

/// The keys and values of an object, in the order of the document. Of equal keys only the last one comes.
struct Entries {
    node: Arc<Node>,
    index: Option<Arc<Keys>>,
    next: Option<usize>,
    left: usize,
}

impl Entries {
    /// Whether the key at `key` is the last one of its name.
    fn is_last(&self, key: u32, name: &str) -> bool {
        match &self.index {
            Some(index) if !index.has_equal_keys() => true,
            _ => self.node.document.find(self.node.at, self.node.end, name) == Some(key),
        }
    }
}

impl Iterator for Entries {
    type Item = (Value, Value);

    fn next(&mut self) -> Option<(Value, Value)> {
        loop {
            let document = &self.node.document;
            let key = self.next?;
            let value = scan::value_of(document.bytes(), key);
            let end = document.value_end(position(value));
            self.next = scan::next(document.bytes(), end as usize);
            let name = document.string(position(key));
            work::visit(name.len());
            if self.is_last(position(key), &name) {
                self.left = self.left.saturating_sub(1);
                let value = self.node.child(position(value));
                Node::visit(&value);
                return Some((Value::from(name.as_ref()), value));
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}
