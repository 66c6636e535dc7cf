//! Turns every error of the framework into a [`Problem`](crate::web::problem::Problem), and every panic into a 500.
//! Errors of handlers are problems already, and pass unchanged.

use std::sync::Arc;

use poem::http::header::{ACCEPT, ALLOW};
use poem::http::{HeaderValue, Method, StatusCode, Uri};
use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt as _, IntoResponse as _, Request, Response};

use super::operations::send_event;
use super::paths::Paths;
use crate::web::problem::{ApiError, MEDIA_TYPE};

/// An endpoint that responds with 500 when `endpoint` panics.
pub fn catch_panics(endpoint: impl Endpoint<Output = Response> + 'static) -> impl Endpoint<Output = Response> {
    endpoint
        .with(CatchPanic::new().with_handler(|_| {
            tracing::error!("a handler panicked");
            ApiError::internal()
        }))
        .map_to_response()
}

/// Makes the response to a browser that asks for a page that does not exist (404), or for the address of a form (405).
/// The request has no body.
pub type LostPage = Box<dyn Fn(&Request, StatusCode) -> Response + Send + Sync>;

/// Wraps `endpoint`, so that each of its errors is a problem. Browsers that look for a page get what `lost` makes.
pub fn with_problem_errors<E: Endpoint<Output = Response>>(
    endpoint: E,
    paths: Arc<Paths>,
    lost: LostPage,
) -> WithProblemErrors<E> {
    WithProblemErrors { endpoint, paths, lost }
}

/// An endpoint whose errors are all problems, apart from pages that do not exist.
pub struct WithProblemErrors<E> {
    endpoint: E,
    paths: Arc<Paths>,
    lost: LostPage,
}

impl<E: Endpoint<Output = Response>> Endpoint for WithProblemErrors<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let browser = looks_for_a_page(&request).then(|| without_body(&request));
        let shape = |status, message: &str| match &browser {
            Some(asked) if is_lost(status, &method) => (self.lost)(asked, status),
            _ => self.shape(status, message, &method, &uri),
        };
        match self.endpoint.call(request).await {
            Ok(response) if is_foreign_error(&response) => Ok(shape(response.status(), "")),
            Ok(response) => Ok(response),
            Err(error) if error.is_from_response() => Ok(error.into_response()),
            Err(error) => Ok(shape(error.status(), &error.to_string())),
        }
    }
}

/// First segments of paths that are for programs. Whoever asks there, even in a browser, gets a problem.
const FOR_PROGRAMS: [&str; 6] = ["v1", "server", "docs", "healthz", "readyz", "metrics"];

/// Whether the request comes from a browser that wants a page to show.
fn looks_for_a_page(request: &Request) -> bool {
    let first = request.uri().path().split('/').nth(1).unwrap_or_default();
    let accepts = |line: &HeaderValue| line.to_str().is_ok_and(|line| line.contains("text/html"));
    let is_for_programs = FOR_PROGRAMS.contains(&first) || first.starts_with("openapi");
    !is_for_programs && request.headers().get_all(ACCEPT).iter().any(accepts)
}

fn without_body(request: &Request) -> Request {
    let mut copy = Request::builder().method(request.method().clone()).uri(request.uri().clone()).finish();
    request.headers().clone_into(copy.headers_mut());
    copy
}

/// Whether an error of the router means that there is no such page. A form that is sent to a page gets a problem: going
/// elsewhere would hide that nothing was done.
fn is_lost(status: StatusCode, method: &Method) -> bool {
    status == StatusCode::NOT_FOUND || (status == StatusCode::METHOD_NOT_ALLOWED && method.is_safe())
}

/// The error with the title that clients of this path expect: the data handler has titles of its own.
pub fn with_contract_title(uri: &Uri, error: ApiError) -> ApiError {
    if uri.path() == send_event::PATH { send_event::with_contract_title(error) } else { error }
}

fn is_foreign_error(response: &Response) -> bool {
    let status = response.status();
    (status.is_client_error() || status.is_server_error()) && response.content_type() != Some(MEDIA_TYPE)
}

