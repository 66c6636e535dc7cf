//! Data Pusher: receives JSON for an account and pushes it to every destination of that account, and loses none of it.
//!
//! Floors, imports going down only: `main` → [`app`] → {[`api`], [`delivery`]} → [`store`] → [`domain`] → {[`error`], [`process`]}.

pub mod api;
pub mod app;
pub mod delivery;
pub mod domain;
pub mod error;
pub mod process;
pub mod store;
