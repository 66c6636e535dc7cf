//! The error type of all floors. Its [`Kind`] decides what a client sees; the one place that maps a kind to an HTTP
//! status is `web::problem`.

use std::borrow::Cow;
use std::fmt;

/// Most errors of fields that one error lists. A request may hold more: a megabyte has room for a hundred thousand.
pub const MAX_FIELD_ERRORS: usize = 1_000;

/// Characters of a text from outside that an error repeats.
const MAX_SHOWN: usize = 64;

/// The beginning of a text from outside, for an error that repeats it. The text must be no secret.
pub fn beginning(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// The kind of an error, and so who can correct the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Well formed but not valid (HTTP 422). [`Error::field_errors`] names each field.
    Invalid,
    /// The caller may not do this (HTTP 403).
    Forbidden,
    /// The object does not exist, or does not exist any more (HTTP 404).
    NotFound,
    /// The request conflicts with the current state (HTTP 409).
    Conflict,
    /// The request cannot be served now, and nothing was acknowledged (HTTP 503).
    Unavailable(Unavailable),
    /// A bug or a damaged file (HTTP 500). The detail is logged and not sent to the client.
    Internal,
}

/// Why a request cannot be served now. Code uses the variant; clients see its [`code`](Self::code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// The database cannot be read or written now, usually because of an I/O error. After a write that failed so, the
    /// connection is opened again.
    Io,
    /// Another program holds the lock of the database file.
    Locked,
    /// A write found the disk full. The whole transaction was undone.
    DiskFull,
    /// The free space of the disk is below the reserve. Nothing was written.
    DiskLow,
    /// The database file or its write-ahead log was moved, replaced or removed, or other content was written over the
    /// file.
    FileLost,
    /// The memory budget (`--memory`) is used up.
    NoMemory,
    /// The queue before the write thread is full.
    QueueFull,
    /// The server is stopping.
    Stopping,
    /// Too many streams are open.
    TooManyStreams,
    /// Too many previews over the newest events are being made.
    TooManyPreviews,
    /// The engine cannot send another test now.
    EngineBusy,
    /// A transaction of the write thread does not end.
    Stuck,
    /// What waits for the write thread takes too long.
    Behind,
}

impl Unavailable {
    /// Stable snake_case code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Io => "storage_unavailable",
            Self::Locked => "storage_locked",
            Self::DiskFull => "storage_full",
            Self::DiskLow => "storage_low",
            Self::FileLost => "storage_moved",
            Self::NoMemory => "no_memory",
            Self::QueueFull => "queue_full",
            Self::Stopping => "stopping",
            Self::TooManyStreams => "too_many_streams",
            Self::TooManyPreviews => "too_many_previews",
            Self::EngineBusy => "engine_busy",
            Self::Stuck => "storage_stuck",
            Self::Behind => "storage_behind",
        }
    }
}

/// One error in one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field in the body, such as `headers.X-Id`. Empty for the body as a whole.
    pub field: String,
    /// What is wrong, and what would be right. Never holds a secret.
    pub message: String,
}

impl FieldError {
    /// An error of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// An error, with a stable code for programs and a detail for people.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    code: &'static str,
    detail: String,
    field_errors: Vec<FieldError>,
}

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`, with a stable snake_case `code` and a `detail` that says what to do.
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, code, detail: detail.into(), field_errors: Vec::new() }
    }

    /// The error for a request that is well formed but not valid, with every field error up to [`MAX_FIELD_ERRORS`].
    pub fn invalid(mut field_errors: Vec<FieldError>) -> Self {
        if field_errors.len() > MAX_FIELD_ERRORS {
            let left_out = field_errors.len() - (MAX_FIELD_ERRORS - 1);
            field_errors.truncate(MAX_FIELD_ERRORS - 1);
            field_errors.push(FieldError::new("", format!("There are at least {left_out} more faults than these.")));
        }
        let detail = match field_errors.as_slice() {
            [one] if one.field.is_empty() => one.message.clone(),
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} faults; `errors` lists each of them", many.len()),
        };
        Self { kind: Kind::Invalid, code: "validation_failed", detail, field_errors }
    }

    /// The error for an id that does not exist, or does not exist any more.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Kind::NotFound, "not_found", format!("There is no {what} with this id."))
    }

    /// The error for what the caller may not do. `detail` says why.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, "forbidden", detail)
    }

    /// A bug or a damaged file.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "internal_error", detail)
    }

    /// The error for a request that cannot be served now because of `why`.
    pub fn unavailable(why: Unavailable, detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable(why), why.code(), detail)
    }

    /// Whether the request cannot be served now because of `why`.
    pub fn is_unavailable(&self, why: Unavailable) -> bool {
        self.kind == Kind::Unavailable(why)
    }

    /// The kind, and so who can correct the cause.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Stable snake_case code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What went wrong, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Every field error of an invalid request. Empty for other kinds.
    pub fn field_errors(&self) -> &[FieldError] {
        &self.field_errors
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Error {}
