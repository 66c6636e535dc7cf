//! Reports to each connection when its requests begin and end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use poem::{Body, Endpoint, Request, Response};
use tokio::io::{AsyncRead, ReadBuf};

use super::acceptor;
use super::connection::Connection;
use super::connections::OpenConnections;

/// Media type of responses that go on until the client or the server ends them.
const EVENT_STREAM: &str = "text/event-stream";

/// An endpoint that reports its requests to their connections.
pub struct RequestTracker<E> {
    endpoint: E,
    connections: Arc<OpenConnections>,
}

impl<E> RequestTracker<E> {
    /// Tracks the requests of `endpoint`.
    pub fn new(endpoint: E, connections: Arc<OpenConnections>) -> Self {
        Self { endpoint, connections }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for RequestTracker<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let ends = acceptor::ends(request.local_addr(), request.remote_addr());
        let under_way = ends.and_then(|ends| self.connections.find(&ends)).map(RequestGuard::begin);
        let mut response = self.endpoint.call(request).await?;
        if let Some(under_way) = under_way
            && response.content_type().is_some_and(|media_type| media_type.starts_with(EVENT_STREAM))
        {
            under_way.connection.stream();
            let body = response.take_body().into_async_read();
            response.set_body(Body::from_async_read(Streamed { body, _under_way: under_way }));
        }
        Ok(response)
    }
}

/// Reports the end of a request when it is dropped.
struct RequestGuard {
    connection: Arc<Connection>,
}

impl RequestGuard {
    fn begin(connection: Arc<Connection>) -> Self {
        connection.begin();
        Self { connection }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.connection.end(Instant::now());
    }
}

/// A response body that keeps its request in progress until the body ends.
struct Streamed<R> {
    body: R,
    _under_way: RequestGuard,
}

impl<R: AsyncRead + Unpin> AsyncRead for Streamed<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.body).poll_read(context, buffer)
    }
}
