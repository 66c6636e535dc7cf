//! A document that is read where it lies: its bytes, and an index of the parts that were asked for.
//!
//! Each long array or object is indexed once, however often a template looks something up in it, and the index of all
//! parts together takes a few bytes for each item. A template that reads three fields pays for these three.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use minijinja::value::Value;

use super::scan;

/// Parts shorter than this, in bytes, are read anew each time: that takes less than finding them in an index.
const SHORT: usize = 256;

/// Most numbers that are remembered because they print otherwise than they came.
const MAX_INEXACT: usize = 64;

/// The bytes of a document with what is known of them. Positions are 32 bits wide, which suffices for documents of 4 GiB.
pub(super) struct Document {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    /// Beginning and end of each long value, in the order of their beginnings.
    ends: OnceLock<Vec<(u32, u32)>>,
    known: Mutex<HashMap<u32, Known>>,
    inexact: Mutex<Inexact>,
    hasher: RandomState,
}

/// Numbers that print otherwise than they came.
#[derive(Default)]
struct Inexact {
    /// Positions and what is printed, of numbers that were read.
    read: Vec<(u32, String)>,
    /// Position of the first one that was printed.
    printed: Option<u32>,
}

/// What is remembered of a long part.
#[derive(Clone)]
enum Known {
    List(Arc<Vec<u32>>),
    Object(Arc<Keys>),
    Scalar(Value),
}

/// The keys of a long object: hash and position, in the order of the hashes and then of the positions.
pub(super) struct Keys {
    sorted: Vec<(u32, u32)>,
    /// Number of keys that differ.
    distinct: usize,
}

impl Document {
    /// A document. One that is longer than 4 GiB counts as empty.
    pub(super) fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self {
            bytes: Box::new(bytes),
            ends: OnceLock::new(),
            known: Mutex::default(),
            inexact: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let bytes = (*self.bytes).as_ref();
        if u32::try_from(bytes.len()).is_ok() { bytes } else { &[] }
    }

    /// The bytes from `at` to `end`.
    pub(super) fn part(&self, at: u32, end: u32) -> &[u8] {
        self.bytes().get(at as usize..end as usize).unwrap_or_default()
    }

    /// As [`Self::part`], as text. That reads all of it.
    pub(super) fn text(&self, at: u32, end: u32) -> &str {
        std::str::from_utf8(self.part(at, end)).unwrap_or_default()
    }

    /// Index after the value that begins at `at`.
    ///
    /// Finding the ends of all long values takes one pass over the bytes. So reading down through nested ones does not
    /// take a pass for each level, and reading beside a long one does not take a pass each time.
    pub(super) fn value_end(&self, at: u32) -> u32 {
        let ends = self.ends.get_or_init(|| {
            let mut ends = Vec::new();
            scan::values(self.bytes(), scan::skip_space(self.bytes(), 0), |start, end| {
                if end - start >= SHORT {
                    ends.push((position(start), position(end)));
                }
            });
            ends.sort_unstable();
            ends
        });
        match ends.binary_search_by_key(&at, |(start, _)| *start) {
            Ok(found) => ends[found].1,
            Err(_) => position(scan::value_end(self.bytes(), at as usize)),
        }
    }

    /// Positions of the items of the array that begins at `at`.
    pub(super) fn items(&self, at: u32, end: u32) -> Arc<Vec<u32>> {
        if let Some(Known::List(items)) = self.known(at, end) {
            return items;
        }
        // Counted first, so that a long list takes no more memory than it needs.
        let mut items = Vec::with_capacity(self.members(at, |item| item).count());
        items.extend(self.members(at, |item| item));
        let items = Arc::new(items);
        self.remember(at, end, || Known::List(Arc::clone(&items)));
        items
    }

    /// Positions of the keys of the object that begins at `at`, in the order of the document. Equal keys come each.
    pub(super) fn keys(&self, at: u32) -> impl Iterator<Item = u32> {
        self.members(at, |key| position(scan::value_of(self.bytes(), key as usize)))
    }

    /// Positions of what is between the commas. `value` finds the value of an item.
    fn members(&self, at: u32, value: impl Fn(u32) -> u32) -> impl Iterator<Item = u32> {
        let mut next = scan::first(self.bytes(), at as usize);
        std::iter::from_fn(move || {
            let item = position(next?);
            next = scan::next(self.bytes(), self.value_end(value(item)) as usize);
            Some(item)
        })
    }

    /// Position of the last key `name` in the object from `at` to `end`.
    pub(super) fn find(&self, at: u32, end: u32, name: &str) -> Option<u32> {
        match self.index(at, end) {
            Some(index) => index.last(self, self.hash(name), name),
            None => self.keys(at).filter(|key| self.string(*key) == name).last(),
        }
    }

    /// Number of keys that differ in the object from `at` to `end`.
    pub(super) fn distinct(&self, at: u32, end: u32) -> usize {
        match self.index(at, end) {
            Some(index) => index.distinct,
            None => self.keys(at).filter(|key| self.find(at, end, &self.string(*key)) == Some(*key)).count(),
        }
    }

