//! The objects of the API: what bodies and answers look like, and how they become values of the domain and back.

pub mod accounts;
pub mod deliveries;
pub mod destination_bodies;
pub mod destinations;
pub mod events;
pub mod server;
pub mod values;
