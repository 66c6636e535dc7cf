//! The login form. It stands alone, so that whoever is logged out sees nothing else.

use askama::Template;

use crate::dashboard::assets;
use crate::web::static_page::ICON;

/// The login form.
#[derive(Template)]
#[template(path = "login.html")]
pub struct LoginForm {
    /// What was wrong with the last try.
    pub wrong: Option<String>,
    /// Address to go to after the login.
    pub back: String,
}

impl LoginForm {
    fn icon(&self) -> &'static str {
        ICON
    }

    fn assets(&self) -> &'static str {
        &assets::VERSION
    }
}
