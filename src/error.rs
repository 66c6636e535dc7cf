//! The one error type. Its [`Kind`] decides what the caller is told; `api` maps a kind to a status in one place.

use std::fmt;

/// What sort of failure it is, and so who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Well formed, but not valid (HTTP 422); [`Error::faults`] names each field.
    Invalid,
    /// No such thing, or not any more (HTTP 404).
    NotFound,
    /// It clashes with what is there (HTTP 409).
    Conflict,
    /// It cannot be done now; nothing was acknowledged (HTTP 503).
    Unavailable(Unavailable),
    /// A bug or a broken file (HTTP 500); the detail goes to the log, not to the caller.
    Internal,
}

/// Why something cannot be done now. Code branches on it; clients see its [`code`](Self::code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// An I/O error of the database: its connection is opened again.
    Io,
    /// Another program holds the lock of the database file.
    Locked,
    /// A write found no room on the disk: the transaction it was in is lost.
    DiskFull,
    /// The disk has less room than the reserve: nothing was written yet.
    DiskLow,
    /// The database file, its log or its content is not what it was.
    FileLost,
    /// All of `--memory` is taken.
    NoMemory,
    /// More waits for the write thread than may.
    QueueFull,
    /// The server stops.
    Stopping,
    /// As many streams are open as may be.
    TooManyStreams,
    /// The engine can send no more tests now.
    EngineBusy,
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
            Self::EngineBusy => "engine_busy",
        }
    }
}

/// One thing wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field in the body, such as `headers.X-Id`; empty for the body as a whole.
    pub field: String,
    /// What is wrong and what would be right. Never holds a secret.
    pub message: String,
}

impl FieldError {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// A failure, with a stable code for programs and a detail for people.
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
    /// An error of `kind` with a stable snake_case `code` and a `detail` that says what to do.
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, code, detail: detail.into(), field_errors: Vec::new() }
    }

    /// A well-formed request with every fault found in it.
    pub fn invalid(field_errors: Vec<FieldError>) -> Self {
        let detail = match field_errors.as_slice() {
            [one] if one.field.is_empty() => one.message.clone(),
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} faults; `errors` lists each of them", many.len()),
        };
        Self { kind: Kind::Invalid, code: "validation_failed", detail, field_errors }
    }

    /// Nothing with this id (or not any more).
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Kind::NotFound, "not_found", format!("There is no {what} with this id."))
    }

    /// A bug or a broken file.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "internal_error", detail)
    }

    /// It cannot be done now, because of `why`.
    pub fn unavailable(why: Unavailable, detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable(why), why.code(), detail)
    }

    /// Whether it cannot be done now because of `why`.
    pub fn is_unavailable(&self, why: Unavailable) -> bool {
        self.kind == Kind::Unavailable(why)
    }

    /// Who can mend it.
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

    /// Each fault of an invalid request; empty for other kinds.
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
