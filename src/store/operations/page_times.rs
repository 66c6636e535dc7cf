//! Times of what pages read, over a file with a million deliveries and 20,000 destinations. Only prints them, since
//! they depend on the machine: `cargo test --release --lib page_times -- --ignored --nocapture`.

use std::future::Future;
use std::time::{Duration, Instant};

use super::delivery_walk::DeliveryFilter;
use super::fixture::{Fixture, at};
use super::search::PayloadSearch;
use crate::domain::delivery::DeliveryState::{Cancelled, Exhausted, Pending, Succeeded};
use crate::domain::ids::{AccountId, DestinationId, DestinationKey};
use crate::domain::page::PageRequest;
use crate::error::Result;
use crate::store::commit::transaction::Transaction;

/// Accounts besides that of the fixture, and destinations of each.
const ACCOUNTS: i64 = 200;
const DESTINATIONS: i64 = 100;

/// Events of the fixture's account, each with one delivery. One in 100 is followed by an event of another account, with
/// a delivery for each of its destinations.
const EVENTS: i64 = 500_000;

/// Events of the fixture's account in one transaction.
const STEP: i64 = 10_000;

/// Calls of each read.
const CALLS: usize = 20;

/// Adds the accounts and their destinations, 1 in 50 of which needs attention.
fn add_destinations(tx: &mut Transaction<'_>) -> Result<()> {
    for account in 0..ACCOUNTS {
        tx.run(
            "INSERT INTO account (account_id, email, email_folded, name, token_digest, token_hint, created_at, updated_at)
             VALUES ('acc_' || ?1, ?1 || '@a.de', ?1 || '@a.de', 'Account number ' || ?1, zeroblob(32), '', 0, 0)",
            [account],
        )?;
        let key = tx.last_key();
        for destination in 0..DESTINATIONS {
            tx.run(
                "INSERT INTO destination (destination_id, account_key, url, http_method, headers, secret, created_at,
                 updated_at, failing_since, paused_reason, paused_at) VALUES ('dst_' || ?1 || '_' || ?2, ?3,
                 'https://example.com/hooks/' || ?2, 'POST', '{\"Authorization\":\"Bearer 0123456789abcdef\"}',
                 zeroblob(32), 0, 0, CASE WHEN ?2 = 3 THEN 90 END, CASE WHEN ?2 = 7 THEN 'manual' END,
                 CASE WHEN ?2 = 7 THEN 80 END)",
                (account, destination, key),
            )?;
        }
    }
    Ok(())
}

/// Adds one event with a delivery for each of `destinations`. Of 100 deliveries 90 have succeeded, 5 are pending, 4
/// exhausted and 1 is cancelled.
fn add_event(tx: &mut Transaction<'_>, account: i64, destinations: std::ops::Range<i64>, number: i64) -> Result<()> {
    let count = usize::try_from(destinations.end - destinations.start).unwrap();
    let now = at(1_000 + u64::try_from(number / 100).unwrap());
    let event = tx.take_ids(1 + count, now);
    tx.run(
        "INSERT INTO event (id, account_key, received_at, payload)
         VALUES (?1, ?2, ?3, CAST('{\"order\":' || ?1 || ',\"note\":\"' || hex(zeroblob(128)) || '\"}' AS BLOB))",
        (event, account, now.millis()),
    )?;
    for (id, destination) in (event + 1..).zip(destinations) {
        let (state, status) = match id * 7_919 % 100 {
            0..90 => (Succeeded, Some(200)),
            90..95 => (Pending, None),
            95..99 => (Exhausted, Some(500)),
            _ => (Cancelled, None),
        };
        tx.run(
            "INSERT INTO delivery (id, event_id, destination_key, state, step, attempt_count, next_attempt_at,
             last_attempt_at, status_code, error, first_duration_ms, first_body) VALUES (?1, ?2, ?3, ?4, 0,
             ?5 IS NOT NULL, 0, ?6, ?5, CASE WHEN ?5 = 500 THEN 'status' END, CASE WHEN ?5 = 200 THEN 5 END, zeroblob(16))",
            (id, event, destination, state.code(), status, status.map(|_| now.millis())),
        )?;
        if state == Exhausted {
            tx.run(
                "INSERT INTO attempt (delivery_id, number, at, duration_ms, status_code, error, body, body_truncated)
                 SELECT ?1, value, ?2, 9, 500, 'status', zeroblob(200), 0 FROM json_each('[1,2,3,4,5,6,7,8,9,10]')",
                (id, now.millis()),
            )?;
        }
    }
    Ok(())
}

