//! What is told when a template is wrong, at save and at run. Messages never hold a value of a document, which may be a
//! secret.

use std::error;
use std::fmt;

use minijinja::value::Value;
use minijinja::{Error, ErrorKind};

/// Why a template cannot be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Line of the fault, from 1.
    pub line: u32,
    /// Column of the fault in characters, from 1.
    pub column: u32,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl TemplateError {
    /// A fault at byte `at` of `source`.
    pub(super) fn at(source: &str, at: usize, message: impl Into<String>) -> Self {
        let before = source.get(..at).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: count(before.bytes().filter(|byte| *byte == b'\n').count() + 1),
            column: count(before[line_start..].chars().count() + 1),
            message: message.into(),
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// Why a template made nothing of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFailure {
    /// Line in the template, from 1, where it is known.
    pub line: Option<u32>,
    /// What is wrong, beginning with the line.
    pub detail: String,
}

impl TemplateFailure {
    pub(super) fn new(line: Option<u32>, what: &str) -> Self {
        let detail = match line {
            Some(line) => format!("line {line}: {what}"),
            None => what.to_owned(),
        };
        Self { line, detail }
    }

    /// What is told of an error of the engine.
    pub(super) fn of(error: &Error) -> Self {
        Self::new(error.line().and_then(|line| u32::try_from(line).ok()), &describe(error))
    }
}

/// Marks an error whose text is this module's own, so that it may be shown.
#[derive(Debug)]
struct Own;

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("own")
    }
}

impl error::Error for Own {}

/// An error with a text that is shown as it is.
pub(super) fn own_error(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into()).with_source(Own)
}

/// Refuses what is missing. The engine names it in the error.
pub(super) fn refuse_missing(value: &Value) -> Result<(), Error> {
    if value.is_undefined() { value.get_attr("").map(|_| ()) } else { Ok(()) }
}

/// Beginnings of the engine's texts that name types and nothing of a document.
const HARMLESS: [&str; 15] = [
    "tried to use ",
    "value of type ",
    "strings can only be multiplied",
    "sequences and iterables can only",
    "repeated s",
    "cannot perform a containment check",
    "cannot calculate length of value of type ",
    "cannot convert value",
    "cannot get ",
    "cannot reverse values",
    "cannot round value (",
    "cannot slice by step size",
    "can only assign to namespaces",
    "can only sum numbers",
    "sequence of wrong length",
];

/// Whether a text of the engine holds no value of a document.
fn is_harmless(detail: &str) -> bool {
    HARMLESS.iter().any(|start| detail.starts_with(start)) || detail.ends_with(" is not iterable")
}

fn describe(error: &Error) -> String {
    let detail = error.detail().unwrap_or_default();
    if error::Error::source(error).is_some_and(|source| source.is::<Own>()) {
        return detail.to_owned();
    }
    match error.kind() {
        ErrorKind::OutOfFuel => TOO_MUCH.to_owned(),
        ErrorKind::UndefinedError => missing(detail),
        ErrorKind::InvalidOperation if detail.contains("is undefined") => missing(detail),
        ErrorKind::InvalidOperation if detail.starts_with("recursion limit") => {
            "loop(…) calls itself too deep; at most 200 levels".to_owned()
        }
        ErrorKind::InvalidOperation if detail.starts_with("unable to calculate") => {
            "a calculation has no result (a division by zero, or a number that is too large)".to_owned()
        }
        ErrorKind::InvalidOperation if is_harmless(detail) => detail.to_owned(),
        ErrorKind::UnknownFilter => "a filter that map(…) names is not known".to_owned(),
        ErrorKind::UnknownTest => "a test that is named as a text is not known".to_owned(),
        ErrorKind::MissingArgument => "a filter, test or function needs one more argument".to_owned(),
        ErrorKind::TooManyArguments => {
            "a filter, test or function is given an argument that it does not take".to_owned()
        }
        ErrorKind::CannotUnpack => {
            "a value cannot be split over several names; a loop over the fields of an object is `for key, value in \
             data|items`"
                .to_owned()
        }
        _ => "a value is not of the type that is needed here".to_owned(),
    }
}

/// What is told when fuel or work is spent.
pub(super) const TOO_MUCH: &str = "does too much: it loops over more, or makes more text, than one template may";

/// Words for a missing value. The engine gives its path between backticks.
fn missing(detail: &str) -> String {
    let path = detail.split('`').nth(1).unwrap_or_default();
    if path.is_empty() {
        return "what is used here is missing; put |default(...) after it if it may be".to_owned();
    }
    format!("{path} is missing; print it with |default(...) if it may be")
}
