//! Pages about the API: Swagger UI, and the OpenAPI document as JSON and YAML. The document does not list these pages.
//! Pages that show the server's data belong in `dashboard`.

pub mod swagger;

use std::sync::LazyLock;

use poem::Request;
use poem_openapi::OpenApi;

use super::document;
use super::paths::Undocumented;
use crate::web::static_page::{Page, StaticPage, serve};

/// Paths and methods of the pages.
pub const PATHS: [Undocumented; 3] = [("/docs", &["GET"]), ("/openapi.json", &["GET"]), ("/openapi.yaml", &["GET"])];

static SWAGGER_UI: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::html(&swagger::html()));
static JSON: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::text("application/json", &document::json()));
static YAML: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::text("application/yaml", &document::yaml()));

/// Serves the pages.
pub struct DocsApi;

#[OpenApi]
impl DocsApi {
    #[oai(path = "/docs", method = "get", hidden)]
    async fn swagger_ui(&self, request: &Request) -> Page {
        serve(&SWAGGER_UI, request).await
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
