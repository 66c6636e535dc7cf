//! Values as a filter sees them, and how they compare.

use std::cmp::Ordering;

use super::decimal::Decimal;
use super::reader::{elements, keys};
use super::text::Text;

/// A value of a document, of an event or of the filter itself.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Decimal<'a>),
    Text(Text<'a>),
    /// A list as it is written, with its brackets.
    List(&'a str),
    /// An object as it is written, with its brackets.
    Object(&'a str),
}

impl<'a> Value<'a> {
    /// Reads a value of a document, without white space around it. `None` for what is no JSON.
    pub(super) fn read(json: &'a str) -> Option<Self> {
        Some(match json.as_bytes().first()? {
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            b'"' => {
                let written = json.get(1..json.len().checked_sub(1)?)?;
                Self::Text(Text::json(written, written.as_bytes().contains(&b'\\')))
            }
            b'[' => Self::List(json),
            b'{' => Self::Object(json),
            b'-' | b'0'..=b'9' => Self::Number(Decimal::read(json)),
            _ => return None,
        })
    }

    /// Whether both have the same type and are equal. Lists and objects are equal to nothing.
    pub(super) fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(this), Value::Bool(other)) => this == other,
            (Self::Number(this), Value::Number(other)) => this.order(*other).is_eq(),
            (Self::Text(this), Value::Text(other)) => this.equals(*other),
            _ => false,
        }
    }

    /// The order of two numbers or two texts. Nothing else has an order.
    pub(super) fn order(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(this), Value::Number(other)) => Some(this.order(*other)),
            (Self::Text(this), Value::Text(other)) => Some(this.order(*other)),
            _ => None,
        }
    }

    /// Whether `part` is an element of this list, a part of this text or a key of this object.
    pub(super) fn contains(&self, part: &Value<'_>) -> bool {
        match (self, part) {
            (Self::Text(this), Value::Text(part)) => this.contains(*part),
            (Self::Object(this), Value::Text(part)) => keys(this).any(|key| key.equals(*part)),
            (Self::List(_), Value::List(_) | Value::Object(_)) => false,
            (Self::List(this), _) => elements(this).filter_map(Value::read).any(|element| element.equals(part)),
            _ => false,
        }
    }

    /// Whether it holds as a condition by itself: what is false, null, zero or empty does not.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(number) => !number.is_zero(),
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => elements(list).next().is_some(),
            Self::Object(object) => keys(object).next().is_some(),
        }
    }

    /// The number of characters, elements or members. A repeated key counts each time, as telling it from a new one would
    /// take memory that grows with the document.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.length()),
            Self::List(list) => Some(elements(list).count()),
            Self::Object(object) => Some(keys(object).count()),
            _ => None,
        }
    }
}
