//! Why a connection failed, in our own classes and texts. ureq passes the error on unchanged.

use std::fmt;

use crate::domain::delivery::ErrorClass;

/// Why a connection failed.
#[derive(Debug)]
pub struct Failure {
    /// The class of the error.
    pub class: ErrorClass,
    /// What happened, for people, and what to do where that is known. Contains no secret.
    pub detail: String,
    /// Whether the peer had closed a kept connection before it took the request. That says nothing about the
    /// destination.
    pub stale: bool,
}

impl Failure {
    /// A failure of this class, not stale.
    pub fn new(class: ErrorClass, detail: impl Into<String>) -> Self {
        Self { class, detail: detail.into(), stale: false }
    }

    /// The failure inside an error of ureq, if there is one.
    pub fn of(error: &ureq::Error) -> Option<&Self> {
        match error {
            ureq::Error::Other(inner) => inner.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for ureq::Error {
    fn from(failure: Failure) -> Self {
        Self::Other(Box::new(failure))
    }
}
