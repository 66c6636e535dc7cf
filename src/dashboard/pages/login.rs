//! Logging in and out. The form works without a script. The code of a login link needs one, because it stands behind
//! the `#` of the link, which browsers send to no server.

use std::sync::Arc;

use poem::http::header::SET_COOKIE;
use poem::http::{HeaderValue, StatusCode};
use poem::{Body, IntoResponse as _, Request, Response};
use poem_openapi::OpenApi;
use serde::Deserialize;

use crate::dashboard::context::DashboardContext;
use crate::dashboard::form::{Form, is_form};
use crate::dashboard::respond::{PageError, PageResult, redirect, show};
use crate::dashboard::view::frame::who;
use crate::dashboard::view::login_form::LoginForm;
use crate::dashboard::view::words;
use crate::web::access::{AdminAccess, Credential};
use crate::web::body::media_type::{self, Accepts};
use crate::web::body::{self, BodyLimits};
use crate::web::browser::same_origin::Caller;
use crate::web::problem::{ApiError, ApiResult};
use crate::web::static_page::Page;

/// Longest body of a login, in bytes. An admin token has at most 512 characters.
const MAX_BODY: usize = 4_096;

/// What opens a session. Exactly one of the two must be given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    code: Option<String>,
    token: Option<String>,
}

/// Logging in and out.
pub struct LoginPages(pub Arc<DashboardContext>);

#[OpenApi]
impl LoginPages {
    /// The page that a login link opens.
    #[oai(path = "/login", method = "get", hidden)]
    async fn page(&self, request: &Request) -> PageResult {
        let AdminAccess::Token(auth) = &*self.0.access else { return redirect("/", "") };
        self.0.origins.check(Caller::Browser, request.method(), request.headers()).map_err(PageError::plain)?;
        // A code in the address is seen by the browser alone, so the page decides what a session leads to.
        let is_logged_in = auth.has_session(request.headers(), (self.0.clock)());
        show(&LoginForm { is_logged_in, ..LoginForm::leading_to("") })
    }

    #[oai(path = "/login", method = "post", hidden)]
    async fn log_in(&self, request: &Request, body: Body) -> PageResult {
        if is_form(request.headers()) {
            return self.by_form(request, body).await;
        }
        let cookie = self.by_json(request, body).await.map_err(PageError::plain)?;
        with_cookie(done(), cookie)
    }

    #[oai(path = "/logout", method = "post", hidden)]
    async fn log_out(&self, request: &Request, body: Body) -> PageResult {
        drop(body);
        let auth = self.0.auth().map_err(PageError::plain)?;
        let by_form = is_form(request.headers());
        let headers = request.headers();
        if by_form {
            self.0.origins.check_form(request.method(), headers).map_err(PageError::plain)?;
        } else {
            self.0.origins.check(Caller::Browser, request.method(), headers).map_err(PageError::plain)?;
        }
        let cookie = auth.log_out(headers);
        with_cookie(if by_form { redirect("/", "")? } else { done() }, cookie)
    }
}

impl LoginPages {
    async fn by_form(&self, request: &Request, body: Body) -> PageResult {
        let auth = self.0.auth()?;
        self.0.check_origin(request)?;
        let form = Form::read(request, body, &self.limits()).await?;
        let back = form.back("/");
        let given = match (form.text("code"), form.text("token")) {
            ("", "") => {
                let form = refused("Fill in a token.", back);
                return Err(PageError::login(&form, StatusCode::UNPROCESSABLE_ENTITY));
            }
            ("", token) => Credential::Token(token),
            (code, _) => Credential::Code(code),
        };
        let is_code = matches!(given, Credential::Code(_));
        match auth.log_in(given, request.headers(), (self.0.clock)()).await {
            Ok(cookie) => with_cookie(redirect(back, "")?, cookie),
            Err(error) => {
                // A link that is refused ends no session, so it must not look like a logout.
                let session = auth.session(request.headers(), (self.0.clock)()).filter(|_| is_code);
                let still = session.map(|session| who(&session.rights));
                let form = LoginForm { still, ..refused(&error.problem.detail, back) };
                Err(PageError::login(&form, error.status()))
            }
        }
    }

    async fn by_json(&self, request: &Request, body: Body) -> ApiResult<HeaderValue> {
        let auth = self.0.auth()?;
        self.0.origins.check(Caller::Browser, request.method(), request.headers())?;
        media_type::check(request.headers(), Accepts::Json)?;
        let (bytes, _memory) = body::read(body, request.headers(), &self.limits()).await?;
        // The error does not repeat the content, because the content is secret.
        let login: Login = serde_json::from_slice(&bytes).map_err(|_| malformed())?;
        auth.log_in(login.credential()?, request.headers(), (self.0.clock)()).await
    }

    fn limits(&self) -> BodyLimits {
        BodyLimits { bytes: MAX_BODY, ..self.0.bodies.clone() }
    }
}

impl Login {
    /// The credential.
    ///
    /// # Errors
    /// 400 if there is none, or two.
    fn credential(&self) -> ApiResult<Credential<'_>> {
        match (&self.code, &self.token) {
            (Some(code), None) => Ok(Credential::Code(code)),
            (None, Some(token)) => Ok(Credential::Token(token)),
            _ => Err(malformed()),
        }
    }
}

/// The form again, with what was wrong.
fn refused(wrong: &str, back: &str) -> LoginForm {
    LoginForm { wrong: Some(words::sentence(wrong)), ..LoginForm::leading_to(back) }
}

fn malformed() -> ApiError {
    let detail = r#"Send {"code": "…"} with the code of a login link, or {"token": "…"} with a token."#;
    ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
}

fn done() -> Page {
    Page(StatusCode::NO_CONTENT.into_response())
}

fn with_cookie(Page(mut response): Page, cookie: HeaderValue) -> PageResult {
    let headers = Response::headers_mut(&mut response);
    headers.insert(SET_COOKIE, cookie);
    Ok(Page(response))
}
