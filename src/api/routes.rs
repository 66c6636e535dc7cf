//! Builds the whole HTTP surface: the operations, the pages beside them, and the layers that every request passes.
//! Handlers belong in `operations`, not here.

use std::sync::Arc;

use poem::{Endpoint, EndpointExt as _, IntoEndpoint as _, Request, Response};
use poem_openapi::{OpenApi, OpenApiService};

use super::admitted::LetIn;
use super::context::ApiContext;
use super::docs::{self, DocsApi};
use super::errors::LostPage;
use super::operations::import::{self, ImportApi};
use super::operations::send_event::SendEventApi;
use super::operations::{Operations, operations};
use super::paths::{Paths, Undocumented};
use super::responses::Bounded;
use super::{document, errors};
use crate::web::browser;

/// Pages that are served beside the API. `app` provides them, because `api` does not know `dashboard`.
pub struct Pages<P> {
    /// Handlers of the pages, all hidden from the OpenAPI document.
    pub api: P,
    /// Paths and methods of the pages.
    pub paths: &'static [Undocumented],
    /// What browsers get at other addresses.
    pub lost: LostPage,
}

/// The whole HTTP surface. Every error becomes a problem (RFC 9457), and a panic becomes a 500.
pub fn routes<P: OpenApi + 'static>(
    context: ApiContext,
    pages: Pages<P>,
) -> impl Endpoint<Output = Response> + 'static {
    let context = Arc::new(context);
    let incoming = SendEventApi::new(Arc::clone(&context));
    let hidden = (DocsApi(Arc::clone(&context)), ImportApi(Arc::clone(&context)));
    let api = (operations(&context, incoming.clone()), hidden, pages.api);
    let service = OpenApiService::new(api, document::TITLE, env!("CARGO_PKG_VERSION"));
    let paths = Arc::new(paths(pages.paths));
    let (origins, memory) = (context.origins.clone(), context.bodies.memory.clone());
    let endpoint =
        service.into_endpoint().data(context).data(Arc::clone(&paths)).before(async |mut request: Request| {
            request.set_data(LetIn::default());
            Ok(request)
        });
    let endpoint = Bounded::new(incoming.in_front_of(errors::with_problem_errors(endpoint, paths, pages.lost)), memory);
    browser::with_browser_headers(errors::catch_panics(endpoint), &origins, errors::with_contract_title)
}

fn paths(pages: &[Undocumented]) -> Paths {
    Paths::new(Operations::meta(), docs::PATHS.iter().chain(&import::PATHS).chain(pages).copied())
}

#[cfg(test)]
mod tests {
    use poem::http::{Method, Uri};

    use super::*;

    fn check(uri: &'static str) -> Result<(), String> {
        paths(&[]).check_query(&Method::GET, &Uri::from_static(uri)).map_err(|error| error.problem.detail)
    }

    #[test]
    fn a_misspelt_filter_is_refused_and_named() {
        assert_eq!(check("/v1/deliveries?state=pending&limit=5"), Ok(()));
        assert!(check("/v1/deliveries?sate=pending").unwrap_err().contains("`sate`"));
        assert!(check("/v1/deliveries?limit=1&limit=2").unwrap_err().contains("more than once"));
        assert!(check("/v1/accounts/acc_1?verbose").unwrap_err().contains("it has none"));
    }

    #[test]
    fn a_path_that_is_nearly_right_leads_to_the_right_one() {
        let paths = paths(&[]);
        for (given, meant) in [
            ("/v1/accounts/", Some("/v1/accounts")),
            ("/accounts/", Some("/v1/accounts")),
            ("/accounts", Some("/v1/accounts")),
            ("/docs/", Some("/docs")),
            ("/server/incoming_data/", Some("/server/incoming_data")),
            ("/v1/destinations", Some("/v1/accounts/{account_id}/destinations")),
            ("/v1/events", Some("/v1/accounts/{account_id}/events")),
            ("/nowhere", None),
            ("/", None),
            ("//", None),
        ] {
            assert_eq!(paths.near(given).as_deref(), meant, "{given}");
        }
    }

    #[test]
    fn allow_lists_what_the_document_lists() {
        let paths = paths(&[]);
        for (path, item) in document::value()["paths"].as_object().unwrap() {
            let described = item.as_object().unwrap();
            for (method, described) in described {
                let parameters = described["parameters"].as_array().into_iter().flatten();
                let query: Vec<_> =
                    parameters.filter(|p| p["in"] == "query").map(|p| p["name"].as_str().unwrap()).collect();
                assert_eq!(paths.query(method, path).unwrap(), query, "{method} {path}");
            }
            let head = usize::from(described.contains_key("get"));
            assert_eq!(paths.allowed(path).split(", ").count(), described.len() + head, "{path}");
        }
        assert_eq!(paths.allowed("/server/incoming_data"), "POST");
        assert_eq!(paths.allowed("/v1/destinations/dst_1"), "GET, HEAD, PUT, PATCH, DELETE");
        assert_eq!(paths.allowed("/docs"), "GET, HEAD");
    }
}
