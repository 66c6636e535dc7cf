//! Pages for browsers, so far only the login. What programs use belongs in `api`. These pages call the API like all
//! other clients.

mod login_page;

use std::sync::{Arc, LazyLock};

use poem::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use poem::http::{HeaderValue, StatusCode};
use poem::{Body, IntoResponse as _, Request, Response};
use poem_openapi::OpenApi;

use self::login_page::Login;
use crate::domain::time::Timestamp;
use crate::web::access::{AdminAccess, AdminAuth};
use crate::web::body::BodyLimits;
use crate::web::browser::same_origin::{Caller, OriginPolicy};
use crate::web::problem::{ApiError, ApiResult};
use crate::web::static_page::{Page, StaticPage, serve};

/// Paths of the pages, and the methods of each path.
pub const PATHS: [(&str, &[&str]); 3] = [("/", &["GET"]), ("/login", &["GET", "POST"]), ("/logout", &["POST"])];

static LOGGED_IN: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::html(&login_page::html(true)));
static LOGGED_OUT: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::html(&login_page::html(false)));

/// The pages and what they need. `app` makes this value.
pub struct DashboardApi {
    /// Who may use the admin API.
    pub access: Arc<AdminAccess>,
    /// Which origins belong to this server.
    pub origins: OriginPolicy,
    /// Limits for request bodies.
    pub bodies: BodyLimits,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
}

#[OpenApi]
impl DashboardApi {
    #[oai(path = "/", method = "get", hidden)]
    async fn root(&self, request: &Request) -> ApiResult<Page> {
        match self.auth(request)? {
            Some(auth) if !auth.has_session(request.headers(), (self.clock)()) => {
                Ok(uncached(&LOGGED_OUT, request).await)
            }
            _ => Ok(to_docs()),
        }
    }

    /// The page that a login link opens. The code in the link stays in the browser; see `login.html`.
    #[oai(path = "/login", method = "get", hidden)]
    async fn login_page(&self, request: &Request) -> ApiResult<Page> {
        let Some(auth) = self.auth(request)? else { return Ok(to_docs()) };
        let is_in = auth.has_session(request.headers(), (self.clock)());
        Ok(uncached(if is_in { &LOGGED_IN } else { &LOGGED_OUT }, request).await)
    }

    #[oai(path = "/login", method = "post", hidden)]
    async fn log_in(&self, request: &Request, body: Body) -> ApiResult<Page> {
        let auth = self.auth(request)?.ok_or_else(no_login)?;
        let login = Login::read(request, body, &self.bodies).await?;
        let cookie = auth.log_in(login.credential()?, (self.clock)()).await?;
        Ok(done(cookie))
    }

    #[oai(path = "/logout", method = "post", hidden)]
    async fn log_out(&self, request: &Request) -> ApiResult<Page> {
        let auth = self.auth(request)?.ok_or_else(no_login)?;
        Ok(done(auth.log_out(request.headers())))
    }
}

impl DashboardApi {
    /// The admin authentication, after the check that the request comes from the server's own pages. `None` under
    /// `--dev`.
    fn auth(&self, request: &Request) -> ApiResult<Option<&AdminAuth>> {
        let AdminAccess::Token(auth) = &*self.access else { return Ok(None) };
        self.origins.check(Caller::Browser, request.method(), request.headers())?;
        Ok(Some(auth))
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

/// Serves a page that caches must not keep, because its content depends on the session.
async fn uncached(page: &'static LazyLock<StaticPage>, request: &Request) -> Page {
    let Page(mut response) = serve(page, request).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Page(response)
}
