//! Reads what clients send: bodies and their fields, parameters, and the `Prefer` header. What a field means belongs in
//! `domain`.

pub mod body;
pub mod fields;
pub mod json_tree;
pub mod params;
pub mod prefer;
