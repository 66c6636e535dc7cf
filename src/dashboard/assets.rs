//! The stylesheet and the script of the pages. Their addresses hold a digest, so that no page meets files of another
//! version of the program.

use std::sync::LazyLock;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use poem::Request;
use poem_openapi::OpenApi;
use sha2::{Digest as _, Sha256};

use crate::web::static_page::{Page, StaticPage, serve};

const CSS: &str = include_str!("assets/dashboard.css");
const JS: &str = include_str!("assets/dashboard.js");

static STYLESHEET: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::text("text/css; charset=utf-8", CSS));
static SCRIPT: LazyLock<StaticPage> = LazyLock::new(|| StaticPage::text("text/javascript; charset=utf-8", JS));

/// Changes whenever the stylesheet or the script changes.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::new().chain_update(CSS).chain_update(JS).finalize();
    BASE64_URL_SAFE_NO_PAD.encode(&digest[..6])
});

/// Serves the stylesheet and the script, to everybody: the login page needs them.
pub struct Assets;

#[OpenApi]
impl Assets {
    #[oai(path = "/assets/dashboard.css", method = "get", hidden)]
    async fn stylesheet(&self, request: &Request) -> Page {
        serve(&STYLESHEET, request).await
    }

    #[oai(path = "/assets/dashboard.js", method = "get", hidden)]
    async fn script(&self, request: &Request) -> Page {
        serve(&SCRIPT, request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_small() {
        assert!(CSS.len() + JS.len() < 40_000, "the dashboard is to stay under 100 KB in all");
    }
}
