//! What a browser gets at an address that no page has. Such as that of a form: the answer to a form stands there, and is
//! loaded again or opened from the history.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::{IntoResponse as _, Request, Response};

use crate::dashboard::context::DashboardContext;
use crate::dashboard::respond::{PageResult, redirect};
use crate::dashboard::way_back::page_of_form;
use crate::domain::access::Role;
use crate::web::problem::ApiError;

/// Makes the response for a status of the router: 404, or 405 at the address of a form.
pub fn lost(context: Arc<DashboardContext>) -> impl Fn(&Request, StatusCode) -> Response + Send + Sync + 'static {
    move |request, status| match found(&context, request, status) {
        Ok(page) => page.into_response(),
        Err(error) => error.into_response(),
    }
}

fn found(context: &DashboardContext, request: &Request, status: StatusCode) -> PageResult {
    // Who has no session learns nothing about addresses.
    context.enter(request, Role::Viewer)?;
    if let Some(page) = page_of_form(request.uri().path()).filter(|_| status == StatusCode::METHOD_NOT_ALLOWED) {
        return redirect(page, "");
    }
    let detail = "The address may be mistyped, or belong to something that does not exist any more.";
    let error = ApiError::new(StatusCode::NOT_FOUND, "no_such_path", detail);
    Err(error.titled("There is no page here").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::PATHS;

    #[test]
    fn every_form_that_is_no_page_belongs_to_one() {
        for (path, methods) in PATHS {
            if !methods.contains(&"GET") {
                let page = page_of_form(path).unwrap_or_else(|| panic!("{path}"));
                let page = page.split('?').next().unwrap();
                let known = PATHS.iter().find(|(known, _)| *known == page);
                assert!(known.is_some_and(|(_, methods)| methods.contains(&"GET")), "{path} leads to {page}");
            }
        }
    }
}
