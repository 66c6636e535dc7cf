//! The operator's half of the campaign: what people do to the program, its files, names and streams, and not what the
//! system does. Whatever they do, what was acknowledged is served, or one line says why not and what to do; and what that
//! line says works.

mod acts;
mod advice;
mod host;
mod keep;
mod model;
pub mod moved;
pub mod names;
pub mod panics;
pub mod restores;
mod running;
pub mod sequences;
mod stopped;
pub mod streams;
