//! Responses of the dashboard: pages, redirects after a change, and errors as pages. What a page shows belongs in
//! `pages`.

use askama::Template;
use poem::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, WWW_AUTHENTICATE,
};
use poem::http::{HeaderName, HeaderValue, StatusCode};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaResponses, Registry};

use super::view::frame::Frame;
use super::view::login_form::LoginForm;
use super::view::words;
use crate::domain::access::Role;
use crate::domain::time::Timestamp;
use crate::error::Error;
use crate::web::problem::ApiError;
use crate::web::static_page::Page;

/// What a page may load: the stylesheet, the script and data of this server. Nothing inline, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Result of a handler.
pub type PageResult<T = Page> = Result<T, PageError>;

/// A page that says what went wrong. Boxed, so that the results of handlers stay small.
pub struct PageError(Box<Response>);

/// A page of its own about an error.
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    title: String,
    detail: String,
}

/// A 200 response with `page`.
pub fn show(page: &impl Template) -> PageResult {
    Ok(Page(render(StatusCode::OK, page)))
}

/// The page with a status other than 200, such as a form with errors.
pub fn show_error<T>(status: StatusCode, page: &impl Template) -> PageResult<T> {
    Err(PageError(Box::new(render(status, page))))
}

/// Sends the browser to `path` after a change (303), so that loading again repeats nothing. `done` names the message
/// that is shown there.
pub fn redirect(path: &str, done: &str) -> PageResult {
    let mark = if path.contains('?') { '&' } else { '?' };
    // Without a place of its own the new address gets that of the form, far from the message.
    let location = if done.is_empty() { path.to_owned() } else { format!("{path}{mark}done={done}#main") };
    let location = HeaderValue::try_from(location).map_err(|_| PageError::from(ApiError::internal()))?;
    Ok(Page(Response::builder().status(StatusCode::SEE_OTHER).header(LOCATION, location).finish()))
}

fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => html(status, text),
        Err(error) => {
            tracing::error!(%error, "a page cannot be written");
            ApiError::internal().into_response()
        }
    }
}

fn html(status: StatusCode, text: String) -> Response {
    let mut response = Response::builder().status(status).body(text);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // With `no-referrer` browsers send `Origin: null` with a form (Fetch, "append a request Origin header").
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    response
}

impl PageError {
    /// The login form.
    pub fn login(form: &LoginForm, status: StatusCode) -> Self {
        let mut response = render(status, form);
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 15.5.2.
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Self(Box::new(response))
    }

    /// An error without a page around it. For requests that come from no page of this server.
    pub fn plain(error: ApiError) -> Self {
        Self(Box::new(error.into_response()))
    }

    /// 403: the session may not do what `role` may. `frame` is that of the session.
    pub fn forbidden(frame: Frame, role: Role) -> Self {
        let or_more = if role == Role::Admin { "" } else { " or more" };
        Self::refused(frame, format!("This asks for the role {role}{or_more}. Log in with a token that has it."))
    }

    /// 403: the session reaches one account, and this belongs to the server.
    pub fn one_account(frame: Frame) -> Self {
        let detail = "This belongs to the server, and you are logged in for one account. Log in with a token for all \
                      accounts.";
        Self::refused(frame, detail.to_owned())
    }

    fn refused(frame: Frame, detail: String) -> Self {
        let title = "You may not do this".to_owned();
        Self(Box::new(render(StatusCode::FORBIDDEN, &ErrorPage { frame, title, detail })))
    }

    /// 404: the thing does not exist, or does not exist any more.
    pub fn not_found(what: &'static str) -> Self {
        Error::not_found(what).into()
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        let status = error.status();
        let frame = Frame::plain(Timestamp::EPOCH);
        let detail = words::sentence(&error.problem.detail);
        let mut response = render(status, &ErrorPage { frame, title: error.problem.title.clone(), detail });
        let headers = error.headers().iter().map(|(name, value)| (name.clone(), value.clone()));
        response.headers_mut().extend(headers);
        Self(Box::new(response))
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        ApiError::from(error).into()
    }
}

impl From<PageError> for poem::Error {
    fn from(error: PageError) -> Self {
        Self::from_response(*error.0)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl ApiResponse for PageError {
    fn meta() -> MetaResponses {
        MetaResponses { responses: Vec::new() }
    }

    fn register(_: &mut Registry) {}
}