    /// The index of a long object. `None` if it is short.
    pub(super) fn index(&self, at: u32, end: u32) -> Option<Arc<Keys>> {
        if !is_long(at, end) {
            return None;
        }
        if let Some(Known::Object(index)) = self.known(at, end) {
            return Some(index);
        }
        let mut sorted = Vec::with_capacity(self.keys(at).count());
        sorted.extend(self.keys(at).map(|key| (self.hash(&self.string(key)), key)));
        sorted.sort_unstable();
        let mut index = Keys { sorted, distinct: 0 };
        index.distinct =
            index.sorted.iter().filter(|(hash, key)| index.last(self, *hash, &self.string(*key)) == Some(*key)).count();
        let index = Arc::new(index);
        self.remember(at, end, || Known::Object(Arc::clone(&index)));
        Some(index)
    }

    /// The string that begins at `at`, without its escapes.
    pub(super) fn string(&self, at: u32) -> Cow<'_, str> {
        let end = position(scan::string_end(self.bytes(), at as usize));
        let quoted = self.text(at, end);
        let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        if !inner.contains('\\') {
            return Cow::Borrowed(inner);
        }
        serde_json::from_str(quoted).map_or(Cow::Borrowed(inner), Cow::Owned)
    }

    /// The value of the string or number from `at` to `end`, which `read` gives. A long one is read once.
    pub(super) fn scalar(&self, at: u32, end: u32, read: impl FnOnce() -> Value) -> Value {
        if let Some(Known::Scalar(value)) = self.known(at, end) {
            return value;
        }
        let value = read();
        self.remember(at, end, || Known::Scalar(value.clone()));
        value
    }

    /// Remembers that the number at `at` prints as `printed`, which is not what it came as.
    pub(super) fn note_inexact(&self, at: u32, printed: String) {
        let read = &mut locked(&self.inexact).read;
        if read.len() < MAX_INEXACT && !read.iter().any(|(known, _)| *known == at) {
            read.push((at, printed));
        }
    }

    /// Takes the texts of numbers that were printed.
    pub(super) fn note_printed(&self, texts: &[String]) {
        let mut inexact = locked(&self.inexact);
        let found = inexact.read.iter().find(|(_, text)| texts.contains(text)).map(|(at, _)| *at);
        inexact.printed = inexact.printed.or(found);
    }

    /// Position of the first number that was printed otherwise than it came.
    pub(super) fn printed_inexact(&self) -> Option<u32> {
        locked(&self.inexact).printed
    }

    /// The path from `data` to the value at `target`.
    pub(super) fn path(&self, target: u32) -> String {
        let mut path = "data".to_owned();
        let mut at = position(scan::skip_space(self.bytes(), 0));
        while at < target {
            let is_object = self.bytes().get(at as usize) == Some(&b'{');
            let value =
                |item: u32| if is_object { position(scan::value_of(self.bytes(), item as usize)) } else { item };
            // The last member that does not begin after the target has it inside.
            let Some((place, item)) =
                self.members(at, value).enumerate().take_while(|(_, item)| *item <= target).last()
            else {
                break;
            };
            if is_object {
                path.push_str(&step(&self.string(item)));
            } else {
                path.push_str(&format!("[{place}]"));
            }
            at = value(item);
        }
        path
    }

    fn hash(&self, name: &str) -> u32 {
        // Half of the bits suffice: equal hashes are told apart by the keys.
        self.hasher.hash_one(name) as u32
    }

    fn known(&self, at: u32, end: u32) -> Option<Known> {
        if is_long(at, end) { locked(&self.known).get(&at).cloned() } else { None }
    }

    fn remember(&self, at: u32, end: u32, known: impl FnOnce() -> Known) {
        if is_long(at, end) {
            locked(&self.known).insert(at, known());
        }
    }
}

impl Keys {
    /// Position of the last key `name`.
    fn last(&self, document: &Document, hash: u32, name: &str) -> Option<u32> {
        let after = self.sorted.partition_point(|(known, _)| *known <= hash);
        let equal = self.sorted[..after].iter().rev().take_while(|(known, _)| *known == hash);
        equal.map(|(_, key)| *key).find(|key| document.string(*key) == name)
    }

    /// Whether a key occurs more than once.
    pub(super) fn has_equal_keys(&self) -> bool {
        self.distinct < self.sorted.len()
    }
}

/// A key in a path: after a dot, or in brackets where it is no name.
fn step(key: &str) -> String {
    let is_name = !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { format!(".{key}") } else { format!("[{key:?}]") }
}

fn is_long(at: u32, end: u32) -> bool {
    (end.saturating_sub(at)) as usize >= SHORT
}

/// A position in a document, which has no more than 4 GiB.
pub(super) fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// No lock is held while anything can panic, so a poisoned one is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
