//! What the checks of a template keep while they read its tokens. The checks themselves are in `check`, `names` and
//! `operators`.

use std::collections::HashSet;

use super::failure::TemplateError;
use super::rewrite::Edit;
use super::token::Token;

/// What a bracket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Tag,
    Group,
    Call,
    Subscript,
    List,
    Map,
}

/// The part of a tag that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Names that get a value.
    Target,
    /// An expression.
    Value,
    /// An expression whose value goes to a variable. It is inside of a call that was put around it.
    Assigned,
}

/// An open bracket.
pub(super) struct Open {
    pub(super) bracket: Bracket,
    /// Operators, dots, filters and brackets since the last comma or colon.
    pub(super) chain: usize,
    /// Colons since the last comma.
    pub(super) colons: usize,
}

/// Where in a tag the reading is.
pub(super) struct Place<'s> {
    pub(super) tag: &'s str,
    pub(super) part: Part,
    /// Open brackets. The first one is the tag itself.
    pub(super) open: Vec<Open>,
    /// Whether the token before ends a value.
    pub(super) after_value: bool,
    /// Whether the token before is the name of a test.
    pub(super) after_test: bool,
    pub(super) dotted_target: bool,
}

pub(super) struct Checker<'a, 's> {
    pub(super) source: &'s str,
    pub(super) tokens: &'a [Token<'s>],
    pub(super) at: usize,
    pub(super) assigned: HashSet<&'s str>,
    /// Open blocks, with where they begin. An `elif` is one more.
    pub(super) blocks: Vec<(&'s str, usize)>,
    pub(super) edits: Vec<Edit>,
}

impl<'s> Checker<'_, 's> {
    pub(super) fn fault<T>(&self, token: &Token<'_>, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::at(self.source, token.at, message))
    }

    pub(super) fn text_at(&self, at: Option<usize>) -> &'s str {
        at.and_then(|at| self.tokens.get(at)).map_or("", |token| token.text)
    }

    pub(super) fn before(&self) -> &'s str {
        self.text_at(self.at.checked_sub(1))
    }

    pub(super) fn after(&self) -> &'s str {
        self.text_at(Some(self.at + 1))
    }
}

impl Place<'_> {
    /// What the innermost open bracket is for.
    pub(super) fn inside(&self) -> Bracket {
        self.open.last().map_or(Bracket::Tag, |open| open.bracket)
    }

    /// Begins a new chain after a comma or colon.
    pub(super) fn separate(&mut self, colons: usize) {
        if let Some(open) = self.open.last_mut() {
            (open.chain, open.colons) = (0, colons);
        }
    }
}
