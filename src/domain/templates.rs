//! The templates of a destination. Their language is in `template`, and what they make of an event in `shaping`.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::headers::{Headers, MASK, holds_secret};
use super::template::{Template, TemplateKind};
use crate::error::{FieldError, beginning};

/// Most header templates of a destination.
pub const MAX_HEADER_TEMPLATES: usize = 20;

/// What is sent in place of the document, and headers that are made for each event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Templates {
    /// Makes the body. `None`: the document is sent as it came.
    pub body: Option<Template>,
    /// Make headers.
    pub headers: HeaderTemplates,
}

/// Changes of header templates: a source sets a template, and `None` removes it.
pub type HeaderTemplateChanges = Vec<(String, Option<String>)>;

/// Templates of header values by name, in the order given. Names follow the rules of [`Headers`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderTemplates(Arc<[(Box<str>, Template)]>);

impl HeaderTemplates {
    /// Checks the templates that a client gave.
    ///
    /// # Errors
    /// Every error, with the field `header_templates.NAME`, or `header_templates` for all together.
    pub fn parse(pairs: Vec<(String, String)>) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        if pairs.len() > MAX_HEADER_TEMPLATES {
            wrong.push(FieldError::new("header_templates", format!("must be at most {MAX_HEADER_TEMPLATES} headers")));
        }
        // A mask stands for a template that the client has not seen, as in headers.
        let shown = |source: &String| if source == MASK { MASK } else { "" }.to_owned();
        let names = pairs.iter().map(|(name, source)| (name.clone(), shown(source))).collect();
        if let Err(errors) = Headers::parse(names) {
            wrong.extend(errors.into_iter().map(|error| {
                FieldError::new(format!("header_templates{}", error.field.trim_start_matches("headers")), error.message)
            }));
        }
        let mut templates = Vec::with_capacity(pairs.len());
        // Those beyond the bound are refused already, and compiling is dear.
        for (name, source) in pairs.into_iter().take(MAX_HEADER_TEMPLATES) {
            match Template::parse(&source, TemplateKind::Header) {
                Ok(template) => templates.push((name.into_boxed_str(), template)),
                Err(error) => {
                    let field = format!("header_templates.{}", beginning(&name));
                    wrong.push(FieldError::new(field, error.to_string()));
                }
            }
        }
        if wrong.is_empty() { Ok(Self(templates.into())) } else { Err(wrong) }
    }

    /// Reads [`Self::to_json`] from the database. Nothing is checked again or compiled yet.
    pub fn from_json(text: &str) -> Self {
        let object: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        let templates = object.into_iter().filter_map(|(name, source)| {
            Some((name.into_boxed_str(), Template::from_stored(source.as_str()?, TemplateKind::Header)))
        });
        Self(templates.collect())
    }

    /// A JSON object of strings, in order.
    pub fn to_json(&self) -> String {
        let object: Map<String, Value> =
            self.iter().map(|(name, template)| (name.to_owned(), Value::from(template.as_str()))).collect();
        Value::Object(object).to_string()
    }

    /// The templates after an RFC 7396 merge patch: a source sets a template, and `None` removes it. Names match
    /// without regard to case.
    ///
    /// # Errors
    /// As [`Self::parse`], for the result.
    pub fn patched(&self, changes: HeaderTemplateChanges) -> Result<Self, Vec<FieldError>> {
        let mut pairs: Vec<(String, String)> =
            self.iter().map(|(name, template)| (name.to_owned(), template.as_str().to_owned())).collect();
        for (name, source) in changes {
            let place = pairs.iter().position(|(known, _)| known.eq_ignore_ascii_case(&name));
            match (place, source) {
                (Some(place), Some(source)) => pairs[place] = (name, source),
                (Some(place), None) => drop(pairs.remove(place)),
                (None, Some(source)) => pairs.push((name, source)),
                (None, None) => {}
            }
        }
        Self::parse(pairs)
    }

    /// Name and template of each header, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.0.iter().map(|(name, template)| (&**name, template))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The template of the header `name`, without regard to case.
    pub fn get(&self, name: &str) -> Option<&Template> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, template)| template)
    }

    /// Errors for names that `headers` has too.
    pub fn overlap(&self, headers: &Headers) -> Vec<FieldError> {
        let both = self.iter().filter(|(name, _)| headers.get(name).is_some());
        both.map(|(name, _)| {
            FieldError::new(format!("header_templates.{name}"), "is in headers too; keep this header in one of them")
        })
        .collect()
    }

    /// Name and source of each template for lists. [`MASK`] replaces a source whose header holds a secret.
    pub fn masked(&self) -> Vec<(String, String)> {
        let shown =
            |name: &str, template: &Template| if holds_secret(name) { MASK } else { template.as_str() }.to_owned();
        self.iter().map(|(name, template)| (name.to_owned(), shown(name, template))).collect()
    }
}

impl fmt::Debug for HeaderTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Templates {
    /// Whether there are none, so that nothing has to be made.
    pub fn are_empty(&self) -> bool {
        self.body.is_none() && self.headers.is_empty()
    }
}
