//! Black-box tests: the real binary on a free port with a temporary file, seen only through HTTP, signals and files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

mod accounts;
mod accounts_pages;
mod cascade;
mod clock;
mod destination_rules;
mod destinations;
mod disk_full;
mod durability;
mod examples;
mod flags;
mod idempotency;
mod incoming;
mod incoming_body;
mod lasting;
mod lifecycle;
mod mapping;
mod misbehaving;
mod overrides;
mod payload;
mod problems;
mod retries;
mod signatures;
mod startup;
mod stats;
mod steering;
mod stream;
mod targets;
mod token;
