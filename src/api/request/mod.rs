//! What clients send, read: bodies and their fields, parameters, the `Prefer` header. What a field means is for `domain`.

pub mod body;
pub mod fields;
pub mod json_tree;
pub mod params;
pub mod prefer;
