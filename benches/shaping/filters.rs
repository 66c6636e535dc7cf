//! Filters beside documents of 1 MiB, of the shapes that cost them most.

use std::hint::black_box;

use data_pusher::domain::filter::{Filter, FilterSet, FilteredEvent};

use super::measuring::{Cost, measured};
use super::support::report::Report;

const MIB: usize = 1 << 20;

/// Rounds of which the median counts.
const ROUNDS: usize = 21;

/// A filter that asks a question of each kind.
const OF_EACH_KIND: &str = "data.a.b == 1.5 or data.list|length == 3 or 'needle' in data.list or data.text|lower == 'x' \
                            or data.number < 17.5 or data.z is defined";

/// Milliseconds that [`OF_EACH_KIND`] may take.
const MOST_MS: f64 = 10.0;

/// Bytes that it may allocate: the places of its paths, and nothing that grows with the document.
const MOST_BYTES: f64 = 4_096.0;

/// Measures all of it.
pub fn measure(report: &mut Report) {
    let filter = set(&[OF_EACH_KIND]);
    let mut most_bytes = 0;
    for (name, document) in documents() {
        let cost = cost(&filter, &document);
        most_bytes = most_bytes.max(cost.bytes);
        report.at_most(format!("a filter of six parts, {name}"), cost.ms, "ms", MOST_MS);
    }
    report.at_most("  most memory of these", most_bytes as f64, "bytes", MOST_BYTES);
    for (source, document) in questions() {
        report.at_most(source, cost(&set(&[source]), &document).ms, "ms", MOST_MS);
    }
    let ones = repeated(r#"{"list":["#, "1,", "]}");
    let most = vec!["2 in data.list"; 16].join(" or ");
    report.take("the most a filter can ask: 16 times `2 in data.list`", cost(&set(&[&most]), &ones).ms, "ms");
    report.take("ten filters of six parts, list of 1", cost(&set(&[OF_EACH_KIND; 10]), &ones).ms, "ms");
}

/// Questions that read the whole of a value, each with the document that makes it slow.
fn questions() -> Vec<(&'static str, String)> {
    let escaped = repeated(r#"{"text":"\n"#, "a", r#""}"#);
    let ones = repeated(r#"{"list":["#, "1,", "]}");
    let keys = numbered(r#"{"object":{"#, |n| format!("\"k{n}\":{n}"), "}}");
    let halves = format!(r#"{{"text":"\n{}","part":"{}b"}}"#, "a".repeat(MIB / 2), "a".repeat(MIB / 2 - 100));
    vec![
        ("'aab' in data.text", escaped.clone()),
        ("'aab' in data.text|lower", escaped.clone()),
        ("'\\u00e9\\u00e8' in data.text", repeated(r#"{"text":""#, "\\u00e9", r#""}"#)),
        ("data.text is endingwith 'aab'", escaped.clone()),
        ("data.text|lower == data.text", escaped.clone()),
        ("data.text|lower|length == 1", escaped),
        ("data.part in data.text", halves),
        ("2 in data.list", ones.clone()),
        ("1.5001 in data.list", repeated(r#"{"list":["#, "1.50,", "]}")),
        ("data.list|length == 1", ones),
        ("'none' in data.object", keys.clone()),
        ("data.object|length == 1", keys),
    ]
}

fn documents() -> Vec<(&'static str, String)> {
    let deep_lists = format!("{}{},", "[".repeat(126), "]".repeat(126));
    let deep_objects = format!("{}1{},", r#"{"a":"#.repeat(126), "}".repeat(126));
    vec![
        ("one string of \\u00e9", repeated(r#"{"text":""#, "\\u00e9", r#""}"#)),
        ("one string of \\n", repeated(r#"{"text":""#, "\\n", r#""}"#)),
        ("one plain string", repeated(r#"{"text":""#, "a", r#""}"#)),
        ("one string of É", repeated(r#"{"text":""#, "É", r#""}"#)),
        ("a list of 1", repeated(r#"{"list":["#, "1,", "]}")),
        ("a list of empty strings", repeated(r#"{"list":["#, "\"\",", "]}")),
        ("a list of short strings", numbered(r#"{"list":["#, |n| format!("\"n{n}\""), "]}")),
        ("a list of escaped near misses", repeated(r#"{"list":["#, "\"needl\\u0066\",", "]}")),
        ("a list of empty lists", repeated(r#"{"list":["#, "[],", "]}")),
        ("a list of 1.50", repeated(r#"{"list":["#, "1.50,", "]}")),
        ("100,000 keys", numbered("{", |n| format!("\"k{n}\":{n}"), "}")),
        ("100,000 escaped keys", numbered("{", |n| format!("\"\\u006b{n}\":1"), "}")),
        ("equal keys", repeated("{", r#""a":{"b":1},"#, "}")),
        ("lists 128 deep", repeated(r#"{"list":["#, &deep_lists, "]}")),
        ("objects 128 deep", repeated(r#"{"list":["#, &deep_objects, "]}")),
        ("a number of 1 MiB", repeated(r#"{"number":"#, "1", "}")),
        ("a number with 1 MiB of zeros", repeated(r#"{"number":0."#, "0", "1}")),
        ("an exponent of 1 MiB", repeated(r#"{"number":1e"#, "9", "}")),
        ("white space", repeated("{", " ", "}")),
    ]
}

/// The median.
fn cost(filters: &FilterSet, document: &str) -> Cost {
    let event = FilteredEvent {
        document: document.as_bytes(),
        event_type: Some("order.paid"),
        received_at: "2026-10-05T12:00:00.123Z",
        account_id: "acc_V1StGXR8Z5jdHi6B",
    };
    let round = |_| measured(|| black_box(filters.matches(black_box(&event)))).1;
    let mut costs: Vec<Cost> = (0..ROUNDS).map(round).collect();
    costs.sort_by(|one, other| one.ms.total_cmp(&other.ms));
    costs[ROUNDS / 2]
}

fn set(sources: &[&str]) -> FilterSet {
    let parsed = |source: &&str| Filter::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let filters: Vec<Filter> = sources.iter().map(parsed).collect();
    FilterSet::new(&filters)
}

/// `part` as often as it fits into 1 MiB.
fn repeated(open: &str, part: &str, close: &str) -> String {
    let body = part.repeat((MIB - open.len() - close.len()) / part.len());
    format!("{open}{}{close}", body.trim_end_matches(','))
}

/// Different parts, with commas between them, until 1 MiB is full.
fn numbered(open: &str, part: impl Fn(usize) -> String, close: &str) -> String {
    let mut text = open.to_owned();
    for number in 0.. {
        if text.len() >= MIB - 64 {
            break;
        }
        if number > 0 {
            text.push(',');
        }
        text.push_str(&part(number));
    }
    text + close
}
