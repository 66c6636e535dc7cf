//! Forms: reads the fields that a browser sends, converts them into values of the domain, and keeps what was typed
//! beside each error. Which values are valid is decided in `domain`.

use std::collections::HashMap;
use std::str::FromStr;

use poem::http::header::CONTENT_TYPE;
use poem::http::{HeaderMap, StatusCode};
use poem::{Body, Request};

use super::view::words;
use super::way_back::is_own;
use crate::domain::memory::Reservation;
use crate::error::FieldError;
use crate::web::body::{self, BodyLimits};
use crate::web::problem::{ApiError, ApiResult};

/// Media type of an HTML form.
const FORM: &str = "application/x-www-form-urlencoded";

/// Most fields that are read of a form. No form of the pages has so many.
const MAX_FIELDS: usize = 32;

/// The fields that a browser sent, and the errors found in them so far.
#[derive(Debug, Default)]
pub struct Form {
    fields: HashMap<String, String>,
    faults: Vec<FieldError>,
    /// Memory of the body, which the fields hold now.
    #[expect(dead_code, reason = "given back when the form is dropped")]
    memory: Option<Reservation>,
}

/// A field as it is shown: what was typed, and what is wrong with it.
#[derive(Debug, Default, Clone)]
pub struct Field {
    /// Name of the field in the form.
    pub name: &'static str,
    /// What stands in the field.
    pub value: String,
    /// What is wrong, as a sentence.
    pub fault: Option<String>,
}

impl Field {
    /// A field with `value`, without an error.
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into(), fault: None }
    }
}

/// Whether the headers say that the body is an HTML form.
pub fn is_form(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(FORM))
}

impl Form {
    /// Reads the body of a form.
    ///
    /// # Errors
    /// 415 for another media type; 408, 413 and 503 as for other bodies.
    pub async fn read(request: &Request, body: Body, limits: &BodyLimits) -> ApiResult<Self> {
        let has_type = request.headers().contains_key(CONTENT_TYPE);
        if has_type && !is_form(request.headers()) {
            let detail = format!("The pages send {FORM}; programs use the API, which /docs describes.");
            body::refuse(body, request.headers(), limits.bytes).await;
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let (bytes, memory) = body::read(body, request.headers(), limits).await?;
        Ok(Self { memory: Some(memory), ..Self::of(&bytes) })
    }

    /// The fields of `text`, in the form of HTML forms and query strings. Of a field that is given twice the last
    /// counts.
    pub fn of(text: &[u8]) -> Self {
        let fields = url::form_urlencoded::parse(text).into_owned().take(MAX_FIELDS).collect();
        Self { fields, ..Self::default() }
    }

    /// The address that the form names to go back to, or `otherwise`. Only addresses of this server are taken.
    pub fn back<'a>(&'a self, otherwise: &'a str) -> &'a str {
        let given = self.text("back");
        if is_own(given) { given } else { otherwise }
    }

    /// What stands in a field, without blanks at its ends; empty if the field was not sent.
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.trim())
    }

    /// Whether a field was sent at all. For check boxes.
    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// A field that must be filled in.
    pub fn required<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        if self.text(name).is_empty() {
            self.fault(name, "must be filled in");
            return None;
        }
        self.parsed(name, parse)
    }

    /// A field that may be empty.
    pub fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<Option<T>> {
        if self.text(name).is_empty() { Some(None) } else { self.parsed(name, parse).map(Some) }
    }

    fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let parsed = parse(self.text(name));
        parsed.map_err(|message| self.fault(name, message)).ok()
    }

    /// Notes that something is wrong with a field.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(FieldError::new(name, message));
    }

    /// Notes errors that the domain or the store found. One about a part of a field, such as `headers.X-Id`, stands at
    /// the field.
    pub fn faults(&mut self, faults: impl IntoIterator<Item = FieldError>) {
        self.faults.extend(faults);
    }

    /// What is wrong, as sentences that name the field.
    pub fn sentences(&self) -> Vec<String> {
        self.faults.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect()
    }

    /// Whether nothing is wrong so far.
    pub fn is_right(&self) -> bool {
        self.faults.is_empty()
    }

    /// The field as it is shown again, with what was typed and what is wrong with it.
    pub fn field(&self, name: &'static str) -> Field {
        let mine = |fault: &&FieldError| {
            fault.field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let sentences: Vec<String> = self.faults.iter().filter(mine).map(|fault| sentence(name, fault)).collect();
        let value = self.fields.get(name).cloned().unwrap_or_default();
        Field { name, value, fault: (!sentences.is_empty()).then(|| sentences.join(" ")) }
    }

    /// Errors that belong to none of the fields `shown`, as sentences.
    pub fn other_faults(&self, shown: &[&str]) -> Vec<String> {
        let is_shown = |fault: &FieldError| {
            shown.iter().any(|name| fault.field == *name || fault.field.starts_with(&format!("{name}.")))
        };
        self.faults.iter().filter(|fault| !is_shown(fault)).map(|fault| fault.message.clone()).collect()
    }
}

/// The error as a sentence without the name of its field, because the sentence stands at the field.
fn sentence(name: &str, fault: &FieldError) -> String {
    let part = fault.field.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
    let text = part.map_or_else(|| fault.message.clone(), |part| format!("`{part}` {}", fault.message));
    words::sentence(&text)
}

/// Reads a field by `FromStr`.
pub fn parsed<T: FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_leads_back_to_this_server_only() {
        let lead = |text: &str| Form::of(text.as_bytes()).back("/deliveries").to_owned();
        assert_eq!(lead("back=/deliveries%3Fstate%3Dpending"), "/deliveries?state=pending");
        for foreign in
            ["back=//evil.example", "back=https://x", "back=/%5Cx", "back=/%09/evil.example/", "back=/a%0Ab", ""]
        {
            assert_eq!(lead(foreign), "/deliveries", "{foreign}");
        }
    }

    #[test]
    fn only_so_many_fields_are_kept() {
        let text: String = (0..100_000).map(|n| format!("f{n}=1&")).collect();
        assert_eq!(Form::of(text.as_bytes()).fields.len(), MAX_FIELDS);
    }

    #[test]
    fn every_fault_stands_at_its_field() {
        let mut form = Form::of(b"name=++&age=x&headers=X-A%3A+1");
        assert_eq!(form.required("name", |text| Ok(text.to_owned())), None);
        assert_eq!(form.optional("age", |_| Err::<u8, _>("must be a number".to_owned())), None);
        assert_eq!(form.optional("city", |text| Ok(text.to_owned())), Some(None));
        form.faults([FieldError::new("headers.x-a", "is refused"), FieldError::new("", "Something else.")]);
        assert_eq!(form.field("name").fault.as_deref(), Some("Must be filled in."));
        assert_eq!(form.field("age").fault.as_deref(), Some("Must be a number."));
        assert_eq!(
            (form.field("headers").fault.as_deref(), form.field("headers").value.as_str()),
            (Some("x-a is refused."), "X-A: 1")
        );
        assert_eq!(form.field("city").fault, None);
        assert_eq!(form.other_faults(&["name", "age", "headers"]), ["Something else."]);
        assert!(!form.is_right());
    }
}
