//! Pages about the API: Swagger UI, and the OpenAPI document as JSON and YAML. The document does not list these pages.
//! Pages that show the server's data belong in `dashboard`.

pub mod swagger;

use std::sync::{Arc, LazyLock};

use poem::Request;
use poem_openapi::OpenApi;

use self::swagger::Session;
use super::context::ApiContext;
use super::document;
use super::paths::Undocumented;
use crate::web::access::AdminAccess;
use crate::web::static_page::{Page, StaticPage, serve};

/// Paths and methods of the pages.
pub const PATHS: [Undocumented; 3] = [("/docs", &["GET"]), ("/openapi.json", &["GET"]), ("/openapi.yaml", &["GET"])];

static LOGGED_OUT: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::html(&swagger::html(Session::LoggedOut)));
static LOGGED_IN: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::html(&swagger::html(Session::LoggedIn)));
static NOT_NEEDED: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::html(&swagger::html(Session::NotNeeded)));
static JSON: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::text("application/json", &document::json()));
static YAML: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::text("application/yaml", &document::yaml()));

/// Serves the pages.
pub struct DocsApi(pub Arc<ApiContext>);

#[OpenApi]
impl DocsApi {
    // Browsers may keep the page, although it depends on the session: they ask each time whether it is still the same.
    #[oai(path = "/docs", method = "get", hidden)]
    async fn swagger_ui(&self, request: &Request) -> Page {
        let page = match &*self.0.access {
            AdminAccess::Dev => &NOT_NEEDED,
            AdminAccess::Token(auth) if auth.has_session(request.headers(), (self.0.clock)()) => &LOGGED_IN,
            AdminAccess::Token(_) => &LOGGED_OUT,
        };
        serve(page, request).await
    }

    #[oai(path = "/openapi.json", method = "get", hidden)]
    async fn json(&self, request: &Request) -> Page {
        serve(&JSON, request).await
    }

    #[oai(path = "/openapi.yaml", method = "get", hidden)]
    async fn yaml(&self, request: &Request) -> Page {
        serve(&YAML, request).await
    }
}
