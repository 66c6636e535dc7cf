//! What every HTTP surface shares: the server with its deadlines, who gets in, what browsers may do, how bodies are read, the
//! shape of errors, and pages that do not change. Nothing here knows of accounts or deliveries.

pub mod access;
pub mod body;
pub mod browser;
pub mod problem;
pub mod server;
pub mod static_page;
