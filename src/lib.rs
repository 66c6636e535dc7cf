//! Data Pusher receives JSON for an account, pushes it to every destination of that account, and loses none of it.
//!
//! The floors, where imports only go down: `main` → [`commands`] → [`app`] → {[`api`], `dashboard`, [`delivery`]} →
//! {[`store`], `web`} → [`domain`] → {[`error`], [`process`]}.

pub mod api;
pub mod app;
pub mod commands;
mod dashboard;
pub mod delivery;
pub mod domain;
pub mod error;
pub mod process;
pub mod store;
mod web;
