//! What is refused before the engine compiles a template: what is too deep for its recursion, what this server leaves
//! out, and names that do not exist. On the way it notes which literals have to be replaced.
//!
//! This is no parser. Where a template is no Jinja at all, the engine says so afterwards.

use std::collections::HashSet;

use super::environment::{self, FUNCTIONS};
use super::failure::TemplateError;
use super::functions::{CONTAINED, HELD, LIST, MAP};
use super::rewrite::Edit;
use super::token::{Kind, Token};

/// Deepest nesting of blocks, each `elif` counted as one.
const MAX_BLOCKS: usize = 32;

/// Most operators, dots, filters and brackets that can be inside of each other at one place of an expression. The engine
/// takes a part of the stack for each.
const MAX_CHAIN: usize = 200;

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

/// Checks the tokens of a template.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check(source: &str, tokens: &[Token<'_>]) -> Result<Vec<Edit>, TemplateError> {
    let assigned = assigned_names(tokens);
    let mut checker = Checker { source, tokens, at: 0, assigned, blocks: Vec::new(), edits: Vec::new() };
    while checker.at < tokens.len() {
        checker.tag()?;
    }
    match checker.blocks.iter().rfind(|(name, _)| *name != "elif") {
        Some((name, at)) => {
            let message = format!("this block is not closed; it ends with {{% end{name} %}}");
            Err(TemplateError::at(source, *at, message))
        }
        None => Ok(checker.edits),
    }
}

/// All names that a template gives values to, wherever it does so.
fn assigned_names<'s>(tokens: &[Token<'s>]) -> HashSet<&'s str> {
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

/// What a bracket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Group,
    Call,
    Subscript,
    List,
    Map,
}

/// The part of a tag that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Names that get a value.
    Target,
    /// An expression.
    Value,
    /// An expression whose value goes to a variable. It is inside of a call that was put around it.
    Assigned,
}

/// Where in an expression the reading is.
struct Place<'s> {
    tag: &'s str,
    part: Part,
    /// Open brackets, each with what is chained inside since the last comma. The first one is the tag itself.
    open: Vec<(Bracket, usize)>,
    /// Colons in the innermost subscript.
    colons: usize,
    /// Whether the token before ends a value.
    after_value: bool,
    /// Whether the token before is the name of a test.
    after_test: bool,
    dotted_target: bool,
}

struct Checker<'a, 's> {
    source: &'s str,
    tokens: &'a [Token<'s>],
    at: usize,
    assigned: HashSet<&'s str>,
    /// Open blocks, with where they begin. An `elif` is one more.
    blocks: Vec<(&'s str, usize)>,
    edits: Vec<Edit>,
}

