//! How secrets are sealed, so that whoever has the database file, or a copy of it, has none of them: the key, single
//! values, and whole files. Where sealed values lie belongs in `store`, and how a key file is read in `commands`.

pub mod file;
pub mod key;
pub mod value;
