//! The names in a template: which are given, which are assigned, and which filters, tests and functions there are. The
//! engine finds out only when it renders.

use std::collections::HashSet;

use super::checker::{Bracket, Checker, Part, Place};
use super::environment::{self, FUNCTIONS};
use super::failure::TemplateError;
use super::token::{Kind, Token};

/// Words that are no names of values where a value may stand.
const KEYWORDS: [&str; 7] = ["and", "or", "not", "in", "is", "if", "else"];

/// Names of values that need not be assigned.
const GIVEN: [&str; 12] =
    ["data", "raw", "event", "destination", "delivery", "loop", "true", "false", "none", "True", "False", "None"];

/// The fields of the values that have no others.
const FIELDS: [(&str, &[&str]); 3] = [
    ("event", &["id", "type", "received_at", "account_id"]),
    ("destination", &["id"]),
    ("delivery", &["id", "attempt"]),
];

/// All names that a template gives values to, wherever it does so.
pub(super) fn assigned<'s>(tokens: &[Token<'s>]) -> HashSet<&'s str> {
    let mut names = HashSet::new();
    for tag in tokens.split(|token| token.kind == Kind::End) {
        let (Some(first), Some(rest)) = (tag.get(1), tag.get(2..)) else { continue };
        let stop: &[&str] = match first.text {
            "for" => &["in"],
            "set" => &["=", "|"],
            "with" => &[],
            _ => continue,
        };
        for (place, token) in rest.iter().enumerate().take_while(|(_, token)| !stop.contains(&token.text)) {
            let next = rest.get(place + 1).map_or("", |next| next.text);
            if token.kind == Kind::Name && (first.text != "with" || next == "=") && next != "." {
                names.insert(token.text);
            }
        }
    }
    names
}

impl<'s> Checker<'_, 's> {
    /// Checks a name or keyword.
    pub(super) fn name(&mut self, place: &mut Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
        let before = self.before();
        let is_test = matches!(before, "is") || before == "not" && self.text_at(self.at.checked_sub(2)) == "is";
        let after_value = std::mem::replace(&mut place.after_value, true);
        let after_test = std::mem::replace(&mut place.after_test, false);
        if before == "." {
            return self.attribute(place, token);
        }
        if before == "|" {
            return self.filter(token);
        }
        if is_test && token.text != "not" {
            (place.after_value, place.after_test) = (false, true);
            return if environment::has_test(token.text) {
                Ok(())
            } else {
                self.fault(token, format!("{} is no test; there are {}", token.text, environment::test_names()))
            };
        }
        if place.part == Part::Target && place.tag == "for" && token.text == "in" {
            (place.part, place.after_value) = (Part::Value, false);
            return Ok(());
        }
        if KEYWORDS.contains(&token.text) {
            place.after_value = false;
            return self.chain(place, token);
        }
        if token.text.starts_with("__") {
            return self.fault(token, "names that begin with two underscores are kept for the server");
        }
        let is_argument = self.after() == "=" && place.inside() == Bracket::Call;
        let is_target = place.part == Part::Target && place.inside() == Bracket::Tag;
        if is_argument || is_target {
            return Ok(());
        }
        // Two values in a row are no Jinja, which the engine says better.
        if after_value && !after_test {
            return Ok(());
        }
        if self.after() == "(" {
            return self.function(token);
        }
        if self.assigned.contains(token.text) || GIVEN.contains(&token.text) {
            return Ok(());
        }
        let hint = match token.text {
            "null" | "nil" | "undefined" => "write none, or `is defined`".to_owned(),
            name => format!("a field of the document is data.{name}, and a text stands in quotes"),
        };
        self.fault(token, format!("{} is not known here; {hint}", token.text))
    }

    fn attribute(&self, place: &mut Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
        let owner = self.text_at(self.at.checked_sub(2));
        let is_path = self.text_at(self.at.checked_sub(3)) == ".";
        if self.after() == "(" && !(owner == "loop" && matches!(token.text, "cycle" | "changed")) {
            let hint = match token.text {
                "items" | "keys" | "values" => "key and value come from `for key, value in data|items`",
                "get" => "what may be missing gets |default(...)",
                _ => "filters do such work, as in data.name|upper",
            };
            return self.fault(token, format!("values have no methods such as {}(); {hint}", token.text));
        }
        if token.text == "cycle" && self.text_at(Some(self.at + 2)) == ")" {
            return self.fault(token, "loop.cycle needs at least one value");
        }
        let fields = FIELDS.iter().find(|(name, _)| *name == owner && !is_path && !self.assigned.contains(name));
        if let Some((_, fields)) = fields.filter(|(_, fields)| !fields.contains(&token.text)) {
            return self.fault(token, format!("{owner} has no {}; it has {}", token.text, fields.join(", ")));
        }
        place.dotted_target |= place.part == Part::Target;
        Ok(())
    }

    pub(super) fn filter(&self, token: &Token<'s>) -> Result<(), TemplateError> {
        if environment::has_filter(token.text) && self.after() != "." {
            return Ok(());
        }
        self.fault(token, format!("{} is no filter; there are {}", token.text, environment::filter_names()))
    }

    fn function(&self, token: &Token<'s>) -> Result<(), TemplateError> {
        if FUNCTIONS.contains(&token.text) {
            return Ok(());
        }
        let name = token.text;
        let message = if environment::has_filter(name) {
            format!("{name} is no function; a filter comes after its value, as in value|{name}")
        } else {
            format!("{name} is no function; there are {}", FUNCTIONS.join(", "))
        };
        self.fault(token, message)
    }
}
