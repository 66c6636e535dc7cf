//! Pages beside the API: the document itself, and Swagger UI over it.

use std::sync::LazyLock;

use poem::http::StatusCode;
use poem::http::header::{CONTENT_TYPE, LOCATION};
use poem::{IntoResponse, Response};
use poem_openapi::OpenApi;
use poem_openapi::registry::{MetaResponses, Registry};

use super::document;

/// Replacements that make poem-openapi's Swagger UI page a good one: a name, an icon, authorisation that survives a
/// reload, and forms that are open from the start.
const MENDED: [(&str, &str); 3] = [
    ("<html charset=\"UTF-8\">", "<!DOCTYPE html>\n<html lang=\"en\">"),
    ("<title>Swagger UI</title>", HEAD),
    ("deepLinking: true,", "deepLinking: true,\n        persistAuthorization: true,\n        tryItOutEnabled: true,"),
];

const HEAD: &str = concat!(
    "<title>Data Pusher API</title>\n",
    "    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "    <link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E",
    "%3Crect width='16' height='16' rx='3' fill='%23175e54'/%3E",
    "%3Cpath d='M3 8h7M7 4l4 4-4 4' stroke='white' stroke-width='2' fill='none'/%3E%3C/svg%3E\">"
);

/// Pages that the document does not list; [`Paths`](super::paths::Paths) does.
pub struct PagesApi;

/// A page that is the same as long as the server runs.
struct Page(Response);

impl Page {
    fn of(content_type: &'static str, text: &'static str) -> Self {
        Self(Response::builder().header(CONTENT_TYPE, content_type).body(text))
    }
}

#[OpenApi]
impl PagesApi {
    #[oai(path = "/", method = "get", hidden)]
    async fn root(&self) -> Page {
        let answer = Response::builder().status(StatusCode::TEMPORARY_REDIRECT).header(LOCATION, "/docs");
        Page(answer.finish())
    }

    #[oai(path = "/docs", method = "get", hidden)]
    async fn swagger_ui(&self) -> Page {
        static HTML: LazyLock<String> = LazyLock::new(html);
        Page::of("text/html; charset=utf-8", &HTML)
    }

    #[oai(path = "/openapi.json", method = "get", hidden)]
    async fn json(&self) -> Page {
        Page::of("application/json", document::json())
    }

    #[oai(path = "/openapi.yaml", method = "get", hidden)]
    async fn yaml(&self) -> Page {
        Page::of("application/yaml", document::yaml())
    }
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

/// Swagger UI with our document inside, so that it needs nothing else.
fn html() -> String {
    let (page, raw) = document::swagger_ui();
    // No text of the document can end the script that it stands in.
    let document = document::json().trim_end().replace('<', "\\u003c");
    let page = page.replacen(&raw, &document, 1);
    MENDED.iter().fold(page, |page, (from, to)| page.replacen(from, to, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swagger_ui_is_mended_and_holds_the_served_document() {
        let (raw, _) = document::swagger_ui();
        for (from, _) in MENDED {
            assert_eq!(raw.matches(from).count(), 1, "{from} must be there once to be replaced");
        }
        let page = html();
        let (_, rest) = page.split_once("let spec = ").unwrap();
        let (spec, _) = rest.split_once(";\n    let oauth2RedirectUrl").unwrap();
        assert!(!spec.contains('<'));
        let embedded: serde_json::Value = serde_json::from_str(spec).unwrap();
        assert_eq!(&embedded, document::value());
        assert!(page.contains("persistAuthorization: true"));
    }
}
