//! Takes accounts with their destinations out of a file, and into another one. Events and deliveries stay where they
//! are. How accounts look as a document is decided in `api`.

pub mod export;
pub mod import;
