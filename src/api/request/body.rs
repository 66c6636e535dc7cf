//! The body of an admin request: read, checked and converted before a handler sees it. The data handler does not use
//! this module, because its documents are kept byte for byte.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::http::header::CONTENT_TYPE;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::fields::Fields;
use super::json_tree::Json;
use crate::api::admitted::LetIn;
use crate::api::context::ApiContext;
use crate::domain::json;
use crate::domain::network::NetworkPolicy;
use crate::web::body::media_type::{self, Accepts};
use crate::web::body::{self};
use crate::web::problem::{ApiError, ApiResult};

/// A documented body that is converted into a value of the domain.
pub trait FromBody: Type + 'static {
    /// What the body is converted into.
    type Parsed: Send + 'static;

    /// Media types that the operation accepts.
    const ACCEPTS: Accepts = Accepts::Json;

    /// Whether a missing body stands for a body without fields.
    const MAY_BE_MISSING: bool = false;

    /// Whether a field is needed byte for byte.
    const KEEPS_SOURCE: bool = false;

    /// Whether fields are compiled. That may take milliseconds, so it is done on a thread that may block.
    const COMPILES: bool = false;

    /// Reads every field; `None` if any field has an error.
    fn read(fields: &mut Fields, network: &NetworkPolicy) -> Option<Self::Parsed>;
}

/// Extracts the body that is documented as `T`.
pub struct Body<T: FromBody>(pub T::Parsed);

impl<T: FromBody> Body<T> {
    async fn read(request: &Request, body: poem::Body, context: &ApiContext) -> ApiResult<Self> {
        let headers = request.headers();
        let refused = media_type::check(headers, T::ACCEPTS);
        // Only reading shows whether a body comes: clients also send empty bodies, even chunked ones.
        let may_be_none = T::MAY_BE_MISSING && !headers.contains_key(CONTENT_TYPE);
        match refused {
            Err(error) if !may_be_none => {
                body::refuse(body, headers, context.bodies.bytes).await;
                Err(error)
            }
            refused => {
                let (bytes, _memory) = body::read(body, headers, &context.bodies).await?;
                // Some generated clients send a content type without a body, or `null`, where no body was given.
                if T::MAY_BE_MISSING && matches!(bytes.trim_ascii(), b"" | b"null") {
                    return Self::convert(Json::Object(Vec::new()), Vec::new(), &context.network);
                }
                refused?;
                let (json, network) = (parse(&bytes)?, Arc::clone(&context.network));
                let source = if T::KEEPS_SOURCE { bytes.to_vec() } else { Vec::new() };
                let convert = move || Self::convert(json, source, &network);
                if T::COMPILES { context.store.run_yielding(convert).await? } else { convert() }
            }
        }
    }

    fn convert(body: Json, source: Vec<u8>, network: &NetworkPolicy) -> ApiResult<Self> {
        let mut fields = Fields::of(body, source)?;
        let read = T::read(&mut fields, network);
        Ok(Self(fields.finish(read)?))
    }
}

/// Parses a body of the admin API.
fn parse(bytes: &[u8]) -> ApiResult<Json> {
    let malformed = |detail: String| ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", detail);
    json::check(bytes).map_err(malformed)?;
    serde_json::from_slice(bytes).map_err(|error| malformed(format!("The body cannot be read: {error}.")))
}

impl<'a, T: FromBody> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        // One media type, even if more are accepted: with two, some generators fail and others make the body optional.
        let content = vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: !T::MAY_BE_MISSING })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        let context = request.data::<Arc<ApiContext>>().ok_or_else(ApiError::internal)?;
        let read = Self::read(request, body.take()?, context).await;
        LetIn::check(request, (context.clock)())?;
        Ok(read?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::document;
    use crate::api::model::accounts::{AccountCreate, AccountReplace, AccountUpdate, TokenRotation};
    use crate::api::model::deliveries::DeliveryRetry;
    use crate::api::model::destination_bodies::{
        DestinationCreate, DestinationReplace, DestinationReplay, DestinationUpdate,
    };
    use crate::api::model::tokens::TokenCreate;

    /// Reads the documented example. Returns the fields that are read, and the fields that the document lists.
    fn read_and_documented<T: FromBody>() -> (Vec<String>, Vec<String>) {
        let schema = &document::value()["components"]["schemas"][T::name().as_ref()];
        let read = |body: &serde_json::Value| {
            let mut fields =
                Fields::of(serde_json::from_value(body.clone()).unwrap(), body.to_string().into_bytes()).unwrap();
            let read = T::read(&mut fields, &NetworkPolicy::new(Vec::new()));
            (fields, read)
        };
        let (fields, example) = read(&schema["example"]);
        assert!(fields.finish(example).is_ok(), "{} has a bad example", T::name());
        // The error for an unknown field lists the known ones.
        let (fields, _) = read(&serde_json::json!({"?": null}));
        let refused = fields.finish(None::<()>).unwrap_err();
        let unknown = refused.field_errors().iter().find(|fault| fault.field == "?").unwrap();
        let (_, known) = unknown.message.split_once("known are ").unwrap();
        let mut asked: Vec<_> = known.split(", ").map(str::to_owned).collect();
        let mut documented: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        asked.sort_unstable();
        documented.sort_unstable();
        (asked, documented)
    }

    #[test]
    fn a_body_is_read_as_the_document_describes_it() {
        for (read, documented) in [
            read_and_documented::<AccountCreate>(),
            read_and_documented::<AccountReplace>(),
            read_and_documented::<AccountUpdate>(),
            read_and_documented::<TokenRotation>(),
            read_and_documented::<DestinationCreate>(),
            read_and_documented::<DestinationReplace>(),
            read_and_documented::<DestinationUpdate>(),
            read_and_documented::<DestinationReplay>(),
            read_and_documented::<DeliveryRetry>(),
            read_and_documented::<TokenCreate>(),
        ] {
            assert_eq!(read, documented);
        }
    }

    #[test]
    fn what_is_not_json_is_malformed_and_says_where() {
        for text in ["", "{", "{\"a\":1} x", "\u{feff}{}"] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!((error.problem.status, error.problem.code.as_str()), (400, "malformed_json"), "{text}");
        }
        assert!(parse(b"{\"a\":1e999}").is_err());
        assert!(parse(b"[]").is_ok());
    }
}
