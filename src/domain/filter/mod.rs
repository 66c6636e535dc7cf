//! Filters of destinations: which events come to one. A filter is an expression in a strict subset of Jinja, asked while
//! the sender waits. So it is bounded by construction: its text is short, it is answered straight over the bytes of the
//! document, in time in proportion to them and without memory that grows with them, and nothing in it can fail.
//!
//! # The language
//!
//! - Values: `'string'` or `"string"`, numbers, `true`, `false`, `none`, and paths: `data` is the document, as in
//!   `data.a.b[0]['odd key']`; of the event there are `event.type`, `event.received_at` and `event.account_id`.
//! - Comparisons: `==` `!=` `<` `<=` `>` `>=`; `in` and `not in` for elements of a list (`['a', 'b']` or a path), parts
//!   of a string and keys of an object.
//! - Tests: `is defined`, `is undefined`, `is none`, `is startingwith 'x'`, `is endingwith 'x'`, each also with `is not`.
//! - Filters of paths: `|length` (characters, elements, members) and `|lower`.
//! - `and`, `or`, `not` and parentheses. A path may stand alone: it holds unless it is missing, false, null, zero or
//!   empty.
//!
//! # What it means
//!
//! - Numbers are compared exactly as they are written: `1.0` is `1`, and no digit of a long id is lost.
//! - Strings are compared character by character, by code point; how a document escapes them does not matter.
//! - Values of different types are never equal and never in order. Lists and objects are not equal to anything, not even
//!   to themselves. Only numbers and strings are in order.
//! - What is missing makes a comparison and `in` false; so `!=` and `not in` are true. A path is missing too where a step
//!   finds another type than it needs; a filter, where it is applied to a type that it is not for.
//! - Of equal keys in one object the last counts. `|length` counts all of them.
//! - `|lower` goes character by character, so a Greek sigma at the end of a word becomes `σ`.

use std::fmt;
use std::sync::Arc;

use self::paths::{NodeId, PathTree};
use self::program::{Program, Values};

mod decimal;
mod event;
mod lexer;
mod parser;
mod paths;
mod program;
mod reader;
mod scan;
mod text;
mod value;

pub use self::event::FilteredEvent;

/// Longest filter, in bytes.
pub const MAX_FILTER_BYTES: usize = 4_096;

/// How deep parentheses and `not` may be nested. Parser and evaluation recurse as deep.
const MAX_NESTING: usize = 64;

/// Most steps of a path. No document is nested deeper.
const MAX_STEPS: usize = 128;

/// How often a filter may read the whole of a value of the document: by `in` a path, by `|length`, by `is endingwith` and
/// by comparing two paths. All else looks only at the beginning of a value. Each whole read of a list of 1 MiB takes some
/// milliseconds, and nothing but this number bounds their sum.
const MAX_WHOLE_READS: usize = 16;

/// A filter that has been checked. Clones share it.
#[derive(Clone)]
pub struct Filter(Arc<Parsed>);

struct Parsed {
    source: Box<str>,
    program: Program,
}

impl Filter {
    /// Parses a filter.
    ///
    /// # Errors
    /// The first mistake, and where it is.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        check_length(source)
            .and_then(|()| parser::parse(source))
            .map(|program| Self(Arc::new(Parsed { source: source.into(), program })))
            .map_err(|mistake| ExpressionError::new(source, mistake))
    }

    /// The text, as it was given.
    pub fn as_str(&self) -> &str {
        &self.0.source
    }

    /// Whether the event comes through. To ask about many events, make a [`FilterSet`] once.
    pub fn matches(&self, event: &FilteredEvent<'_>) -> bool {
        FilterSet::new([self]).matches(event) == [true]
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Filter {}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.as_str()).finish()
    }
}

fn check_length(source: &str) -> Result<(), Mistake> {
    if source.trim_ascii().is_empty() {
        return Err(Mistake::new(0, "a filter has at least one comparison, such as data.status == 'paid'"));
    }
    if source.len() > MAX_FILTER_BYTES {
        let at = (0..=MAX_FILTER_BYTES).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0);
        return Err(Mistake::new(
            at,
            format!("a filter has at most {MAX_FILTER_BYTES} bytes, and this one goes on here"),
        ));
    }
    Ok(())
}

/// Filters that are asked about the same events, such as those of one account. Each document is read only once for all of
/// them.
#[derive(Default)]
pub struct FilterSet {
    /// Each filter with the node of each of its paths.
    filters: Vec<(Filter, Vec<NodeId>)>,
    tree: PathTree,
}

impl FilterSet {
    /// Takes filters together. Costs as much as there are paths in them.
    pub fn new<'f>(filters: impl IntoIterator<Item = &'f Filter>) -> Self {
        let mut tree = PathTree::default();
        let filters = filters
            .into_iter()
            .map(|filter| {
                let nodes = filter.0.program.paths.iter().map(|path| tree.insert(path)).collect();
                (filter.clone(), nodes)
            })
            .collect();
        Self { filters, tree }
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Whether the event comes through each filter, in the order in which they were given.
    ///
    /// The document is read once for all paths, and each value that is looked through (by `in`, `|length`, `endingwith`
    /// or a comparison) once more for each of those.
    pub fn matches(&self, event: &FilteredEvent<'_>) -> Vec<bool> {
        let document = if self.tree.is_empty() { "" } else { std::str::from_utf8(event.document).unwrap_or_default() };
        let found = scan::find(&self.tree, document);
        let answer = |(filter, nodes): &(Filter, Vec<NodeId>)| {
            filter.0.program.condition.holds(Values { event, found: &found, nodes })
        };
        self.filters.iter().map(answer).collect()
    }
}

impl fmt::Debug for FilterSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.filters.iter().map(|(filter, _)| filter)).finish()
    }
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// The line of the mistake, from 1 on.
    pub line: u32,
    /// Its column, in characters from 1 on. Where the text ends too early it is the one after the last.
    pub column: u32,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl ExpressionError {
    fn new(source: &str, mistake: Mistake) -> Self {
        let before = source.get(..mistake.at).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let from_1 = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        Self {
            line: from_1(before.matches('\n').count()),
            column: from_1(before[line_start..].chars().count()),
            message: mistake.message,
        }
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ExpressionError {}

/// A mistake, and the index of the byte where it is.
struct Mistake {
    at: usize,
    message: String,
}

impl Mistake {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

#[cfg(test)]
mod tests;
