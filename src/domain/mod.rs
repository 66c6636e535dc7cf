//! Pure types and rules, without HTTP, SQL and a clock: time is always an argument. A domain value that exists is
//! valid.

pub mod account;
pub mod delivery;
pub mod destination;
pub mod document;
pub mod duration;
pub mod event;
pub mod headers;
pub mod ids;
pub mod json;
pub mod login;
pub mod manual_action;
pub mod memory;
pub mod network;
pub mod origin;
pub mod outgoing;
pub mod overview;
pub mod page;
pub mod ports;
pub mod query;
pub mod rate;
pub mod retry;
pub mod secret;
pub mod signature;
pub mod size;
pub mod stats;
mod string_enum;
pub mod target_url;
pub mod text;
pub mod time;
