//! One HTTP exchange with a destination, and all of ureq: names, connections, TLS, the request and its response.
//! Nothing here knows of lanes or of the store.

pub mod attempt;
pub mod buffers;
pub mod client;
pub mod connections;
pub mod resolver;
pub mod tls;
pub mod transport;
