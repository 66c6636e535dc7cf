//! What browsers need to be told, and what pages of others must not do.

mod answers;
mod cors;
mod requests;

use poem::http::Method;
use poem::{Endpoint, Request, Response};

use crate::api::host;
use crate::domain::origin::Origin;

pub use requests::Caller;

/// Whose pages may do what.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Where people reach this server, if not as localhost.
    pub public: Option<Origin>,
    /// Origins whose pages may call it with a token of their own.
    pub friends: Vec<Origin>,
}

/// The front of every answer: a look at `Host`, CORS for the origins that were named, and the headers that keep browsers safe.
pub struct Fronted<E> {
    endpoint: E,
    friends: Vec<Origin>,
}

/// Puts the front before `endpoint`, which never fails.
pub fn fronted<E: Endpoint<Output = Response>>(endpoint: E, site: &Site) -> Fronted<E> {
    Fronted { endpoint, friends: site.friends.clone() }
}

impl<E: Endpoint<Output = Response>> Endpoint for Fronted<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let friend = cors::friend(&self.friends, request.headers());
        let mut response = match (host::check(request.version(), request.headers()), friend) {
            // Boxed, since next to no request needs it.
            (Err(error), _) => Box::pin(host::refuse(request, error)).await,
            (Ok(()), Some(_)) if request.method() == Method::OPTIONS && cors::is_preflight(request.headers()) => {
                cors::preflight()
            }
            (Ok(()), _) => self.endpoint.call(request).await?,
        };
        let headers = response.headers_mut();
        if !self.friends.is_empty() {
            cors::answer(friend, headers);
        }
        answers::protect(headers);
        Ok(response)
    }
}
