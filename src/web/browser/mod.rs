//! Rules for browsers: the `Host` header, CORS, same-origin checks and security headers. Tokens and sessions belong in
//! `access`.

pub mod cors;
pub mod host;
pub mod same_origin;
pub mod security_headers;

use poem::http::{Method, Uri};
use poem::{Endpoint, Request, Response};

use self::same_origin::OriginPolicy;
use super::problem::ApiError;
use crate::domain::origin::Origin;

/// An endpoint with the browser rules around it: checks `Host`, does CORS for the allowed origins, and adds the
/// security headers to every response.
pub struct WithBrowserHeaders<E> {
    endpoint: E,
    allowed_origins: Vec<Origin>,
    shape: fn(&Uri, ApiError) -> ApiError,
}

/// Adds the browser rules to `endpoint`, which must not fail. `shape` converts the errors that are made here.
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
            // Boxed, because hardly any request needs this large future.
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
