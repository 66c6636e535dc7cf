//! Faults that an operator causes: what people do to the program, its files, names and streams. After each act one of
//! two things holds. Either what was acknowledged is served, or one line says why not and what to do, and doing so
//! helps.

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
