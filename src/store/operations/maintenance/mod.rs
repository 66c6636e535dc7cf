//! What goes in the background: rows of deleted accounts and destinations, events past their retention, old tallies, and
//! pages given back to the file system. Each is a loop of its own with turns of its own, so that none keeps another from
//! its work. A turn does at most a few milliseconds of the write thread's time, and a read decides before whether there is
//! anything to do, so that an idle server does not write.

pub mod pace;
pub mod removal;
pub mod retention;
pub mod space;
pub mod tallies;
pub mod walk;

#[cfg(test)]
mod tests;
