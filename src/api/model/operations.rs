//! Objects about the server itself.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

/// The server is well.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub struct Health {
    /// Always `ok`; otherwise the status is not 200.
    pub status: String,
}

impl Health {
    /// All is well.
    pub fn ok() -> Self {
        Self { status: "ok".to_owned() }
    }
}

impl Example for Health {
    fn example() -> Self {
        Self::ok()
    }
}
