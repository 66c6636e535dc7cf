//! The HTTP API: wire types, thin handlers, and the document that describes them. A handler authenticates, converts, calls one
//! thing and converts back; its arguments are parsed before it runs. What pages for browsers share with it is in `web`.
//!
//! Floors: `routes` → {`document`, `errors`, `docs`} → `operations` → {`model`, `request`, `responses`, `auth`} → {`paths`,
//! `context`, `tags`}. This file only says what `app` sees.

mod auth;
mod context;
mod docs;
mod document;
mod errors;
mod model;
mod operations;
mod paths;
mod rate_limit;
mod request;
mod responses;
mod routes;
mod tags;

pub use context::ApiContext;
pub use document::{json as document_json, yaml as document_yaml};
pub use routes::{Pages, routes};
