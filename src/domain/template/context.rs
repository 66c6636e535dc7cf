//! What all templates of one attempt see: the document, and who sends what to whom.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, Value};

use super::document::Document;
use super::list::Map;
use super::node::{self, Reading};
use super::work;

/// What an attempt is about. Texts are as the API shows them.
#[derive(Debug, Clone, Copy)]
pub struct TemplateInput<'a> {
    /// Id of the event, `event.id`.
    pub event_id: &'a str,
    /// Type of the event, `event.type`. Without one that is none.
    pub event_type: Option<&'a str>,
    /// When the event was received, RFC 3339, `event.received_at`.
    pub received_at: &'a str,
    /// Id of the account, `event.account_id`.
    pub account_id: &'a str,
    /// Id of the destination, `destination.id`.
    pub destination_id: &'a str,
    /// Id of the delivery, `delivery.id`.
    pub delivery_id: &'a str,
    /// Number of the attempt, from 1, `delivery.attempt`.
    pub attempt: u32,
}

/// The values that templates read. All templates of an attempt share one, so that the document is read once.
pub struct TemplateContext {
    document: Arc<Document>,
    values: Value,
}

impl TemplateContext {
    /// A context around a document, which must have been accepted: JSON in UTF-8, at most 128 levels deep.
    ///
    /// The bytes are kept and not copied. Nothing is read before a template asks for it. Of a document of 4 GiB or more
    /// nothing is there.
    pub fn new(document: impl AsRef<[u8]> + Send + Sync + 'static, input: &TemplateInput<'_>) -> Self {
        let document = Arc::new(Document::new(document));
        let values = Value::from_object(Values {
            data: node::root(&document, Reading::Data),
            raw: node::root(&document, Reading::Raw),
            event: map([
                ("id", Value::from(input.event_id)),
                ("type", Value::from(input.event_type)),
                ("received_at", Value::from(input.received_at)),
                ("account_id", Value::from(input.account_id)),
            ]),
            destination: map([("id", Value::from(input.destination_id))]),
            delivery: map([("id", Value::from(input.delivery_id)), ("attempt", Value::from(input.attempt))]),
        });
        Self { document, values }
    }

    /// Path of a number, such as `data.items[0].price`, that the templates rendered so far printed otherwise than it
    /// came: `19.90` as `19.9`. `None` if there is none. The same path from `raw` prints it as it came.
    ///
    /// Numbers are recognised by what was printed. So a number that was only compared counts too where another one
    /// printed the same.
    pub fn inexact_number(&self) -> Option<String> {
        self.document.printed_inexact().map(|at| self.document.path(at))
    }

    pub(super) fn values(&self) -> Value {
        self.values.clone()
    }

    /// Length of the document in bytes.
    pub(super) fn length(&self) -> usize {
        self.document.bytes().len()
    }

    /// Takes what a rendering printed into account.
    pub(super) fn rendered(&self) {
        self.document.note_printed(&work::take_printed());
    }
}

impl fmt::Debug for TemplateContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TemplateContext({} bytes)", self.length())
    }
}

/// A map of few values, which is never too large.
fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Map::value(pairs.map(|(name, value)| (Arc::from(name), value))).unwrap_or_default()
}

/// The variables that are given.
#[derive(Debug)]
struct Values {
    data: Value,
    raw: Value,
    event: Value,
    destination: Value,
    delivery: Value,
}

impl Object for Values {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let value = match key {
            "data" => &self.data,
            "raw" => &self.raw,
            "event" => &self.event,
            "destination" => &self.destination,
            "delivery" => &self.delivery,
            _ => return None,
        };
        Some(value.clone())
    }
}
