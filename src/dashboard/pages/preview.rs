//! The preview beside the settings of a destination: what an event would become with what stands in the form.

use crate::dashboard::context::{DashboardContext, Visitor};
use crate::dashboard::form::{Field, Form, parsed};
use crate::dashboard::respond::PageResult;
use crate::dashboard::view::payload;
use crate::domain::conditions::SkipReason;
use crate::domain::destination::Destination;
use crate::domain::document::Document;
use crate::domain::event::SAMPLE;
use crate::domain::event_type::EventType;
use crate::domain::ids::{EventId, sequence_id};
use crate::domain::json;
use crate::domain::preview::{Preview, PreviewedEvent, preview};
use crate::domain::time::Timestamp;
use crate::web::body;

/// The fields of the preview, and what it shows.
pub struct PreviewForm {
    /// A document to try. Empty: the account's newest event.
    pub document: Field,
    /// Type of that event.
    pub event_type: Field,
    /// What the event would become. `None` until somebody asks.
    pub shown: Option<PreviewShown>,
}

/// What a preview shows.
pub enum PreviewShown {
    /// Settings, or the document, have errors: each is a sentence.
    Wrong(Vec<String>),
    /// What the event would become.
    Made {
        /// Whether the event comes here, and why not.
        verdict: &'static str,
        /// Whether the event comes here and can be sent.
        is_good: bool,
        /// Request line and headers. Empty if no request can be made.
        head: String,
        /// The body, as text.
        body: String,
        /// Why no request can be made, and warnings.
        notes: Vec<String>,
    },
}

impl Default for PreviewForm {
    fn default() -> Self {
        Self { document: Field::new("preview_document", ""), event_type: Field::new("preview_type", ""), shown: None }
    }
}

impl PreviewForm {
    /// The form again, with what it shows now.
    pub fn again(form: &Form, shown: PreviewShown) -> Self {
        let [document, event_type] = ["preview_document", "preview_type"].map(|name| form.field(name));
        Self { document, event_type, shown: Some(shown) }
    }
}

/// Makes the preview of the event in the form at `destination`, which has the settings to preview.
pub async fn show(
    context: &DashboardContext,
    visitor: &Visitor,
    form: &mut Form,
    destination: Destination,
) -> PageResult<PreviewShown> {
    let now = visitor.now;
    let event_type = form.optional("preview_type", parsed::<EventType>);
    let text = form.text("preview_document").to_owned();
    let event = if text.is_empty() {
        newest(visitor, &destination, event_type.flatten()).await?
    } else {
        if let Err(message) = json::check(text.as_bytes()) {
            form.fault("preview_document", message);
        }
        let memory = context.bodies.memory.reserve(text.len()).map_err(|_| body::no_memory())?;
        made_up(Document::new(text.into_bytes(), event_type.flatten(), memory), now)
    };
    if !form.is_right() {
        return Ok(PreviewShown::Wrong(form.sentences()));
    }
    let most = context.bodies.bytes;
    let made = visitor.store.run_apart(move || preview(&destination, &event, now, most)).await?;
    Ok(shown(made))
}

/// The newest event of the account, or the sample if there is none.
async fn newest(
    visitor: &Visitor,
    destination: &Destination,
    event_type: Option<EventType>,
) -> PageResult<PreviewedEvent> {
    let found = visitor.store.newest_event(destination.account_id.clone()).await?;
    Ok(found.unwrap_or_else(|| made_up(Document::made(SAMPLE.as_bytes(), event_type), visitor.now)))
}

fn made_up(document: Document, now: Timestamp) -> PreviewedEvent {
    PreviewedEvent { id: EventId(sequence_id(now)), received_at: now, document }
}

fn shown(preview: Preview) -> PreviewShown {
    let verdict = match (preview.skipped, &preview.request) {
        (Some(SkipReason::EventType), _) => "The event does not come here: its type is not wanted.",
        (Some(SkipReason::Filter), _) => "The event does not come here: the filter is false.",
        (None, Ok(_)) => "The event comes here, and this is sent:",
        (None, Err(_)) => "The event comes here, but no request can be made.",
    };
    let is_good = preview.skipped.is_none() && preview.request.is_ok();
    let mut notes = preview.warnings;
    let (head, body) = match preview.request {
        Ok(request) => {
            let lines: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let head = format!("{} {}\n{}", request.method, request.url, lines.join("\n"));
            (head, request.body.map(|body| payload::raw(&body).text).unwrap_or_default())
        }
        Err(why) => {
            notes.insert(0, why.detail);
            (String::new(), String::new())
        }
    };
    PreviewShown::Made { verdict, is_good, head, body, notes }
}
