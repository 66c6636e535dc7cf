//! Time to list deliveries with every combination of filters: the first page and the next.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::Result;
use super::support::http::Client;
use super::support::report::Report;
use super::support::server::Account;
use super::support::stage::Stage;

/// Maximum time for a page, in milliseconds.
const MAX_PAGE_MS: f64 = 100.0;

pub fn measure(stage: &mut Stage, big: &Account, small: &Account, report: &mut Report) -> Result<()> {
    let mut client = Client::new(stage.server.address);
    let everything = page(&mut client, "limit=200")?.0;
    let some = &everything["items"][100];
    let text =
        |field: &str| some[field].as_str().map(str::to_owned).ok_or_else(|| format!("a delivery without {field}"));
    let (created, event) = (text("created_at")?, text("event_id")?);
    let destination = text("destination_id")?;
    let (of_big, of_small) = (format!("account_id={}", big.id), format!("account_id={}", small.id));
    // Each filter may be absent. States and statuses are common, rare, or do not occur.
    let choices: [Vec<String>; 6] = [
        vec![String::new(), of_big, of_small],
        vec![String::new(), format!("destination_id={destination}")],
        vec![String::new(), format!("event_id={event}")],
        ["", "state=pending", "state=succeeded", "state=exhausted", "state=cancelled"].map(str::to_owned).to_vec(),
        ["", "status_code=200", "status_code=500", "status_code=404"].map(str::to_owned).to_vec(),
        vec![
            String::new(),
            format!("since={created}"),
            format!("until={created}"),
            "until=2001-01-01T00:00:00Z".into(),
        ],
    ];
    let combinations: usize = choices.iter().map(Vec::len).product();
    let (mut slowest, mut slowest_of, mut total, mut pages) = (Duration::ZERO, String::new(), Duration::ZERO, 0);
    for number in 0..combinations {
        let mut rest = number;
        let mut query = "limit=200".to_owned();
        for choice in &choices {
            let part = &choice[rest % choice.len()];
            rest /= choice.len();
            if !part.is_empty() {
                query = format!("{query}&{part}");
            }
        }
        let mut cursor = None;
        // The next page too: a cursor must not make a page slower.
        for _ in 0..2 {
            let query = cursor.map_or_else(|| query.clone(), |cursor: String| format!("{query}&cursor={cursor}"));
            let (answer, took) = page(&mut client, &query)?;
            (total, pages) = (total + took, pages + 1);
            if took > slowest {
                (slowest, slowest_of) = (took, query);
            }
            match answer["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
    }
    println!("{pages} pages of {combinations} combinations of filters; slowest: {slowest_of}");
    report.take("list page, mean", total.as_secs_f64() * 1e3 / f64::from(pages), "ms");
    report.at_most("list page, slowest filter", slowest.as_secs_f64() * 1e3, "ms", MAX_PAGE_MS);
    Ok(())
}

fn page(client: &mut Client, query: &str) -> Result<(Value, Duration)> {
    let began = Instant::now();
    let answer = client.get(&format!("/v1/deliveries?{query}"))?;
    let took = began.elapsed();
    match answer.status {
        200 => Ok((serde_json::from_slice(&answer.body)?, took)),
        status => Err(format!("{query} answered {status}: {}", String::from_utf8_lossy(&answer.body)).into()),
    }
}
