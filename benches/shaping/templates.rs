//! Each template of the corpus of mistakes and hostile ones, beside each of its documents of 1 MiB.

use data_pusher::domain::template::{Template, TemplateContext, TemplateInput, TemplateKind};

use super::measuring::{Cost, measured};
use super::support::report::Report;

#[path = "../../src/domain/template/tests/corpus.rs"]
mod corpus;

/// Size of the documents, and the longest result.
const MAX_BODY: usize = 1 << 20;

/// Milliseconds of one rendering, and of parsing.
const MOST_MS: f64 = 100.0;

/// Most memory of one rendering besides the document, in MiB: what is made, the text or list that it is made of, and
/// what either takes while it grows.
const MOST_MIB: f64 = 6.0;

const INPUT: TemplateInput<'static> = TemplateInput {
    event_id: "evt_1",
    event_type: Some("order.paid"),
    received_at: "2026-01-02T03:04:05Z",
    account_id: "acc_1",
    destination_id: "dst_1",
    delivery_id: "dlv_1",
    attempt: 2,
};

/// Measures all of them.
pub fn measure(report: &mut Report) {
    let (mut parse_ms, mut render_ms, mut most_bytes) = (0.0f64, 0.0f64, 0);
    let (mut templates, mut over_twice) = (0, 0);
    visit(
        |_| true,
        |step, cost| match step {
            Step::Parsed(_) => {
                templates += 1;
                parse_ms = parse_ms.max(cost.ms);
            }
            Step::Rendered { .. } => {
                render_ms = render_ms.max(cost.ms);
                most_bytes = most_bytes.max(cost.bytes);
                over_twice += usize::from(cost.bytes > 2 * MAX_BODY);
            }
        },
    );
    report.take("templates of the corpus", f64::from(templates), "");
    report.at_most("  slowest to parse", parse_ms, "ms", MOST_MS);
    report.at_most("  slowest to render", render_ms, "ms", MOST_MS);
    report.at_most("  most memory beside the document", most_bytes as f64 / f64::from(1 << 20), "MiB", MOST_MIB);
    report.take("  renderings that took more than 2 MiB", over_twice as f64, "");
}

/// Prints a line for each template with `part` in it, and each document.
pub fn show(part: &str) {
    visit(
        |source| source.contains(part),
        |step, Cost { ms, bytes }| {
            let kib = bytes / 1_024;
            match step {
                Step::Parsed(source) => println!("{ms:8.1} ms {kib:6} KiB  parsed: {}", beginning(source)),
                Step::Rendered { document, result } => println!("{ms:8.1} ms {kib:6} KiB  {document:12} {result}"),
            }
        },
    );
}

enum Step<'a> {
    Parsed(&'a str),
    Rendered { document: &'static str, result: String },
}

fn visit(wanted: impl Fn(&str) -> bool, mut each: impl FnMut(Step<'_>, Cost)) {
    let documents = corpus::documents(MAX_BODY);
    for source in corpus::templates().into_iter().filter(|source| wanted(source)) {
        let (template, cost) = measured(|| Template::parse(&source, TemplateKind::Body));
        each(Step::Parsed(&source), cost);
        let Ok(template) = template else { continue };
        for (name, document) in &documents {
            // The document is shared with the attempt, so its copy here is none of the template's memory.
            let document: std::sync::Arc<[u8]> = document.as_bytes().into();
            let (made, cost) = measured(|| template.render(&TemplateContext::new(document, &INPUT), MAX_BODY));
            let result = made.map_or_else(|failure| failure.detail, |body| format!("{} bytes", body.len()));
            each(Step::Rendered { document: name, result }, cost);
        }
    }
}

fn beginning(source: &str) -> String {
    source.chars().take(110).collect()
}
