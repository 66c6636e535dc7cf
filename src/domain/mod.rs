//! Pure types and rules, without HTTP, SQL and a clock: time is always an argument. A domain value that exists is
//! valid.

pub mod access;
pub mod access_token;
pub mod account;
pub mod conditions;
pub mod delivery;
pub mod destination;
pub mod document;
pub mod duration;
pub mod event;
pub mod event_type;
pub mod export;
pub mod filter;
pub mod headers;
pub mod histogram;
pub mod ids;
pub mod instance;
pub mod json;
pub mod login;
pub mod manual_action;
pub mod memory;
pub mod network;
pub mod notice;
pub mod order;
pub mod origin;
pub mod outgoing;
pub mod overview;
pub mod pacer;
pub mod page;
pub mod pausing;
pub mod ports;
pub mod preview;
pub mod query;
pub mod rate;
pub mod retry;
pub mod sealing;
pub mod secret;
pub mod shaping;
pub mod signature;
pub mod size;
pub mod stats;
mod string_enum;
pub mod target_url;
pub mod template;
pub mod templates;
pub mod text;
pub mod time;
pub mod token_kind;

#[cfg(test)]
pub(crate) mod tests;
