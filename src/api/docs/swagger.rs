//! The Swagger UI page: the page of poem-openapi with our document and a few replacements. Text about an operation
//! belongs in the operation, not here.

use crate::api::document;
use crate::web::static_page::ICON;

/// Style rules in addition to those of Swagger UI.
const STYLE: &str = include_str!("swagger.css");

const SCRIPT: &str = include_str!("swagger.js");

/// What the page says about the session of whoever reads it.
#[derive(Clone, Copy)]
pub enum Session {
    /// There is no session.
    LoggedOut,
    /// There is one.
    LoggedIn,
    /// `--dev`: nobody needs one.
    NotNeeded,
}

impl Session {
    fn html(self) -> &'static str {
        match self {
            Self::LoggedOut => "<a href=\"/login\">Log in</a>",
            Self::LoggedIn => "<button type=\"button\" id=\"logout\">Log out</button>",
            Self::NotNeeded => "<span>--dev: no login needed</span>",
        }
    }
}

/// Replacements in the Swagger UI page of poem-openapi. They add a title, an icon, a heading, links to other pages, and
/// authorisation that survives a reload. Forms are open from the start, and schemas are closed.
fn replacements(session: Session) -> [(&'static str, String); 4] {
    let head = format!(
        "<title>Data Pusher API</title>\n    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n    \
         <link rel=\"icon\" href=\"{ICON}\">\n    <style>{STYLE}</style>\n    <script>{SCRIPT}</script>"
    );
    let body = format!(
        "<header id=\"top\"><h1>Data Pusher API</h1>\n<nav><a href=\"/\">Dashboard</a> {}</nav></header>\n\
         <main id=\"ui\"></main>",
        session.html()
    );
    [
        ("<html charset=\"UTF-8\">", "<!DOCTYPE html>\n<html lang=\"en\">".to_owned()),
        ("<title>Swagger UI</title>", head),
        ("<div id=\"ui\"></div>", body),
        (
            "deepLinking: true,",
            "deepLinking: true,\n        persistAuthorization: true,\n        tryItOutEnabled: true,\n        \
             defaultModelsExpandDepth: 0,"
                .to_owned(),
        ),
    ]
}

/// The page with our document inside, so that the browser loads nothing else.
pub fn html(session: Session) -> String {
    let (page, raw) = document::swagger_ui();
    // With `<` escaped, no text of the document can end the script around it.
    let document = document::json().replace('<', "\\u003c");
    let page = page.replacen(&raw, document.trim_end(), 1);
    replacements(session).iter().fold(page, |page, (from, to)| page.replacen(from, to, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swagger_ui_is_adapted_and_holds_the_served_document() {
        let (page, raw) = document::swagger_ui();
        assert_eq!(page.matches(&raw).count(), 1);
        for (from, _) in replacements(Session::LoggedIn) {
            assert_eq!(page.matches(from).count(), 1, "{from} must be there once to be replaced");
        }
        let page = html(Session::LoggedIn);
        let (_, rest) = page.split_once("let spec = ").unwrap();
        let (spec, _) = rest.split_once(";\n    let oauth2RedirectUrl").unwrap();
        assert!(!spec.contains('<'));
        let embedded: serde_json::Value = serde_json::from_str(spec).unwrap();
        assert_eq!(&embedded, document::value());
        assert!(page.contains("persistAuthorization: true"));
    }

    #[test]
    fn the_page_says_what_login_there_is() {
        let page =
            |session| html(session).split_once("<header").unwrap().1.split_once("</header>").unwrap().0.to_owned();
        assert!(page(Session::LoggedOut).contains(">Log in<") && !page(Session::LoggedOut).contains("Log out"));
        assert!(page(Session::LoggedIn).contains(">Log out<") && !page(Session::LoggedIn).contains("Log in"));
        assert!(page(Session::NotNeeded).contains("no login needed") && !page(Session::NotNeeded).contains("/login"));
    }
}
