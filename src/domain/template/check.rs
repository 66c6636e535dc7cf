//! What is refused before the engine compiles a template: what is too deep for its recursion, what this server leaves
//! out, and names that do not exist. On the way it notes which literals have to be replaced.
//!
//! This is no parser. Where a template is no Jinja at all, the engine says so afterwards.

use super::checker::{Bracket, Checker, Open, Part, Place};
use super::failure::TemplateError;
use super::names;
use super::rewrite::Edit;
use super::token::{Kind, Token};

/// Deepest nesting of blocks, each `elif` counted as one.
const MAX_BLOCKS: usize = 32;

/// Checks the tokens of a template.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check(source: &str, tokens: &[Token<'_>]) -> Result<Vec<Edit>, TemplateError> {
    let assigned = names::assigned(tokens);
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

impl<'s> Checker<'_, 's> {
    /// Reads a tag from its opening to its end.
    fn tag(&mut self) -> Result<(), TemplateError> {
        let begin = self.tokens[self.at];
        self.at += 1;
        let name = self.tokens.get(self.at).copied().filter(|_| begin.kind == Kind::TagBegin);
        if let Some(name) = &name {
            self.block(name, begin.at)?;
            self.at += 1;
        }
        let tag = name.map_or("", |name| name.text);
        let part = if matches!(tag, "for" | "set" | "with") { Part::Target } else { Part::Value };
        let mut place = Place {
            tag,
            part,
            open: vec![Open { bracket: Bracket::Tag, chain: 0, colons: 0 }],
            after_value: false,
            after_test: false,
            dotted_target: false,
        };
        // A filter block has the name of its filter where others have it after `|`.
        if let Some(filter) = self.tokens.get(self.at).filter(|_| tag == "filter") {
            self.filter(filter)?;
            self.at += 1;
            place.after_value = true;
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
}
