//! Background work: rows of deleted accounts and destinations, events past their retention, old tallies, and free
//! pages. Each kind has a loop and turns of its own, so that none delays another. A turn first reads whether there is
//! anything to do, so an idle server does not write. Its write requests take a few milliseconds of the write thread
//! each, so that callers do not wait long.
//!
//! The loops themselves are in `app`. What callers wait for does not belong here.

mod beside;
pub mod pace;
pub mod removal;
pub mod retention;
pub mod space;
pub mod tallies;
pub mod walk;

#[cfg(test)]
pub mod tests;
