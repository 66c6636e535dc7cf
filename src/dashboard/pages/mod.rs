//! The pages, one file each: what a page shows, and what its forms do. A page calls the store and the ports of the
//! engine as the handlers of `api` do.

pub mod account;
pub mod accounts;
pub mod attention;
pub mod deliveries;
pub mod delivery;
pub mod destination;
pub mod destination_form;
pub mod destination_settings;
pub mod event;
pub mod filters;
pub mod live;
pub mod login;
pub mod lost;
pub mod overview;
pub mod preview;
pub mod replay;
pub mod search;
pub mod start;
pub mod tested;
pub mod tokens;

use std::str::FromStr;

use poem::Request;
use poem::http::Method;

use super::form::Form;
use super::respond::{PageError, PageResult};
use crate::domain::page::Cursor;
use crate::web::problem::ApiError;

/// The id in the path; no page has two. A malformed id belongs to nothing.
///
/// # Errors
/// 404.
fn path_id<T: FromStr<Err = String>>(request: &Request, what: &'static str) -> PageResult<T> {
    // poem-openapi gives the parameters of a path names of its own.
    let id = request.raw_path_param("param0").and_then(|text| text.parse().ok());
    id.ok_or_else(|| PageError::not_found(what))
}

/// The query of the address as a form.
fn query(request: &Request) -> Form {
    Form::of(request.uri().query().unwrap_or_default().as_bytes())
}

/// The cursor in the address.
///
/// # Errors
/// 400 for a text that is no cursor.
fn cursor(asked: &Form) -> PageResult<Option<Cursor>> {
    let given = Some(asked.text("cursor")).filter(|cursor| !cursor.is_empty());
    Ok(given.map(str::parse).transpose().map_err(ApiError::bad_parameter)?)
}

/// `path` with a query of the pairs that have a value.
fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Where a page is read again: at `page` if it answers a form, and else at its own address.
fn answered(request: &Request, page: &str) -> String {
    if request.method() == Method::POST { page.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_what_has_a_value() {
        assert_eq!(address("/deliveries", &[("state", ""), ("q", "a b&c")]), "/deliveries?q=a+b%26c");
        assert_eq!(address("/deliveries", &[("state", "")]), "/deliveries");
    }
}
