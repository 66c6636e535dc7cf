//! What became of a document, as one JSON object a line.

use serde::Serialize;
use serde_json::Value;

use super::documents::Place;
use super::sender::Fate;
use crate::process::harmless::harmless_json;

#[derive(Serialize)]
struct JsonLine<'a> {
    line: u64,
    event_id: Option<&'a str>,
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<&'a [Value]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'a [Value]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// The line, with its line break. Empty for a document that was not sent.
pub fn json_line(place: Place, fate: &Fate) -> String {
    let empty = JsonLine {
        line: place.line,
        event_id: None,
        status: None,
        duplicate: None,
        deliveries: None,
        skipped: None,
        code: None,
        detail: None,
    };
    let line = match fate {
        Fate::Taken { status, receipt } => JsonLine {
            event_id: Some(&receipt.event_id),
            status: Some(*status),
            duplicate: Some(receipt.duplicate),
            deliveries: Some(&receipt.deliveries),
            skipped: Some(&receipt.skipped),
            ..empty
        },
        Fate::Refused { status, code, why } => {
            JsonLine { status: Some(*status), code: Some(code), detail: Some(why), ..empty }
        }
        Fate::TooLong => JsonLine { code: Some("too_long"), detail: Some("longer than 64 MiB"), ..empty },
        Fate::NotSent => return String::new(),
    };
    harmless_json(&serde_json::to_string(&line).unwrap_or_default()) + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::send::sender::Receipt;

    #[test]
    fn programs_get_a_line_for_each_document_that_was_sent() {
        let place = Place { line: 7, bytes: 3 };
        let line = |fate: &Fate| serde_json::from_str::<Value>(&json_line(place, fate)).unwrap();
        let (deliveries, skipped) = (vec![json!({"state": "pending"})], Vec::new());
        let receipt = Receipt { event_id: "evt_1".to_owned(), duplicate: false, deliveries, skipped };
        let found = line(&Fate::Taken { status: 202, receipt });
        assert_eq!((&found["line"], &found["event_id"], &found["status"]), (&json!(7), &json!("evt_1"), &json!(202)));
        let refused = Fate::Refused { status: 400, code: "malformed_json".to_owned(), why: "x".to_owned() };
        let expected = json!({"line": 7, "event_id": null, "status": 400, "code": "malformed_json", "detail": "x"});
        assert_eq!(line(&refused), expected);
        assert_eq!(json_line(place, &Fate::NotSent), "");
    }
}
