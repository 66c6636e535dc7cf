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
    /// Whether there was a session, or at least a cookie.
    pub is_ended: bool,
    /// Whether there is a session. Then the page leads on, unless its address has the code of a login link.
    pub is_logged_in: bool,
    /// Who is logged in all the same, where a login link was refused. Then the page waits to be read.
    pub still: Option<String>,
}

impl LoginForm {
    /// The form alone, whose login leads to `back`.
    pub fn leading_to(back: impl Into<String>) -> Self {
        Self { wrong: None, back: back.into(), is_ended: false, is_logged_in: false, still: None }
    }

    fn icon(&self) -> &'static str {
        ICON
    }

    fn assets(&self) -> &'static str {
        &assets::VERSION
    }
}
