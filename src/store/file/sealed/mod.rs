//! Sealing as the file sees it: functions by which queries seal and open values, what the file says of its key, what is
//! left of plain values, and copies beside the file. Which columns hold secrets, and how a file is sealed, is decided in
//! `operations`.

pub mod copies;
pub mod functions;
pub mod ids;
mod pages;
pub mod remains;
pub mod state;
