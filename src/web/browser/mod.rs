//! What browsers need to be told, and what pages of others must not do.

pub mod cors;
pub mod host;
pub mod same_origin;
pub mod security_headers;

use poem::http::{Method, Uri};
use poem::{Endpoint, Request, Response};

use self::same_origin::OriginPolicy;
use super::problem::ApiError;
use crate::domain::origin::Origin;

/// The front of every answer: a look at `Host`, CORS for the origins that were named, and the headers that keep browsers safe.
pub struct WithBrowserHeaders<E> {
    endpoint: E,
    allowed_origins: Vec<Origin>,
    shape: fn(&Uri, ApiError) -> ApiError,
}

/// Puts the front before `endpoint`, which never fails. What it refuses itself looks as `shape` makes it.
pub fn with_browser_headers<E: Endpoint<Output = Response>>(
    endpoint: E,
    site: &OriginPolicy,
    shape: fn(&Uri, ApiError) -> ApiError,
) -> WithBrowserHeaders<E> {
    WithBrowserHeaders { endpoint, allowed_origins: site.allowed_origins.clone(), shape }
}

impl<E: Endpoint<Output = Response>> Endpoint for WithBrowserHeaders<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let friend = cors::allowed_origin(&self.allowed_origins, request.headers());
        let mut response = match (host::check(request.version(), request.headers()), friend) {
            // Boxed, since next to no request needs it.
            (Err(error), _) => Box::pin(host::refuse(request, error, self.shape)).await,
            (Ok(()), Some(_)) if request.method() == Method::OPTIONS && cors::is_preflight(request.headers()) => {
                cors::preflight()
            }
            (Ok(()), _) => self.endpoint.call(request).await?,
        };
        let headers = response.headers_mut();
        if !self.allowed_origins.is_empty() {
            cors::answer(friend, headers);
        }
        security_headers::protect(headers);
        Ok(response)
    }
}
