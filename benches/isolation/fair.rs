//! Scenarios with many destinations or deliveries at once, and scenarios of a destination that delays itself.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::scenarios::{Fact, Outcome, Target, most_within};
use super::support::Result;
use super::support::http::Client;
use super::support::load::{Feed, queue};
use super::support::stage::{Options, Stage};

/// Target for a destination's other requests while some of its requests hang, p99 in milliseconds.
pub const OTHERS: Target = Target::Within(100.0);

/// One of this many requests never ends.
const HANGS: u64 = 100;

/// Deliveries that are replayed.
const REPLAYED: usize = 100_000;

/// Maximum wait until these have been delivered for the first time.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// Each of `destinations` gets `rate` events a second. One in a hundred of all requests is never answered. With many
/// destinations, it is another destination each time.
pub fn itself(options: &Options, destinations: usize, rate: usize) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], &format!("hang-each:{HANGS}"))?;
    stage.rate = destinations * rate;
    let gate = stage.healthy;
    let accounts = stage.server.accounts(destinations, 1, |number| gate.url(number))?;
    // Long enough that the maximum number of requests hangs at once; one timeout is 15 s.
    let length = if rate >= 100 { options.length * 2 } else { options.length };
    let tail = stage.measure(&accounts, length)?;
    let (requests, held) = stage.sinks.count(gate)?;
    let mut outcome = stage.outcome(tail);
    outcome.facts.push(Fact { name: "requests", value: requests as f64, within: None });
    outcome.facts.push(Fact { name: "attempts that hang at the end", value: held as f64, within: Some((1.0, 32.0)) });
    Ok(outcome)
}

/// A destination that takes 100 ms, beside 60 that hang. Of those, 2,000 deliveries are retried by hand.
pub fn by_hand(options: &Options) -> Result<Outcome> {
    const RETRIES: usize = 2_000;
    let mut stage = Stage::start(options, &[], "take:100")?;
    stage.rate = 100;
    let account = stage.healthy_account()?;
    let (gate, others) = stage.others("hang", 60, RETRIES / 60 + 1)?;
    let mut deliveries = Vec::new();
    let (mut client, mut cursor) = (Client::new(stage.server.address), String::new());
    while deliveries.len() < RETRIES {
        let page = client.get(&format!("/v1/deliveries?account_id={}&limit=200{cursor}", others[0].id))?;
        let page: Value = serde_json::from_slice(&page.body)?;
        let ids = page["items"].as_array().into_iter().flatten().filter_map(|item| item["delivery_id"].as_str());
        deliveries.extend(ids.map(str::to_owned));
        cursor = format!("&cursor={}", page["next_cursor"].as_str().ok_or("too few deliveries")?);
    }
    deliveries.truncate(RETRIES);
    let mut held = 0;
    let tail = stage.measure_with(&account, Duration::from_secs(2), options.length, |stage| {
        stage.server.retry(&deliveries)?;
        held = stage.sinks.count(gate)?.1;
        Ok(())
    })?;
    let mut outcome = stage.outcome(tail);
    outcome.facts.push(Fact { name: "attempts that hang once all are asked for", value: held as f64, within: None });
    Ok(outcome)
}