async fn large() -> Fixture {
    let fixture = Fixture::new().await;
    let (account, destination) = (fixture.account.key.0, fixture.destination.key.0);
    let lonely = fixture.another(at(2)).await.key.0;
    fixture.step(add_destinations).await.unwrap();
    let first = lonely + 1;
    fixture
        .step(move |tx| {
            (0..20).try_for_each(|number| add_event(tx, account, lonely..lonely + 1, number))?;
            tx.run("UPDATE delivery SET state = 2, status_code = 503 WHERE destination_key = ?1", [lonely])?;
            Ok(())
        })
        .await
        .unwrap();
    for step in 0..EVENTS / STEP {
        fixture
            .step(move |tx| {
                for number in step * STEP..(step + 1) * STEP {
                    add_event(tx, account, destination..destination + 1, number)?;
                    if number % 100 == 0 {
                        let other = number / 100 % ACCOUNTS;
                        let from = first + other * DESTINATIONS;
                        add_event(tx, account + 1 + other, from..from + DESTINATIONS, number)?;
                    }
                }
                Ok(())
            })
            .await
            .unwrap();
    }
    fixture
}

/// Prints how long `read` takes: the median and the longest of some calls.
async fn time<T, F: Future<Output = Result<T>>>(what: &str, read: impl Fn() -> F, show: impl Fn(T) -> String) {
    let mut times = Vec::new();
    let mut shown = String::new();
    for _ in 0..CALLS {
        let began = Instant::now();
        let found = read().await.unwrap();
        times.push(began.elapsed());
        shown = show(found);
    }
    times.sort_unstable();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{what:48} median {:7.2} ms, longest {:7.2} ms; {shown}",
        millis(times[CALLS / 2]),
        millis(times[CALLS - 1])
    );
}

/// Prints how long each call of a search takes that finds nothing.
async fn search(fixture: &Fixture, account_id: Option<AccountId>) {
    let (mut before, mut calls, mut looked_at) = (None, Vec::new(), 0);
    loop {
        let search = PayloadSearch { account_id: account_id.clone(), text: "nowhere".to_owned(), before };
        let began = Instant::now();
        let found = fixture.store.search_payloads(search, 50).await.unwrap();
        calls.push(began.elapsed().as_millis());
        looked_at += found.looked_at;
        before = found.next;
        if found.is_over {
            println!("search_payloads looked at {looked_at}, ms of its calls: {calls:?}");
            return;
        }
    }
}

