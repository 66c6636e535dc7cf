//! The objects of the API: the form of request bodies and responses, and their conversion from and to `domain`.
//! Behaviour does not belong here.

pub mod accounts;
pub mod deliveries;
pub mod destination_bodies;
pub mod destination_values;
pub mod destinations;
pub mod events;
pub mod export;
pub mod import_report;
pub mod preview;
pub mod sealed_export;
pub mod server;
pub mod tokens;
pub mod values;
