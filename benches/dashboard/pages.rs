//! How long each page takes while nothing else happens.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::file::{BUSY, BUSY_ACCOUNT, OF_SMALL, OF_WIDE, SMALL_ACCOUNT, WIDE_ACCOUNT};
use super::support::Result;
use super::support::http::Client;
use super::support::report::Report;
use super::support::server::Server;

/// Maximum of a page's 95th percentile, in milliseconds.
const MAX_PAGE_MS: f64 = 100.0;

/// The same for what has no index. A search in documents looks at them for 250 ms, and says how far it came. Counting
/// what is to be sent again looks at a million deliveries at most.
const MAX_SEARCH_MS: f64 = 400.0;

/// Requests for each page, and the time after which no more are sent. A page has 20 at least.
const REQUESTS: usize = 40;
const LEAST_REQUESTS: usize = 20;
const MAX_TIME: Duration = Duration::from_secs(3);

pub fn measure(server: &Server, report: &mut Report) -> Result<()> {
    let mut client = Client::new(server.address);
    let some = first(&mut client, &format!("destination_id={BUSY}"))?;
    let exhausted = first(&mut client, &format!("account_id={WIDE_ACCOUNT}&state=exhausted"))?;
    let of_wide = first(&mut client, &format!("destination_id={OF_WIDE}"))?;
    // Deep: behind half of all deliveries, and behind a third of those that are exhausted.
    let deep = next(&mut client, &format!("until={}", days_ago(10)?))?;
    let deep_exhausted = next(&mut client, &format!("until={}&state=exhausted", days_ago(1)?))?;
    let (delivery, failed) = (&some.0, &exhausted.0);
    let (event, wide_event) = (&some.1, &of_wide.1);
    let pages = [
        "/".to_owned(),
        "/?window=day".to_owned(),
        "/?window=week".to_owned(),
        "/?window=month".to_owned(),
        "/accounts".to_owned(),
        "/accounts?q=acc_19".to_owned(),
        "/accounts?q=nobody".to_owned(),
        format!("/accounts/{SMALL_ACCOUNT}"),
        format!("/accounts/{WIDE_ACCOUNT}"),
        format!("/destinations/{BUSY}"),
        format!("/destinations/{BUSY}?window=month"),
        format!("/destinations/{OF_WIDE}?window=month"),
        format!("/destinations/{OF_SMALL}"),
        "/deliveries".to_owned(),
        "/deliveries?state=pending".to_owned(),
        "/deliveries?state=exhausted".to_owned(),
        "/deliveries?state=succeeded".to_owned(),
        "/deliveries?state=cancelled".to_owned(),
        format!("/deliveries?account_id={BUSY_ACCOUNT}"),
        format!("/deliveries?account_id={WIDE_ACCOUNT}"),
        format!("/deliveries?account_id={SMALL_ACCOUNT}&state=exhausted"),
        format!("/deliveries?destination_id={BUSY}"),
        format!("/deliveries?destination_id={OF_SMALL}"),
        format!("/deliveries?destination_id={BUSY}&state=exhausted"),
        format!("/deliveries?destination_id={BUSY}&state=cancelled"),
        format!("/deliveries?destination_id={BUSY}&status_code=201"),
        "/deliveries?status_code=200".to_owned(),
        "/deliveries?status_code=500".to_owned(),
        "/deliveries?status_code=404".to_owned(),
        "/deliveries?status_code=201".to_owned(),
        "/deliveries?within=1h".to_owned(),
        "/deliveries?within=1h&state=exhausted".to_owned(),
        format!("/deliveries?cursor={deep}"),
        format!("/deliveries?state=exhausted&cursor={deep_exhausted}"),
        format!("/deliveries/{delivery}"),
        format!("/deliveries/{failed}"),
        format!("/events/{event}"),
        format!("/events/{wide_event}"),
        format!("/deliveries/replay?destination_id={BUSY}&state=exhausted"),
        format!("/deliveries/replay?destination_id={BUSY}"),
    ];
    let mut bytes = 0;
    for page in pages {
        bytes = bytes.max(judge(&mut client, report, &page, MAX_PAGE_MS)?);
    }
    report.take("longest page", bytes as f64 / 1e3, "KB");
    // The count looks at half a million deliveries, and none matches.
    let count = format!("/deliveries/replay?destination_id={BUSY}&status_code=201");
    for page in ["/deliveries?q=order.paid", "/deliveries?q=nowhere", &count] {
        judge(&mut client, report, page, MAX_SEARCH_MS)?;
    }
    Ok(())
}

/// Measures one page. Returns its length in bytes.
fn judge(client: &mut Client, report: &mut Report, page: &str, most: f64) -> Result<usize> {
    let (mut times, mut bytes) = (Vec::new(), 0);
    let began = Instant::now();
    // The first request is told apart: it reads from the disk what nobody asked for before, and counts what the overview
    // then keeps for a moment.
    let mut first = f64::NAN;
    for number in 0..=REQUESTS {
        let sent = Instant::now();
        let answer = client.get(page)?;
        if answer.status != 200 {
            return Err(format!("{page} answered {}", answer.status).into());
        }
        match number {
            0 => first = sent.elapsed().as_secs_f64() * 1e3,
            _ => times.push(sent.elapsed()),
        }
        bytes = answer.body.len();
        if number >= LEAST_REQUESTS && began.elapsed() > MAX_TIME {
            break;
        }
    }
    report.at_most(format!("{page}, p95"), percentile_ms(&mut times, 0.95), "ms", most);
    if first > most {
        report.take("  its first request", first, "ms");
    }
    Ok(bytes)
}

/// The value below which `share` of `times` lie.
pub fn percentile_ms(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let place = ((times.len() as f64 * share).ceil() as usize).max(1) - 1;
    times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

fn list(client: &mut Client, query: &str) -> Result<Value> {
    let answer = client.get(&format!("/v1/deliveries?{query}"))?;
    match answer.status {
        200 => Ok(serde_json::from_slice(&answer.body)?),
        status => Err(format!("{query} answered {status}: {}", String::from_utf8_lossy(&answer.body)).into()),
    }
}

/// The ids of a list's first delivery and of its event.
fn first(client: &mut Client, query: &str) -> Result<(String, String)> {
    let page = list(client, &format!("{query}&limit=1"))?;
    let id =
        |name: &str| page["items"][0][name].as_str().map(str::to_owned).ok_or_else(|| format!("{query}: no {name}"));
    Ok((id("delivery_id")?, id("event_id")?))
}

/// Where the page after a list's first delivery continues.
fn next(client: &mut Client, query: &str) -> Result<String> {
    let page = list(client, &format!("{query}&limit=1"))?;
    Ok(page["next_cursor"].as_str().map(str::to_owned).ok_or_else(|| format!("{query}: no next page"))?)
}

fn days_ago(days: i64) -> Result<String> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    Ok(jiff::Timestamp::from_millisecond(now - days * 24 * 3_600_000)?.to_string())
}
