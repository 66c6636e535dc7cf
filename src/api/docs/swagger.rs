//! The Swagger UI page: the page of poem-openapi with our document and a few replacements. Text about an operation
//! belongs in the operation, not here.

use crate::api::document;
use crate::web::static_page::ICON;

/// Style rules in addition to those of Swagger UI. The choice of a server is hidden, because there is only one.
const STYLE: &str = "\
body { margin: 0; }
#session { max-width: 1460px; margin: 0 auto; padding: 16px 20px 0; box-sizing: border-box; text-align: right;
           font: 14px sans-serif; }
#session a { color: #175e54; }
.swagger-ui .response-col_links { display: none; }
.swagger-ui .opblock-body { overflow-x: auto; }
.swagger-ui .btn-group, .swagger-ui .try-out { flex-wrap: wrap; }
.swagger-ui .information-container .info { margin: 16px 0 32px; }
.swagger-ui .scheme-container .servers-title, .swagger-ui .scheme-container .servers { display: none; }";

/// Replacements in the Swagger UI page of poem-openapi. They add a title, an icon, a link to log in, and authorisation
/// that survives a reload. Forms are open from the start, and schemas are closed.
fn mended() -> [(&'static str, String); 4] {
    let head = format!(
        "<title>Data Pusher API</title>\n    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n    \
         <link rel=\"icon\" href=\"{ICON}\">\n    <style>{STYLE}</style>"
    );
    [
        ("<html charset=\"UTF-8\">", "<!DOCTYPE html>\n<html lang=\"en\">".to_owned()),
        ("<title>Swagger UI</title>", head),
        (
            "<div id=\"ui\"></div>",
            "<nav id=\"session\"><a href=\"/login\">Log in or out</a></nav>\n<main id=\"ui\"></main>".to_owned(),
        ),
        (
            "deepLinking: true,",
            "deepLinking: true,\n        persistAuthorization: true,\n        tryItOutEnabled: true,\n        \
             defaultModelsExpandDepth: 0,"
                .to_owned(),
        ),
    ]
}

/// The page with our document inside, so that the browser loads nothing else.
pub fn html() -> String {
    let (page, raw) = document::swagger_ui();
    // With `<` escaped, no text of the document can end the script around it.
    let document = document::json().replace('<', "\\u003c");
    let page = page.replacen(&raw, document.trim_end(), 1);
    mended().iter().fold(page, |page, (from, to)| page.replacen(from, to, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swagger_ui_is_mended_and_holds_the_served_document() {
        let (page, raw) = document::swagger_ui();
        assert_eq!(page.matches(&raw).count(), 1);
        for (from, _) in mended() {
            assert_eq!(page.matches(from).count(), 1, "{from} must be there once to be replaced");
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
