//! What all HTTP handlers share: the server with its deadlines, access, browser rules, reading of bodies, errors,
//! static pages, and streams of events. Nothing here may know accounts or deliveries.

pub mod access;
pub mod body;
pub mod browser;
pub mod engine;
pub mod event_stream;
pub mod limits;
pub mod problem;
pub mod quoted;
pub mod rate_limit;
pub mod server;
pub mod static_page;

#[cfg(test)]
mod tests;
