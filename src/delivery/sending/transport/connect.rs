//! Connects to the addresses that the resolver allowed, in their order. Addresses are not checked here.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{ConnectionDetails, NextTimeout};
use ureq::{Error, Timeout};

use super::failure::Failure;
use super::socket::{Socket, is_reset, timed_out};
use crate::domain::delivery::ErrorClass;

/// When the timeout ends; `None` without a timeout.
pub fn deadline(timeout: &NextTimeout) -> Option<Instant> {
    timeout.not_zero().map(|after| Instant::now() + *after)
}

/// Connects to the first address that accepts a connection.
pub fn connect(details: &ConnectionDetails<'_>) -> Result<Socket, Error> {
    let deadline = deadline(&details.timeout);
    let mut failure = None;
    for (place, address) in details.addrs.iter().enumerate() {
        // An address that does not answer must leave time for the following ones.
        let others = u32::try_from(details.addrs.len() - place).unwrap_or(u32::MAX);
        let connected = match deadline {
            Some(deadline) => match deadline.saturating_duration_since(Instant::now()) {
                Duration::ZERO => break,
                left => TcpStream::connect_timeout(address, (left / others).max(Duration::from_millis(1))),
            },
            None => TcpStream::connect(address),
        };
        match connected {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                let stream = Arc::new(stream);
                let handle: Weak<TcpStream> = Arc::downgrade(&stream);
                (details.register_shutdown)(handle)?;
                return Ok(Socket::new(stream));
            }
            Err(error) => failure = Some(error),
        }
    }
    Err(unreached(failure))
}

fn unreached(failure: Option<io::Error>) -> Error {
    match failure {
        Some(error) if is_reset(&error) => {
            Failure::new(ErrorClass::Reset, format!("the connection broke ({error}) as soon as it was made")).into()
        }
        Some(error) if !timed_out(&error) => Error::Io(error),
        _ => Error::Timeout(Timeout::Connect),
    }
}
