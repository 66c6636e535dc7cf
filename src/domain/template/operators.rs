//! The operators and brackets in a template: what is too deep for the recursion of the engine's compiler, and which
//! literals and values functions take the place of.

use super::checker::{Bracket, Checker, Open, Part, Place};
use super::failure::TemplateError;
use super::functions::{CONTAINED, HELD, LIST, MAP};
use super::rewrite::Edit;
use super::token::{Kind, Token};

/// Most operators, dots, filters and brackets that can be inside of each other at one place of an expression. The engine
/// takes a part of the stack for each.
const MAX_CHAIN: usize = 200;

const TUPLE: &str = "a list stands in square brackets: [1, 2]";

const PAIRS: &str = "a map has a colon between each key and its value: {'a': 1, 'b': 2}";

impl<'s> Checker<'_, 's> {
    /// Checks an operator, bracket or separator.
    pub(super) fn sign(&mut self, place: &mut Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
        let after_value = std::mem::replace(&mut place.after_value, false);
        let after_test = std::mem::replace(&mut place.after_test, false);
        match token.text {
            "(" if after_value || after_test => {
                if self.tokens[self.at - 1].kind != Kind::Name {
                    return self.fault(token, "only functions and filters take arguments");
                }
                self.open(place, token, Bracket::Call)
            }
            "(" if self.after() == ")" => self.fault(token, TUPLE),
            "(" => self.open(place, token, Bracket::Group),
            "[" if after_value => self.open(place, token, Bracket::Subscript),
            "[" => {
                self.edits.push(Edit { at: token.at, removed: 1, inserted: LIST });
                self.open(place, token, Bracket::List)
            }
            "{" => {
                self.edits.push(Edit { at: token.at, removed: 1, inserted: MAP });
                self.open(place, token, Bracket::Map)
            }
            ")" | "]" | "}" => self.close_bracket(place, token),
            "," => self.comma(place, token),
            ":" => self.colon(place, token),
            "=" => self.assignment(place, token),
            "*" | "**" if matches!(self.before(), "(" | "[" | "{" | "," | "=") => {
                self.fault(token, "arguments and items are given one by one")
            }
            _ => self.chain(place, token),
        }
    }

    fn open(&mut self, place: &mut Place<'s>, token: &Token<'s>, bracket: Bracket) -> Result<(), TemplateError> {
        self.chain(place, token)?;
        place.open.push(Open { bracket, chain: 0, colons: 0 });
        Ok(())
    }

    fn close_bracket(&mut self, place: &mut Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
        let bracket = place.inside();
        let expected = match bracket {
            Bracket::Tag => "",
            Bracket::Group | Bracket::Call => ")",
            Bracket::Subscript | Bracket::List => "]",
            Bracket::Map => "}",
        };
        if token.text != expected {
            return self.fault(token, format!("{} closes nothing that is open here", token.text));
        }
        self.pair(place, token)?;
        if matches!(bracket, Bracket::List | Bracket::Map) {
            self.edits.push(Edit { at: token.at, removed: 1, inserted: ")" });
        }
        place.open.pop();
        place.after_value = true;
        Ok(())
    }

    fn comma(&mut self, place: &mut Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
        self.pair(place, token)?;
        match (place.inside(), place.part) {
            (Bracket::Group, _) => return self.fault(token, TUPLE),
            (Bracket::Tag, Part::Assigned) if place.tag == "with" => {
                self.edits.push(Edit { at: token.at, removed: 0, inserted: ")" });
                place.part = Part::Target;
            }
            (Bracket::Tag, Part::Assigned) => return self.fault(token, TUPLE),
            _ => {}
        }
        place.separate(0);
        Ok(())
    }

    fn colon(&mut self, place: &mut Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
        let colons = place.open.last().map_or(0, |open| open.colons);
        match place.inside() {
            Bracket::Map if colons > 0 => return self.fault(token, PAIRS),
            Bracket::Map => self.edits.push(Edit { at: token.at, removed: 1, inserted: "," }),
            Bracket::Subscript if colons > 0 => {
                return self
                    .fault(token, "a part has a beginning and an end, [2:5]; for the reverse there is |reverse");
            }
            _ => {}
        }
        place.separate(colons + 1);
        Ok(())
    }

    /// Checks that what ends here in a map has a key and a value. A map may end with a comma.
    fn pair(&self, place: &Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
        let colons = place.open.last().map_or(0, |open| open.colons);
        if place.inside() == Bracket::Map && colons == 0 && !matches!(self.before(), "{" | ",") {
            return self.fault(token, PAIRS);
        }
        Ok(())
    }

    fn assignment(&mut self, place: &mut Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
        match place.inside() {
            Bracket::Tag if place.part == Part::Target && matches!(place.tag, "set" | "with") => {
                place.part = Part::Assigned;
                let inserted = if place.dotted_target { CONTAINED } else { HELD };
                self.edits.push(Edit { at: token.at + 1, removed: 0, inserted });
                Ok(())
            }
            Bracket::Call => Ok(()),
            _ => self.fault(token, "one = gives a value to a variable, in {% set %}; == compares"),
        }
    }

    /// Counts an operator, a dot, a filter or a bracket.
    pub(super) fn chain(&self, place: &mut Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
        if let Some(open) = place.open.last_mut() {
            open.chain += 1;
        }
        if place.open.iter().map(|open| open.chain).sum::<usize>() > MAX_CHAIN {
            let message =
                format!("more than {MAX_CHAIN} operators, dots and brackets in a row; use {{% set %}} in between");
            return self.fault(token, message);
        }
        Ok(())
    }
}
