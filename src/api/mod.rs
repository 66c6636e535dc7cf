//! The HTTP API: wire types, thin handlers, and the OpenAPI document that describes them. A handler authenticates,
//! converts, calls one function and converts back; its arguments are parsed before it runs. Rules belong in `domain`,
//! SQL in `store`, and what browser pages share with the API in `web`.
//!
//! Imports go down these floors: `routes` → {`document`, `errors`, `docs`} → `operations` → {`model`, `request`,
//! `responses`, `admitted`} → `auth` → {`paths`, `context`, `tags`} → `ingest_metrics`. This file only says what `app`
//! may use.

mod admitted;
mod auth;
mod context;
mod docs;
mod document;
mod errors;
mod ingest_metrics;
mod model;
mod operations;
mod paths;
mod request;
mod responses;
mod routes;
mod tags;

pub use context::ApiContext;
pub use document::{json as document_json, yaml as document_yaml};
pub use ingest_metrics::{IngestMetrics, IngestMetricsSnapshot};
pub use model::export::{read as read_export, write as write_export};
pub use model::import_report::ImportReport;
pub use model::sealed_export::Reader as ExportReader;
pub use operations::import::{
    CHALLENGE as IMPORT_CHALLENGE, MAX_BYTES as IMPORT_MAX_BYTES, PATH as IMPORT_PATH, SKIP_EXISTING,
};
pub use operations::send_event::PATH as PATH_OF_EVENTS;
pub use routes::{Pages, routes};

#[cfg(test)]
mod tests;