impl<E> WithProblemErrors<E> {
    fn shape(&self, status: StatusCode, message: &str, method: &Method, uri: &Uri) -> Response {
        let path = uri.path();
        let error = match status {
            StatusCode::NOT_FOUND => {
                let detail = match self.paths.near(path) {
                    Some(near) => format!("There is nothing at {path}; did you mean {near}?"),
                    None => format!("There is nothing at {path}; /docs shows what there is."),
                };
                ApiError::new(status, "no_such_path", detail)
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                let allowed = self.paths.allowed(path);
                let detail = format!("{method} is not allowed at {path}; allowed: {allowed}.");
                let allow = HeaderValue::from_str(&allowed).unwrap_or(HeaderValue::from_static(""));
                ApiError::new(status, "method_not_allowed", detail).with_header(ALLOW, allow)
            }
            StatusCode::BAD_REQUEST => ApiError::new(status, "bad_request", message),
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(status, "payload_too_large", message),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::new(status, "unsupported_media_type", message),
            status if status.is_client_error() => ApiError::new(status, "refused", message),
            _ => {
                tracing::error!(%status, path, message, "internal error");
                ApiError::internal()
            }
        };
        with_contract_title(uri, error).into_response()
    }
}

#[cfg(test)]
mod tests {
    use poem::{Route, get, handler};

    use super::*;

    #[handler]
    async fn works() -> &'static str {
        "fine"
    }

    #[handler]
    async fn breaks() -> &'static str {
        panic!("on purpose")
    }

    async fn answer(method: Method, uri: &'static str) -> (u16, serde_json::Value) {
        asked(Request::builder().method(method).uri(Uri::from_static(uri)).finish()).await
    }

    async fn asked(request: Request) -> (u16, serde_json::Value) {
        let route = Route::new()
            .at("/healthz", get(works))
            .at("/readyz", get(breaks))
            .at("/form", poem::post(works))
            .at(send_event::PATH, poem::post(works));
        let paths = Arc::new(Paths::new(Vec::new(), [("/healthz", &["GET"][..]), (send_event::PATH, &["POST"])]));
        let lost = Box::new(|asked: &Request, status: StatusCode| {
            (StatusCode::IM_A_TEAPOT, format!("{{\"lost\":\"{} {status}\"}}", asked.uri())).into_response()
        });
        let response = catch_panics(with_problem_errors(route, paths, lost)).get_response(request).await;
        let allow = response.header("allow").map(str::to_owned);
        let status = response.status().as_u16();
        let body = response.into_body().into_vec().await.unwrap();
        let mut body = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        if let (Some(allow), Some(body)) = (allow, body.as_object_mut()) {
            body.insert("allow".to_owned(), allow.into());
        }
        (status, body)
    }

    #[tokio::test]
    async fn what_the_framework_refuses_is_a_problem() {
        let (status, body) = answer(Method::GET, "/nowhere").await;
        assert_eq!((status, &body["code"]), (404, &"no_such_path".into()));
        let (status, body) = answer(Method::DELETE, "/healthz").await;
        assert_eq!((status, &body["code"], &body["allow"]), (405, &"method_not_allowed".into(), &"GET, HEAD".into()));
        let (status, body) = answer(Method::GET, send_event::PATH).await;
        assert_eq!((status, &body["title"], &body["allow"]), (405, &"Invalid Data".into(), &"POST".into()));
    }

    #[tokio::test]
    async fn a_browser_that_looks_for_a_page_gets_one_and_programs_get_problems() {
        let browser = |method, uri: &'static str| {
            let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
            asked(Request::builder().method(method).uri(Uri::from_static(uri)).header(ACCEPT, accept).finish())
        };
        assert_eq!(browser(Method::GET, "/nowhere?x").await.1["lost"], "/nowhere?x 404 Not Found");
        assert_eq!(browser(Method::POST, "/nowhere").await.1["lost"], "/nowhere 404 Not Found");
        assert_eq!(browser(Method::GET, "/form").await.1["lost"], "/form 405 Method Not Allowed");
        assert_eq!(browser(Method::DELETE, "/form").await.0, 405);
        assert_eq!(answer(Method::GET, "/form").await.0, 405);
        assert_eq!(browser(Method::POST, "/form").await.0, 200);
        for path in ["/v1/nowhere", "/v1", "/docs/x", "/metrics/x", send_event::PATH] {
            let (status, body) = browser(Method::GET, path).await;
            assert!(matches!(status, 404 | 405) && body["code"].is_string(), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing() {
        let (status, body) = answer(Method::GET, "/readyz").await;
        assert_eq!((status, &body["code"]), (500, &"internal_error".into()));
        assert!(!body.to_string().contains("purpose"));
    }

    #[tokio::test]
    async fn what_works_is_left_alone() {
        assert_eq!(answer(Method::GET, "/healthz").await.0, 200);
        assert_eq!(answer(Method::HEAD, "/healthz").await.0, 200);
    }
}
