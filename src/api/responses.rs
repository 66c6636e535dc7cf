//! Responses of handlers: JSON with a status, written once and without a tree of values in between. A large response
//! reserves part of the memory that all clients share ([`Bounded`]). Errors belong in `web/problem.rs`.

use std::marker::PhantomData;

use bytes::Bytes;
use poem::http::header::LOCATION;
use poem::http::{HeaderValue, StatusCode};
use poem::{Body, Endpoint, IntoResponse, Request, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;
use serde::Serialize;

use crate::domain::memory::{MemoryBudget, NoMemory, Reservation};
use crate::error::Result;
use crate::store::Store;
use crate::web::body;
use crate::web::problem::{ApiError, ApiResult};

/// A 200 response with JSON.
pub struct OkJson<T>(pub T);

/// A 200 response whose JSON may be long. The JSON is written where this does not delay senders of events.
pub struct Long<T> {
    bytes: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

/// A 201 response with the path of what was created.
pub struct Created<T> {
    /// What was created.
    pub body: T,
    /// Path of what was created, for the `Location` header.
    pub location: String,
}

/// A 202 response: the request is accepted and will be carried out.
pub struct AcceptedJson<T>(pub T);

/// A 204 response, which has no body.
pub struct NoContent;

/// Initial capacity of a response in bytes: enough for the receipt of an event with one delivery.
const TYPICAL_BYTES: usize = 512;

/// Responses longer than this many bytes reserve shared memory until they are sent. A client that reads slowly, or not
/// at all, would otherwise hold much memory for a long time.
const LARGE_BYTES: usize = 32 * 1024;

/// Marks a response for which [`Bounded`] must reserve memory.
#[derive(Debug, Clone, Copy)]
struct Large;

/// A response with `body` as JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    json_in(None, status, body)
}

/// A response with `body` as JSON. `memory`, if given, was reserved for this response.
pub fn json_in(memory: Option<Reservation>, status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = match written(memory.as_ref().map_or(TYPICAL_BYTES, Reservation::bytes), body) {
        Ok(bytes) => bytes,
        Err(error) => return error.into_response(),
    };
    match memory {
        Some(memory) => Response::builder().status(status).content_type("application/json").body(held(bytes, memory)),
        None => unreserved(status, bytes),
    }
}

fn written(room: usize, body: &impl Serialize) -> ApiResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(room);
    serde_json::to_writer(&mut bytes, body).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        ApiError::internal()
    })?;
    Ok(bytes)
}

/// A response for which no memory was reserved. If the response is large, [`Bounded`] reserves memory later.
fn unreserved(status: StatusCode, bytes: Vec<u8>) -> Response {
    let response = Response::builder().status(status).content_type("application/json");
    if bytes.len() > LARGE_BYTES { response.extension(Large).body(bytes) } else { response.body(bytes) }
}

impl<T: Serialize> Long<T> {
    /// Reads, builds the response from what was found, and writes the JSON. Both steps run in turns that give way to
    /// senders of events.
    ///
    /// # Errors
    /// Those of `read`; internal if the JSON cannot be written.
    pub async fn made<S: Send + 'static>(
        store: &Store,
        read: impl Future<Output = Result<S>>,
        make: impl FnOnce(S) -> T + Send + 'static,
    ) -> ApiResult<Self> {
        // Held over both steps: what was read waits here for its JSON, and is not counted in the shared memory.
        let _turn = store.answer_permit().await?;
        let found = read.await?;
        let bytes = store.run_yielding(move || written(TYPICAL_BYTES, &make(found))).await??;
        Ok(Self { bytes, of: PhantomData })
    }
}

/// A body that gives its memory back when it is sent, or when its connection is closed.
fn held(bytes: impl AsRef<[u8]> + Send + 'static, memory: Reservation) -> Body {
    struct Held<B>(B, #[expect(dead_code, reason = "given back when it is dropped")] Reservation);
    impl<B: AsRef<[u8]>> AsRef<[u8]> for Held<B> {
        fn as_ref(&self) -> &[u8] {
            self.0.as_ref()
        }
    }
    Body::from(Bytes::from_owner(Held(bytes, memory)))
}

/// An endpoint whose large responses reserve part of the memory that all clients share.
pub struct Bounded<E> {
    endpoint: E,
    memory: MemoryBudget,
}

impl<E> Bounded<E> {
    /// Wraps `endpoint`; large responses reserve from `memory`.
    pub fn new(endpoint: E, memory: MemoryBudget) -> Self {
        Self { endpoint, memory }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Bounded<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let mut response = self.endpoint.call(request).await?;
        if response.extensions_mut().remove::<Large>().is_none() {
            return Ok(response);
        }
        // The body was written in one piece, so nothing is copied here.
        let bytes = response.take_body().into_bytes().await.map_err(|_| ApiError::internal())?;
        match self.memory.reserve(bytes.len()) {
            Ok(memory) => {
                response.set_body(held(bytes, memory));
                Ok(response)
            }
            Err(NoMemory) => Ok(body::no_memory().into_response()),
        }
    }
}

/// Describes a response in the OpenAPI document. An empty `description` stands for the description of the schema.
pub fn described<T: Type>(status: StatusCode, description: &'static str) -> MetaResponse {
    MetaResponse {
        description,
        status: Some(status.as_u16()),
        status_range: None,
        content: vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }],
        headers: Vec::new(),
    }
}

/// Schema of a plain-text response.
pub fn text_schema(example: &str) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(MetaSchema { example: Some(example.into()), ..MetaSchema::new("string") }))
}

/// Describes a response header in the OpenAPI document.
pub fn header(name: &str, description: &str, required: bool) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required,
        deprecated: false,
        schema: String::schema_ref(),
    }
}

impl<T: Serialize + Send> IntoResponse for OkJson<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

impl<T> IntoResponse for Long<T> {
    fn into_response(self) -> Response {
        unreserved(StatusCode::OK, self.bytes)
    }
}

impl<T: Serialize + Send> IntoResponse for AcceptedJson<T> {
    fn into_response(self) -> Response {
        json(StatusCode::ACCEPTED, &self.0)
    }
}

impl<T: Serialize + Send> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::CREATED, &self.body);
        if let Ok(location) = HeaderValue::try_from(self.location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

macro_rules! api_response {
    ($type:ident, $status:expr, [$($header:expr),*]) => {
        impl<T: Type + Serialize + Send> ApiResponse for $type<T> {
            fn meta() -> MetaResponses {
                let response = MetaResponse { headers: vec![$($header),*], ..described::<T>($status, "") };
                MetaResponses { responses: vec![response] }
            }

            fn register(registry: &mut Registry) {
                T::register(registry);
            }
        }
    };
}

api_response!(OkJson, StatusCode::OK, []);
api_response!(Long, StatusCode::OK, []);
api_response!(AcceptedJson, StatusCode::ACCEPTED, []);
api_response!(Created, StatusCode::CREATED, [header("Location", "Path of the created resource.", true)]);

impl ApiResponse for NoContent {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "Deleted. The response has no body.",
            status: Some(StatusCode::NO_CONTENT.as_u16()),
            status_range: None,
            content: Vec::new(),
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}
