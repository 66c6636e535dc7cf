//! Tests of the whole: templates beside documents.

use super::*;

mod corpus;
mod documents;
mod failing;
mod honest;
mod hostile;
mod reading;
mod saving;

const INPUT: TemplateInput<'static> = TemplateInput {
    event_id: "evt_1",
    event_type: Some("order.paid"),
    received_at: "2026-01-02T03:04:05Z",
    account_id: "acc_1",
    destination_id: "dst_1",
    delivery_id: "dlv_1",
    attempt: 2,
};

/// Longest result of the tests, as `--max-body` is at first.
const MAX_BODY: usize = 1 << 20;

fn context(document: &str) -> TemplateContext {
    TemplateContext::new(document.as_bytes().to_vec(), &INPUT)
}

fn parsed(source: &str, kind: TemplateKind) -> Template {
    Template::parse(source, kind).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn render(source: &str, kind: TemplateKind, document: &str) -> Result<String, TemplateFailure> {
    let made = parsed(source, kind).render(&context(document), MAX_BODY)?;
    Ok(String::from_utf8(made).expect("UTF-8"))
}

fn body(source: &str, document: &str) -> Result<String, TemplateFailure> {
    render(source, TemplateKind::Body, document)
}

fn header(source: &str, document: &str) -> Result<String, TemplateFailure> {
    render(source, TemplateKind::Header, document)
}

/// Asserts what a body template makes.
#[track_caller]
fn makes(source: &str, document: &str, expected: &str) {
    assert_eq!(body(source, document).as_deref(), Ok(expected), "{source}");
}