/// Destinations that wait for their rate nearly all of the time, with more queued than they can send.
pub fn rate(options: &Options, flags: &[&str]) -> Result<Outcome> {
    const DESTINATIONS: usize = 600;
    const EACH: usize = 200;
    let mut stage = Stage::start(options, flags, "ok")?;
    let account = stage.healthy_account()?;
    let gate = stage.sinks.open("ok")?;
    stage.server.settings = serde_json::from_str(r#"{"rate_limit": "1/s"}"#)?;
    let others = stage.server.accounts(1, DESTINATIONS, |number| gate.url(number))?;
    queue(stage.server.address, &others, EACH)?;
    let tail = stage.measure(&account, options.length)?;
    let mut times: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for arrival in stage.sinks.arrivals(gate)? {
        times.entry(arrival.destination).or_default().push(arrival.arrived_us);
    }
    times.values_mut().for_each(|times| times.sort_unstable());
    let requests: usize = times.values().map(Vec::len).sum();
    let most = times.values().map(|times| most_within(times, 1_000_000)).max().unwrap_or(0);
    let mut outcome = stage.outcome(tail);
    outcome.facts.push(Fact { name: "destinations that got something", value: times.len() as f64, within: None });
    outcome.facts.push(Fact { name: "requests", value: requests as f64, within: None });
    // Two may come within a second where the first was late.
    outcome.facts.push(Fact { name: "most requests in 1 s to one", value: most as f64, within: Some((1.0, 2.0)) });
    Ok(outcome)
}

/// Destinations whose templates do all the work that a template may do, and then fail, at each attempt.
pub fn templates(options: &Options) -> Result<Outcome> {
    const DESTINATIONS: usize = 100;
    const EACH: usize = 12;
    let mut stage = Stage::start(options, &[], "ok")?;
    let account = stage.healthy_account()?;
    let gate = stage.sinks.open("ok")?;
    let endless = "{% for i in range(20000) %}{% for j in range(20000) %}x{% endfor %}{% endfor %}";
    stage.server.settings = serde_json::from_value(serde_json::json!({ "body_template": endless }))?;
    let others = stage.server.accounts(1, DESTINATIONS, |number| gate.url(number))?;
    queue(stage.server.address, &others, EACH)?;
    let tail = stage.measure(&account, options.length)?;
    let requests = stage.sinks.count(gate)?.0;
    let mut outcome = stage.outcome(tail);
    outcome.facts.push(Fact { name: "requests of these", value: requests as f64, within: Some((0.0, 0.0)) });
    Ok(outcome)
}

/// Events of another account that go to 1,000 destinations each.
pub fn fan_out(options: &Options) -> Result<Outcome> {
    const DESTINATIONS: usize = 1_000;
    let mut stage = Stage::start(options, &[], "ok")?;
    let account = stage.healthy_account()?;
    let (gate, others) = stage.others("ok", DESTINATIONS, 1)?;
    let feed = Feed::start(stage.server.address, &others, 1);
    let tail = stage.measure_with(&account, Duration::from_secs(2), options.length, |_| Ok(()))?;
    let events = 1 + feed.stop().iter().filter(|sent| sent.accepted).count();
    let owed = (events * DESTINATIONS) as u64;
    let deadline = Instant::now() + Duration::from_secs(10);
    while stage.sinks.count(gate)?.0 < owed && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    let share = stage.sinks.count(gate)?.0 as f64 * 100.0 / owed as f64;
    let mut outcome = stage.outcome(tail);
    outcome.facts.push(Fact { name: "events to 1,000", value: events as f64, within: None });
    outcome.facts.push(Fact { name: "delivered %", value: share, within: Some((100.0, 101.0)) });
    Ok(outcome)
}

/// All deliveries of another destination are replayed.
pub fn replay(options: &Options) -> Result<Outcome> {
    let mut stage = Stage::start(options, &[], "ok")?;
    let account = stage.healthy_account()?;
    let (gate, others) = stage.others("ok", 1, REPLAYED)?;
    let deadline = Instant::now() + DELIVERY_TIMEOUT;
    while stage.sinks.count(gate)?.0 < REPLAYED as u64 {
        if Instant::now() > deadline {
            return Err("what is to be replayed was not delivered in time".into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let destination = stage.server.destinations(&others)?.pop().ok_or("no destination")?;
    let (mut reopened, mut took) = (0, Duration::ZERO);
    let tail = stage.measure_with(&account, Duration::from_secs(1), options.length, |stage| {
        let began = Instant::now();
        let body = json!({ "since": "2000-01-01T00:00:00Z" }).to_string();
        let path = format!("/v1/destinations/{destination}/replay");
        let answer = Client::new(stage.server.address).post(&path, None, &body)?;
        let answer: Value = serde_json::from_slice(&answer.body)?;
        (reopened, took) = (answer["count"].as_u64().unwrap_or(0), began.elapsed());
        Ok(())
    })?;
    let again = stage.sinks.count(gate)?.0.saturating_sub(REPLAYED as u64);
    let mut outcome = stage.outcome(tail);
    let all = REPLAYED as f64;
    outcome.facts.push(Fact { name: "to be sent again", value: reopened as f64, within: Some((all, all)) });
    outcome.facts.push(Fact { name: "asked for in, s", value: took.as_secs_f64(), within: None });
    outcome.facts.push(Fact { name: "sent again by the end", value: again as f64, within: None });
    Ok(outcome)
}
