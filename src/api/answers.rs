//! Answers of handlers: JSON with a status of its own, written once, without a tree in between.

use poem::http::header::LOCATION;
use poem::http::{HeaderValue, StatusCode};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;
use serde::Serialize;

use super::problem::ApiError;

/// 200.
pub struct Found<T>(pub T);

/// 201 and where it is.
pub struct Created<T> {
    /// What was made.
    pub body: T,
    /// Its path.
    pub location: String,
}

/// 202: it will be done.
pub struct Taken<T>(pub T);

/// 204.
pub struct Gone;

/// Room for an answer to begin with: an event's receipt with a delivery.
const USUAL_BYTES: usize = 512;

/// Writes `body`.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    match serde_json::to_writer(&mut bytes, body) {
        Ok(()) => Response::builder().status(status).content_type("application/json").body(bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            ApiError::internal().into_response()
        }
    }
}

/// What the document says of an answer. Where no description is given, the one of its schema will do.
pub fn described<T: Type>(status: StatusCode, description: &'static str) -> MetaResponse {
    MetaResponse {
        description,
        status: Some(status.as_u16()),
        status_range: None,
        content: vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }],
        headers: Vec::new(),
    }
}

/// Schema of an answer that is plain text.
pub fn text_schema(example: &str) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(MetaSchema { example: Some(example.into()), ..MetaSchema::new("string") }))
}

/// A header of an answer.
pub fn header(name: &str, description: &str, required: bool) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required,
        deprecated: false,
        schema: String::schema_ref(),
    }
}

impl<T: Serialize + Send> IntoResponse for Found<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

impl<T: Serialize + Send> IntoResponse for Taken<T> {
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

impl IntoResponse for Gone {
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

api_response!(Found, StatusCode::OK, []);
api_response!(Taken, StatusCode::ACCEPTED, []);
api_response!(Created, StatusCode::CREATED, [header("Location", "Path of what was made.", true)]);

impl ApiResponse for Gone {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "It is gone.",
            status: Some(StatusCode::NO_CONTENT.as_u16()),
            status_range: None,
            content: Vec::new(),
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}