impl<'s> Checker<'_, 's> {
    fn fault<T>(&self, token: &Token<'_>, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::at(self.source, token.at, message))
    }

    fn text_at(&self, at: Option<usize>) -> &'s str {
        at.and_then(|at| self.tokens.get(at)).map_or("", |token| token.text)
    }

    fn before(&self) -> &'s str {
        self.text_at(self.at.checked_sub(1))
    }

    fn after(&self) -> &'s str {
        self.text_at(Some(self.at + 1))
    }

    /// Reads a tag from its opening to its end.
    fn tag(&mut self) -> Result<(), TemplateError> {
        let begin = self.tokens[self.at];
        self.at += 1;
        let mut tag = "";
        if begin.kind == Kind::TagBegin {
            if let Some(name) = self.tokens.get(self.at) {
                tag = name.text;
                self.block(name, begin.at)?;
                // The name of a filter block is read as the one after `|`.
                if tag != "filter" {
                    self.at += 1;
                }
            }
        }
        let part = if matches!(tag, "for" | "set" | "with") { Part::Target } else { Part::Value };
        let mut place = Place {
            tag,
            part,
            open: vec![(Bracket::Call, 0)],
            colons: 0,
            after_value: false,
            after_test: false,
            dotted_target: false,
        };
        if tag == "filter" {
            self.at += 1;
            if let Some(name) = self.tokens.get(self.at) {
                self.filter(name)?;
                self.at += 1;
                place.after_value = true;
            }
        }
        while let Some(token) = self.tokens.get(self.at).copied() {
            match token.kind {
                Kind::End => {
                    self.end_tag(&place, &token, begin.at);
                    self.at += 1;
                    return Ok(());
                }
                Kind::Name => self.name(&mut place, &token)?,
                Kind::Sign => self.sign(&mut place, &token)?,
                _ => (place.after_value, place.after_test) = (true, false),
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Keeps the nesting of blocks.
    fn block(&mut self, name: &Token<'s>, begin: usize) -> Result<(), TemplateError> {
        match name.text {
            "for" | "if" | "with" | "filter" => self.blocks.push((name.text, begin)),
            "elif" if self.innermost() == Some("if") => self.blocks.push(("elif", begin)),
            "elif" => return self.fault(name, "elif stands only between if and endif"),
            "endif" | "endfor" | "endwith" | "endset" | "endfilter" => {
                let opened = &name.text["end".len()..];
                match self.innermost() {
                    Some(open) if open == opened => self.close(),
                    Some(open) => {
                        return self.fault(name, format!("the block that is open here ends with {{% end{open} %}}"));
                    }
                    None => return self.fault(name, format!("no {{% {opened} %}} is open here")),
                }
            }
            "else" | "set" => {}
            "macro" | "call" | "include" | "import" | "from" | "extends" | "block" => {
                return self.fault(name, format!("{{% {} %}} is left out here: a template stands alone", name.text));
            }
            "autoescape" | "do" | "break" | "continue" => {
                return self.fault(name, format!("{{% {} %}} is left out here", name.text));
            }
            other => {
                return self.fault(name, format!("{other} is no tag; there are for, if, set, with, filter and raw"));
            }
        }
        if self.blocks.len() > MAX_BLOCKS {
            return self.fault(name, format!("blocks are nested deeper than {MAX_BLOCKS}, each elif counted as one"));
        }
        Ok(())
    }

    /// The name of the innermost block. An `elif` is a part of its `if`.
    fn innermost(&self) -> Option<&'s str> {
        self.blocks.iter().rev().map(|(name, _)| *name).find(|name| *name != "elif")
    }

    fn close(&mut self) {
        while self.blocks.pop().is_some_and(|(name, _)| name == "elif") {}
    }

    fn end_tag(&mut self, place: &Place<'s>, token: &Token<'_>, begin: usize) {
        match (place.tag, place.part) {
            (_, Part::Assigned) => self.edits.push(Edit { at: token.at, removed: 0, inserted: ")" }),
            // A set without a value captures what comes up to its endset.
            ("set", _) => self.blocks.push(("set", begin)),
            _ => {}
        }
    }

    fn name(&mut self, place: &mut Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
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
        let is_argument = self.after() == "=" && place.open.len() > 1;
        if place.part == Part::Target && place.open.len() == 1 || is_argument {
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
        if let Some((_, fields)) = FIELDS.iter().find(|(name, _)| *name == owner).filter(|_| !is_path) {
            if !fields.contains(&token.text) && !self.assigned.contains(owner) {
                return self.fault(token, format!("{owner} has no {}; it has {}", token.text, fields.join(", ")));
            }
        }
        place.dotted_target |= place.part == Part::Target;
        Ok(())
    }

    fn filter(&self, token: &Token<'s>) -> Result<(), TemplateError> {
        if environment::has_filter(token.text) && self.after() != "." {
            return Ok(());
        }
        self.fault(token, format!("{} is no filter; there are {}", token.text, environment::filter_names()))
    }

    fn function(&self, token: &Token<'s>) -> Result<(), TemplateError> {
        if FUNCTIONS.contains(&token.text) {
            return Ok(());
        }
        let hint =
            if environment::has_filter(token.text) { "; a filter comes after its value, as in value|" } else { "" };
        let name = if hint.is_empty() { "" } else { token.text };
        self.fault(token, format!("{} is no function; there are {}{hint}{name}", token.text, FUNCTIONS.join(", ")))
    }

    fn sign(&mut self, place: &mut Place<'s>, token: &Token<'s>) -> Result<(), TemplateError> {
        let after_value = std::mem::replace(&mut place.after_value, false);
        let after_test = std::mem::replace(&mut place.after_test, false);
        let inside = place.open.last().map_or(Bracket::Call, |(bracket, _)| *bracket);
        let at_top = place.open.len() == 1;
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
            "," if inside == Bracket::Group => self.fault(token, TUPLE),
            "," if at_top && place.part == Part::Assigned && place.tag == "with" => {
                self.edits.push(Edit { at: token.at, removed: 0, inserted: ")" });
                place.part = Part::Target;
                self.separate(place)
            }
            "," if at_top && place.part == Part::Assigned => self.fault(token, TUPLE),
            ":" if inside == Bracket::Map => {
                self.edits.push(Edit { at: token.at, removed: 1, inserted: "," });
                self.separate(place)
            }
            ":" if inside == Bracket::Subscript => {
                place.colons += 1;
                if place.colons > 1 {
                    return self
                        .fault(token, "a part has a beginning and an end, [2:5]; for the reverse there is |reverse");
                }
                self.separate(place)
            }
            "," | ":" => self.separate(place),
            "=" if at_top && place.part == Part::Target && matches!(place.tag, "set" | "with") => {
                place.part = Part::Assigned;
                let inserted = if place.dotted_target { CONTAINED } else { HELD };
                self.edits.push(Edit { at: token.at + 1, removed: 0, inserted });
                Ok(())
            }
            "*" | "**" if inside == Bracket::Call && matches!(self.before(), "(" | ",") => {
                self.fault(token, "arguments are given one by one")
            }
            _ => self.chain(place, token),
        }
    }

    fn open(&mut self, place: &mut Place<'s>, token: &Token<'_>, bracket: Bracket) -> Result<(), TemplateError> {
        place.colons = 0;
        self.chain(place, token)?;
        place.open.push((bracket, 0));
        Ok(())
    }

    fn close_bracket(&mut self, place: &mut Place<'s>, token: &Token<'_>) -> Result<(), TemplateError> {
        let (bracket, _) = place.open.last().copied().unwrap_or((Bracket::Call, 0));
        let expected = match bracket {
            Bracket::Group | Bracket::Call => ")",
            Bracket::Subscript | Bracket::List => "]",
            Bracket::Map => "}",
        };
        if place.open.len() == 1 || token.text != expected {
            return self.fault(token, format!("{} closes nothing that is open here", token.text));
        }
        if matches!(bracket, Bracket::List | Bracket::Map) {
            self.edits.push(Edit { at: token.at, removed: 1, inserted: ")" });
        }
        place.open.pop();
        place.after_value = true;
        Ok(())
    }

    /// Begins a new chain after a comma or colon.
    fn separate(&self, place: &mut Place<'s>) -> Result<(), TemplateError> {
        if let Some((_, chain)) = place.open.last_mut() {
            *chain = 0;
        }
        Ok(())
    }

    /// Counts an operator, a dot, a filter or a bracket.
    fn chain(&self, place: &mut Place<'s>, token: &Token<'_>) -> Result<(), TemplateError> {
        if let Some((_, chain)) = place.open.last_mut() {
            *chain += 1;
        }
        if place.open.iter().map(|(_, chain)| chain).sum::<usize>() > MAX_CHAIN {
            let message =
                format!("more than {MAX_CHAIN} operators, dots and brackets in a row; use {{% set %}} in between");
            return self.fault(token, message);
        }
        Ok(())
    }
}

const TUPLE: &str = "a list stands in square brackets: [1, 2]";
