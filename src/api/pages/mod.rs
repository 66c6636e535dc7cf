//! Pages beside the API, for browsers: login, Swagger UI, and the document itself. The document does not list them;
//! [`Paths`](super::paths::Paths) does.

mod login;
mod packed;
mod swagger;

use std::sync::{Arc, LazyLock};

use poem::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use poem::http::{HeaderValue, StatusCode};
use poem::{Body, IntoResponse, Request, Response};
use poem_openapi::OpenApi;
use poem_openapi::registry::{MetaResponses, Registry};

use self::login::Login;
use self::packed::Packed;
use super::auth::Gate;
use super::browser::Caller;
use super::door::Door;
use super::problem::{ApiError, ApiResult};
use super::{Context, document};

/// The icon of every page.
const ICON: &str = concat!(
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E",
    "%3Crect width='16' height='16' rx='3' fill='%23175e54'/%3E",
    "%3Cpath d='M3 8h7M7 4l4 4-4 4' stroke='white' stroke-width='2' fill='none'/%3E%3C/svg%3E"
);

static SWAGGER_UI: LazyLock<Packed> = LazyLock::new(|| Packed::html(&swagger::html()));
static JSON: LazyLock<Packed> = LazyLock::new(|| Packed::text("application/json", &document::json()));
static YAML: LazyLock<Packed> = LazyLock::new(|| Packed::text("application/yaml", &document::yaml()));
static LOGGED_IN: LazyLock<Packed> = LazyLock::new(|| Packed::html(&login::html(true)));
static LOGGED_OUT: LazyLock<Packed> = LazyLock::new(|| Packed::html(&login::html(false)));

/// The pages.
pub struct PagesApi(pub Arc<Context>);

/// An answer as it is.
struct Page(Response);

#[OpenApi]
impl PagesApi {
    #[oai(path = "/", method = "get", hidden)]
    async fn root(&self, request: &Request) -> ApiResult<Page> {
        match self.door(request)? {
            Some(door) if !door.has_session(request.headers(), (self.0.clock)()) => {
                Ok(uncached(&LOGGED_OUT, request).await)
            }
            _ => Ok(to_docs()),
        }
    }

    /// Where a login link leads. The code in it stays in the browser: see the page.
    #[oai(path = "/login", method = "get", hidden)]
    async fn login_page(&self, request: &Request) -> ApiResult<Page> {
        let Some(door) = self.door(request)? else { return Ok(to_docs()) };
        let is_in = door.has_session(request.headers(), (self.0.clock)());
        Ok(uncached(if is_in { &LOGGED_IN } else { &LOGGED_OUT }, request).await)
    }

    #[oai(path = "/login", method = "post", hidden)]
    async fn log_in(&self, request: &Request, body: Body) -> ApiResult<Page> {
        let door = self.door(request)?.ok_or_else(no_login)?;
        let login = Login::read(request, body, &self.0.bodies).await?;
        let cookie = door.log_in(login.credential()?, (self.0.clock)()).await?;
        Ok(done(cookie))
    }

    #[oai(path = "/logout", method = "post", hidden)]
    async fn log_out(&self, request: &Request) -> ApiResult<Page> {
        let door = self.door(request)?.ok_or_else(no_login)?;
        Ok(done(door.log_out(request.headers())))
    }

    #[oai(path = "/docs", method = "get", hidden)]
    async fn swagger_ui(&self, request: &Request) -> Page {
        packed(&SWAGGER_UI, request).await
    }

    #[oai(path = "/openapi.json", method = "get", hidden)]
    async fn json(&self, request: &Request) -> Page {
        packed(&JSON, request).await
    }

    #[oai(path = "/openapi.yaml", method = "get", hidden)]
    async fn yaml(&self, request: &Request) -> Page {
        packed(&YAML, request).await
    }
}

impl PagesApi {
    /// The door, once the request is known to come from a page of ours; none under `--dev`.
    fn door(&self, request: &Request) -> ApiResult<Option<&Door>> {
        let Gate::Door(door) = &self.0.gate else { return Ok(None) };
        self.0.site.check(Caller::Browser, request.method(), request.headers())?;
        Ok(Some(door))
    }
}

fn no_login() -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "no_login", "Under --dev nobody needs to log in.")
}

fn to_docs() -> Page {
    let answer = Response::builder().status(StatusCode::TEMPORARY_REDIRECT).header(LOCATION, "/docs");
    Page(answer.finish())
}

fn done(cookie: HeaderValue) -> Page {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(SET_COOKIE, cookie);
    Page(response)
}

async fn packed(page: &'static LazyLock<Packed>, request: &Request) -> Page {
    // To pack Swagger UI for the first time takes a while, and so does unpacking it; other requests are not to wait for
    // that.
    let asked = request.headers().clone();
    let answer = tokio::task::spawn_blocking(move || page.answer(&asked)).await;
    Page(answer.unwrap_or_else(|_| ApiError::internal().into_response()))
}

/// What it shows depends on the session.
async fn uncached(page: &'static LazyLock<Packed>, request: &Request) -> Page {
    let Page(mut response) = packed(page, request).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Page(response)
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        self.0
    }
}

impl poem_openapi::ApiResponse for Page {
    fn meta() -> MetaResponses {
        MetaResponses { responses: Vec::new() }
    }

    fn register(_: &mut Registry) {}
}