#[tokio::test]
#[ignore = "builds a large file, and prints times"]
async fn page_times() {
    let began = Instant::now();
    let fixture = large().await;
    let store = &fixture.store;
    println!(
        "{} deliveries in {:.0} s",
        fixture.value::<i64>("SELECT count(*) FROM delivery"),
        began.elapsed().as_secs_f64()
    );
    let big = fixture.account.id.clone();
    let lonely =
        store.destinations(big.clone(), PageRequest { limit: 2, cursor: None }).await.unwrap().items[1].id.clone();
    let small = AccountId::from_stored("acc_77".to_owned());
    let of_small = DestinationId::from_stored("dst_77_5".to_owned());

    time("contents", || store.contents(), |found| format!("{found:?}")).await;
    time("backlog", || store.backlog(), |found| format!("{found:?}")).await;
    let latencies = [
        ("latency of all", None, None),
        ("latency of a large account", Some(big.clone()), None),
        ("latency of a small account", Some(small.clone()), None),
        ("latency of a destination", None, Some(fixture.destination.id.clone())),
        ("latency of a small destination", None, Some(of_small.clone())),
    ];
    for (what, account, destination) in latencies {
        let read = || store.latency(account.clone(), destination.clone(), at(0));
        time(what, read, |found| format!("{:?}", found.map(|found| found.attempts))).await;
    }
    time("attention", || store.attention(at(1_000), 0..20), |found| format!("{} of {}", found.0.len(), found.1)).await;
    let keys: Vec<DestinationKey> = (100..300).map(DestinationKey).collect();
    time("destinations_by_key, 200", || store.destinations_by_key(keys.clone()), |found| found.len().to_string()).await;
    time("pending_for", || store.pending_for(fixture.destination.id.clone()), |found| format!("{found:?}")).await;
    let ids: Vec<_> = (0..200).map(|id| AccountId::from_stored(format!("acc_{id}"))).collect();
    time("account_names, 200", || store.account_names(ids.clone()), |found| found.len().to_string()).await;
    let ids: Vec<_> = (0..200).map(|id| DestinationId::from_stored(format!("dst_{id}_1"))).collect();
    time("destination_labels, 200", || store.destination_labels(ids.clone()), |found| found.len().to_string()).await;
    for text in ["", "number 19", "nothing"] {
        let page = PageRequest { limit: 200, cursor: None };
        let read = || store.search_accounts(text.to_owned(), page);
        time(&format!("search_accounts {text:?}"), read, |found| found.items.len().to_string()).await;
    }

    let many = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO account (account_id, email, email_folded, name, token_digest, token_hint, created_at, updated_at)
         SELECT 'more_' || i, i || '@b.de', i || '@b.de', 'Account \u{e9} ' || i, zeroblob(32), '', 0, 0 FROM n";
    fixture.step(|tx| tx.run(many, [])).await.unwrap();
    let read = || store.search_accounts("nothing".to_owned(), PageRequest { limit: 200, cursor: None });
    time("search_accounts, 20,000", read, |found| found.items.len().to_string()).await;

    let mut slowest = (Duration::ZERO, String::new());
    for account_id in [None, Some(big.clone()), Some(small)] {
        for destination_id in [None, Some(fixture.destination.id.clone()), Some(lonely.clone()), Some(of_small.clone())]
        {
            for state in [None, Some(Pending), Some(Succeeded), Some(Exhausted), Some(Cancelled)] {
                for status_code in [None, Some(200), Some(500), Some(503), Some(404)] {
                    for since in [None, Some(at(5_900))] {
                        let (account_id, destination_id) = (account_id.clone(), destination_id.clone());
                        let filter = DeliveryFilter {
                            account_id,
                            destination_id,
                            state,
                            status_code,
                            since,
                            ..DeliveryFilter::default()
                        };
                        let (mut cursor, mut least, mut count) = (None, Duration::MAX, 0);
                        for _ in 0..2 {
                            for _ in 0..3 {
                                let began = Instant::now();
                                let page =
                                    store.deliveries(filter.clone(), PageRequest { limit: 50, cursor }).await.unwrap();
                                least = least.min(began.elapsed());
                                count = page.items.len();
                                if page.next.is_none() || cursor.is_some() {
                                    break;
                                }
                                cursor = page.next;
                            }
                        }
                        if least > Duration::from_millis(10) || least > slowest.0 {
                            println!("{count:3} in {:6.2} ms: {filter:?}", least.as_secs_f64() * 1e3);
                        }
                        if least > slowest.0 {
                            slowest = (least, format!("{filter:?}"));
                        }
                    }
                }
            }
        }
    }
    println!("slowest list {:.2} ms: {}", slowest.0.as_secs_f64() * 1e3, slowest.1);

    search(&fixture, None).await;
    search(&fixture, Some(big)).await;
    let exhausted = DeliveryFilter { state: Some(Exhausted), ..DeliveryFilter::default() };
    time(
        "dry run of all exhausted",
        || store.replay_deliveries(exhausted.clone(), true, at(9_999)),
        |found| format!("{found:?}"),
    )
    .await;
    let of_big = Some(fixture.destination.id.clone());
    let none = DeliveryFilter { destination_id: of_big, status_code: Some(201), ..DeliveryFilter::default() };
    let read = || store.replay_deliveries(none.clone(), true, at(9_999));
    time("dry run over 500,000 that finds nothing", read, |found| format!("{found:?}")).await;
    let began = Instant::now();
    let some = DeliveryFilter { until: Some(at(1_100)), ..DeliveryFilter::default() };
    let found = store.replay_deliveries(some, false, at(9_999)).await.unwrap();
    println!("replay of {found:?} in {:?}", began.elapsed());
}

#[tokio::test]
#[ignore = "builds a large file, and prints times"]
async fn page_times_of_a_search_in_long_documents() {
    let fixture = Fixture::new().await;
    let account = fixture.account.key.0;
    let add = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
         INSERT INTO event (id, account_key, received_at, payload) SELECT ?2 + i, ?3, 0, zeroblob(3500) FROM n";
    for _ in 0..12 {
        let step = move |tx: &mut Transaction<'_>| {
            let first = tx.take_ids(10_000, at(1));
            tx.run(add, (10_000, first, account))
        };
        fixture.step(step).await.unwrap();
    }
    search(&fixture, None).await;
    search(&fixture, Some(fixture.account.id.clone())).await;
}
