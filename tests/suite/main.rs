//! Black-box tests: the real binary on a free port with a temporary file, seen only through HTTP, signals and files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "shared with the fault campaign, which uses all of it")]
mod harness;

mod account_rate;
mod accounts;
mod accounts_pages;
mod answers_broken;
mod browsers;
mod cascade;
mod client_examples;
mod crowd;
mod dashboard;
mod destination_rate;
mod destination_rules;
mod destinations;
mod dns;
mod durability;
mod early_answers;
mod event_types;
mod examples;
mod fairness;
mod file_moved;
mod flags;
mod fuzz;
mod holds;
mod http_forms;
mod http_versions;
mod https;
mod idempotency;
mod incoming;
mod incoming_body;
mod lasting;
mod lifecycle;
mod listen;
mod many_bodies;
mod mapping;
mod memory;
mod misbehaving;
mod notices;
mod open_files;
mod output;
mod overrides;
mod payload;
mod problems;
mod retries;
mod secrets;
mod send;
mod send_again;
mod sessions;
mod shaping;
mod signals;
mod signatures;
mod small_commands;
mod startup;
mod stats;
mod steering;
mod stream;
mod strict_order;
mod targets;
mod texts;
mod times;
mod token;
