//! A filter that has been parsed, and how it is answered. Nothing in it can fail: what cannot be answered is missing, and
//! what is missing makes a comparison false.

use std::cmp::Ordering;

use super::decimal::Decimal;
use super::event::FilteredEvent;
use super::paths::{NodeId, Path};
use super::text::Text;
use super::value::Value;

/// A filter without its text.
pub(super) struct Program {
    pub(super) condition: Condition,
    /// The paths into the document, as [`Source::Data`] counts them.
    pub(super) paths: Vec<Path>,
}

/// What is true or false of an event.
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// A value that stands alone.
    True(Operand),
    Compare(Operand, Comparison, Operand),
    /// The first is in the second.
    In(Operand, Container),
    Defined(Operand),
    None(Operand),
    StartingWith(Operand, Box<str>),
    EndingWith(Operand, Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What may hold something.
pub(super) enum Container {
    List(Vec<Literal>),
    Value(Operand),
}

pub(super) enum Operand {
    Literal(Literal),
    Read(Reading),
}

/// A value that is written in the filter.
pub(super) enum Literal {
    None,
    Bool(bool),
    Number(Box<str>),
    Text(Box<str>),
}

/// A value that is read from the event, with the filters that are applied to it.
pub(super) struct Reading {
    pub(super) source: Source,
    pub(super) lower: bool,
    /// The length is asked, of the lower case if both are set.
    pub(super) length: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Source {
    /// Index of a path in [`Program::paths`].
    Data(usize),
    EventType,
    ReceivedAt,
    AccountId,
}

/// The values of one event, as one program counts its paths.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) event: &'a FilteredEvent<'a>,
    /// The value at each node of the tree of paths.
    pub(super) found: &'a [Option<Value<'a>>],
    /// The node of each path of the program.
    pub(super) nodes: &'a [NodeId],
}

impl Condition {
    /// Recurses as deep as the filter is nested, which the parser bounds.
    pub(super) fn holds(&self, values: Values<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(values)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(values)),
            Self::Not(condition) => !condition.holds(values),
            Self::True(operand) => operand.value(values).is_some_and(|value| value.is_true()),
            Self::Compare(left, comparison, right) => comparison.holds(left.value(values), right.value(values)),
            Self::In(part, container) => part.value(values).is_some_and(|part| container.contains(part, values)),
            Self::Defined(operand) => operand.value(values).is_some(),
            Self::None(operand) => matches!(operand.value(values), Some(Value::Null)),
            Self::StartingWith(operand, start) => {
                operand.text(values).is_some_and(|text| text.starts_with(Text::plain(start)))
            }
            Self::EndingWith(operand, end) => operand.text(values).is_some_and(|text| text.ends_with(Text::plain(end))),
        }
    }
}

impl Comparison {
    fn holds(self, left: Option<Value<'_>>, right: Option<Value<'_>>) -> bool {
        let Some((left, right)) = left.zip(right) else { return self == Self::NotEqual };
        let order = || left.order(&right);
        match self {
            Self::Equal => left.equals(&right),
            Self::NotEqual => !left.equals(&right),
            Self::Less => order().is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order().is_some_and(Ordering::is_le),
            Self::Greater => order().is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
        }
    }
}

impl Container {
    fn contains(&self, part: Value<'_>, values: Values<'_>) -> bool {
        match self {
            Self::List(literals) => literals.iter().any(|literal| literal.value().equals(&part)),
            Self::Value(operand) => operand.value(values).is_some_and(|container| container.contains(&part)),
        }
    }
}

impl Operand {
    /// Whether it is a value of the document, whose length only the document bounds. A length is no such value.
    pub(super) fn is_of_document(&self) -> bool {
        matches!(self, Self::Read(reading) if !reading.length && reading.is_of_document())
    }

    fn value<'a>(&'a self, values: Values<'a>) -> Option<Value<'a>> {
        match self {
            Self::Literal(literal) => Some(literal.value()),
            Self::Read(reading) => reading.value(values),
        }
    }

    fn text<'a>(&'a self, values: Values<'a>) -> Option<Text<'a>> {
        match self.value(values)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Literal {
    fn value(&self) -> Value<'_> {
        match self {
            Self::None => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(Decimal::read(number)),
            Self::Text(text) => Value::Text(Text::plain(text)),
        }
    }
}

impl Reading {
    pub(super) fn is_of_document(&self) -> bool {
        matches!(self.source, Source::Data(_))
    }

    fn value<'a>(&self, values: Values<'a>) -> Option<Value<'a>> {
        let mut value = match self.source {
            Source::Data(path) => (*values.found.get(*values.nodes.get(path)?)?)?,
            Source::EventType => Value::Text(Text::plain(values.event.event_type?)),
            Source::ReceivedAt => Value::Text(Text::plain(values.event.received_at)),
            Source::AccountId => Value::Text(Text::plain(values.event.account_id)),
        };
        if self.lower {
            let Value::Text(text) = value else { return None };
            value = Value::Text(text.lowered());
        }
        if self.length {
            value = Value::Number(Decimal::Whole(i64::try_from(value.length()?).ok()?));
        }
        Some(value)
    }
}
