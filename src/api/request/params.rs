//! Path and query parameters, converted into values of the domain. Unknown query parameters are refused in `paths.rs`,
//! not here.

use std::str::FromStr;

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::api::model::values::Limit;
use crate::domain::ids::{AccountId, DeliveryId, DestinationId, EventId, TokenId};
use crate::domain::page::{Cursor, DEFAULT_LIMIT, PageRequest};
use crate::error::Error;
use crate::web::problem::ApiError;

/// An id in a path.
pub trait PathId: Type + FromStr<Err = String> {
    /// What the id stands for, as named in the 404 response.
    const WHAT: &'static str;
}

impl PathId for AccountId {
    const WHAT: &'static str = "account";
}

impl PathId for DestinationId {
    const WHAT: &'static str = "destination";
}

impl PathId for EventId {
    const WHAT: &'static str = "event";
}

impl PathId for DeliveryId {
    const WHAT: &'static str = "delivery";
}

impl PathId for TokenId {
    const WHAT: &'static str = "token";
}

/// Extracts an id from the path. A malformed id belongs to nothing, so the response is 404.
pub struct Path<T>(pub T);

/// Extracts a query parameter that may be missing. A malformed value is a 400 that names the parameter.
pub struct Query<T>(pub Option<T>);

/// The page that `limit` and `cursor` ask for.
pub fn page(limit: Query<Limit>, cursor: Query<Cursor>) -> PageRequest {
    PageRequest { limit: limit.0.map_or(DEFAULT_LIMIT, |limit| limit.0), cursor: cursor.0 }
}

impl<'a, T: PathId> ApiExtractor<'a> for Path<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = true;

    type ParamType = T;
    type ParamRawType = T;

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Path)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    fn param_raw_type(&self) -> Option<&T> {
        Some(&self.0)
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> poem::Result<Self> {
        let id = request.raw_path_param(options.name).and_then(|text| text.parse().ok());
        Ok(Self(id.ok_or_else(|| ApiError::from(Error::not_found(T::WHAT)))?))
    }
}

impl<'a, T: Type + FromStr<Err = String>> ApiExtractor<'a> for Query<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];

    type ParamType = T;
    type ParamRawType = T;

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Query)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    fn param_raw_type(&self) -> Option<&T> {
        self.0.as_ref()
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> poem::Result<Self> {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let given = url::form_urlencoded::parse(query).find(|(name, _)| name == options.name);
        let read = given.map(|(_, value)| value.parse()).transpose();
        Ok(Self(read.map_err(|message| {
            ApiError::bad_parameter(format!("The query parameter `{}` is wrong: {message}.", options.name))
        })?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    async fn read<T: Type + FromStr<Err = String>>(uri: &'static str, name: &'static str) -> Result<Option<T>, u16> {
        let request = Request::builder().uri_str(uri).finish();
        let options = ExtractParamOptions { name, ..Default::default() };
        let read = Query::<T>::from_request(&request, &mut RequestBody::new(().into()), options).await;
        read.map(|query| query.0).map_err(|error| error.status().as_u16())
    }

    #[tokio::test]
    async fn a_query_parameter_is_read_decoded_or_refused() {
        let limit = async |uri| read::<Limit>(uri, "limit").await.map(|limit| limit.map(|limit| limit.0));
        assert_eq!(limit("/?limit=7").await, Ok(Some(7)));
        assert_eq!(limit("/?other=7").await, Ok(None));
        for uri in ["/?limit=0", "/?limit=201", "/?limit=", "/?limit=x", "/?limit=-1", "/?limit=%2B5"] {
            assert_eq!(limit(uri).await, Err(400), "{uri}");
        }
        let time = read::<Timestamp>("/?since=2026-01-01T01:00:00%2B01:00", "since").await;
        assert_eq!(time, Ok(Some(Timestamp::from_millis(1_767_225_600_000))));
    }
}
