use super::*;
use crate::domain::delivery::DeliveryState::{Exhausted, Pending, Succeeded};
use crate::domain::destination::PausedReason;
use crate::domain::page::PageRequest;
use crate::error::Kind;
use crate::store::operations::fixture::{Fixture, at};
use crate::store::operations::search::PayloadSearch;

#[tokio::test]
async fn the_contents_grow_step_by_step_and_without_what_is_deleted() {
    let fixture = Fixture::new().await;
    let contents = async || fixture.store.contents().await.unwrap();
    let mut expected = Contents { has_account: true, has_destination: true, ..Contents::default() };
    assert_eq!(contents().await, expected);
    fixture.fill(&fixture.destination, 1, at(1), Pending, None).await;
    assert_eq!(contents().await, expected, "nothing is delivered yet");
    fixture.fill(&fixture.destination, 1, at(1), Succeeded, Some(200)).await;
    expected.has_delivered = true;
    assert_eq!(contents().await, expected);
    fixture.fill(&fixture.destination, 1_500, at(2), Pending, None).await;
    assert_eq!(contents().await, expected, "a backlog hides no success");
    fixture.store.delete_destination(fixture.destination.id.clone(), at(3)).await.unwrap();
    (expected.has_destination, expected.has_delivered) = (false, false);
    assert_eq!(contents().await, expected);
    fixture.store.delete_account(fixture.account.id.clone(), at(3)).await.unwrap();
    assert_eq!(contents().await, Contents::default());
}

#[tokio::test]
async fn the_backlog_is_as_old_as_its_oldest_delivery_that_is_not_deleted() {
    let fixture = Fixture::new().await;
    let backlog = async || fixture.store.backlog().await.unwrap();
    assert_eq!(backlog().await, Backlog { pending: 0, oldest: None });
    let other = fixture.another(at(1)).await;
    fixture.fill(&fixture.destination, 2, at(2), Succeeded, Some(200)).await;
    fixture.fill(&other, 2, at(3), Pending, None).await;
    fixture.fill(&fixture.destination, 2, at(4), Pending, None).await;
    assert_eq!(backlog().await, Backlog { pending: 4, oldest: Some(at(3)) });
    fixture.store.delete_destination(other.id, at(5)).await.unwrap();
    assert_eq!(backlog().await.oldest, Some(at(4)));
}

#[tokio::test]
async fn latencies_are_those_of_the_newest_deliveries_that_match() {
    let fixture = Fixture::new().await;
    let other = fixture.another(at(1)).await;
    let (bob, elsewhere) = fixture.another_account("bob", at(1)).await;
    fixture.fill(&fixture.destination, 10, at(10), Succeeded, Some(200)).await;
    fixture.fill(&other, 5, at(20), Exhausted, Some(500)).await;
    fixture.fill(&elsewhere, 3, at(20), Succeeded, Some(200)).await;
    fixture.fill(&other, 7, at(30), Pending, None).await;
    let (ada, of_other) = (Some(fixture.account.id.clone()), Some(other.id.clone()));
    let latency = async |account, destination, since| {
        let found = fixture.store.latency(account, destination, since).await.unwrap();
        found.map(|found| (found.attempts, found.failed, found.p99.as_millis()))
    };
    assert_eq!(latency(None, None, at(0)).await, Some((18, 5, 5)));
    assert_eq!(latency(None, None, at(15)).await, Some((8, 5, 5)));
    assert_eq!(latency(ada.clone(), None, at(0)).await, Some((15, 5, 5)));
    assert_eq!(latency(Some(bob.id.clone()), None, at(0)).await, Some((3, 0, 5)));
    assert_eq!(latency(None, of_other.clone(), at(0)).await, Some((5, 5, 5)));
    assert_eq!(latency(Some(bob.id), of_other, at(0)).await, None);
    assert_eq!(latency(ada, None, at(31)).await, None);
    fixture.fill(&elsewhere, 3_000, at(40), Succeeded, Some(200)).await;
    assert_eq!(latency(None, None, at(0)).await, Some((2_000, 0, 5)));
}

#[tokio::test]
async fn all_attempts_of_a_delivery_count() {
    let fixture = Fixture::new().await;
    let first = fixture.fill(&fixture.destination, 1, at(1), Exhausted, Some(500)).await;
    let another = "INSERT INTO attempt (delivery_id, number, at, duration_ms, error, body, body_truncated)
         VALUES (?1, 2, 0, 90, 'timeout', zeroblob(0), 0)";
    fixture.step(move |tx| tx.run(another, [first])).await.unwrap();
    let found = fixture.store.latency(None, None, at(0)).await.unwrap().unwrap();
    let millis = Duration::from_millis;
    assert_eq!(found, Latency { attempts: 2, p50: millis(5), p99: millis(90), failed: 2 });
}

#[tokio::test]
async fn what_needs_attention_comes_in_the_order_in_which_it_is_looked_at() {
    let fixture = Fixture::new().await;
    let mut all = vec![fixture.destination.clone()];
    for _ in 0..7 {
        all.push(fixture.another(at(1)).await);
    }
    let states = [
        (0, "failing_since = 90000"),
        (1, "failing_since = 80000"),
        (2, "paused_reason = 'gone', paused_at = 95000, failing_since = 10"),
        (3, "held_until = 100000"),
        (4, "held_until = 200000"),
        (5, "paused_reason = 'manual', paused_at = 99000"),
        (6, "failing_since = 70000, held_until = 190000"),
    ];
    let keys: Vec<i64> = all.iter().map(|destination| destination.key.0).collect();
    fixture
        .step(move |tx| {
            for (which, state) in states {
                tx.run(&format!("UPDATE destination SET {state} WHERE key = ?1"), [keys[which]])?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let attention = async |places| {
        let (found, total) = fixture.store.attention(at(100), places).await.unwrap();
        assert!(found.iter().all(|(_, name)| name.as_str() == "Ada"));
        let place = |found: &Destination| all.iter().position(|one| one.key == found.key).unwrap();
        (found.iter().map(|(found, _)| place(found)).collect::<Vec<_>>(), total)
    };
    assert_eq!(attention(0..10).await, (vec![2, 5, 1, 0, 6, 4], 6));
    assert_eq!(attention(0..2).await, (vec![2, 5], 6));
    assert_eq!(attention(4..9).await, (vec![6, 4], 6));
    assert_eq!(attention(9..12).await, (vec![], 6));
    fixture.store.delete_destination(all[2].id.clone(), at(100)).await.unwrap();
    assert_eq!(attention(0..2).await, (vec![5, 1], 5));
    let (found, _) = fixture.store.attention(at(100), 0..1).await.unwrap();
    assert_eq!(found[0].0.pause.map(|pause| pause.reason), Some(PausedReason::Manual));
}

#[tokio::test]
async fn destinations_and_labels_are_found_but_not_of_what_is_deleted() {
    let fixture = Fixture::new().await;
    let (one, other) = (fixture.destination.clone(), fixture.another(at(1)).await);
    let keys = vec![other.key, DestinationKey(999), one.key];
    let found = fixture.store.destinations_by_key(keys.clone()).await.unwrap();
    assert_eq!(found.iter().map(|(found, _)| found.key).collect::<Vec<_>>(), [other.key, one.key]);
    assert_eq!(found[0].1.as_str(), "Ada");
    let ids = vec![one.id.clone(), other.id.clone(), one.id.clone()];
    let labels = fixture.store.destination_labels(ids.clone()).await.unwrap();
    assert_eq!(labels.len(), 2);
    assert_eq!(labels[&one.id].1.as_str(), "http://h/");
    let account = fixture.account.id.clone();
    let unknown = AccountId::from_stored("nobody".to_owned());
    let names = fixture.store.account_names(vec![account.clone(), unknown]).await.unwrap();
    assert_eq!(
        names.into_iter().map(|(id, name)| (id, name.to_string())).collect::<Vec<_>>(),
        [(account.clone(), "Ada".to_owned())]
    );
    fixture.store.delete_destination(other.id, at(2)).await.unwrap();
    assert_eq!(fixture.store.destinations_by_key(keys).await.unwrap().len(), 1);
    assert_eq!(fixture.store.destination_labels(ids).await.unwrap().len(), 1);
    fixture.store.delete_account(account.clone(), at(2)).await.unwrap();
    assert!(fixture.store.account_names(vec![account]).await.unwrap().is_empty());
}

#[tokio::test]
async fn pending_deliveries_are_counted_up_to_a_bound() {
    let fixture = Fixture::new().await;
    let other = fixture.another(at(1)).await;
    fixture.fill(&other, 5, at(1), Pending, None).await;
    fixture.fill(&fixture.destination, 3, at(1), Succeeded, Some(200)).await;
    let pending = async || fixture.store.pending_for(fixture.destination.id.clone()).await.unwrap();
    assert_eq!(pending().await, AtMost { count: 0, is_more: false });
    fixture.fill(&fixture.destination, 10_000, at(2), Pending, None).await;
    assert_eq!(pending().await, AtMost { count: 10_000, is_more: false });
    fixture.fill(&fixture.destination, 1, at(2), Pending, None).await;
    assert_eq!(pending().await, AtMost { count: 10_000, is_more: true });
    let unknown = fixture.store.pending_for(DestinationId::from_stored("nowhere".to_owned())).await;
    assert!(unknown.is_err_and(|error| error.kind() == Kind::NotFound));
}

#[tokio::test]
async fn a_caller_that_reaches_one_account_sees_that_one_alone() {
    let fixture = Fixture::new().await;
    let (other, foreign) = fixture.another_account("bob", at(0)).await;
    fixture.fill(&foreign, 4, at(3), Pending, None).await;
    fixture.fill(&foreign, 4, at(4), Succeeded, Some(200)).await;
    fixture.store.pause_destination(foreign.id.clone(), at(5)).await.unwrap();
    let scope = Scope::Account { id: fixture.account.id.clone(), key: fixture.account.key };
    let own = fixture.store.within(&scope);
    assert!(!own.contents().await.unwrap().has_delivered && fixture.store.contents().await.unwrap().has_delivered);
    assert_eq!(own.backlog().await.unwrap(), Backlog { pending: 0, oldest: None });
    fixture.fill(&fixture.destination, 2, at(6), Pending, None).await;
    assert_eq!(own.backlog().await.unwrap(), Backlog { pending: 2, oldest: Some(at(6)) });
    assert!(own.latency(None, None, at(0)).await.unwrap().is_none());
    let (attention, total) = own.attention(at(7), 0..10).await.unwrap();
    assert!(attention.is_empty() && total == 0);
    assert_eq!(fixture.store.attention(at(7), 0..10).await.unwrap().1, 1);
    let known = own.destinations_by_key(vec![foreign.key, fixture.destination.key]).await.unwrap();
    assert_eq!(known.iter().map(|(one, _)| &one.id).collect::<Vec<_>>(), [&fixture.destination.id]);
    let names = own.account_names(vec![other.id.clone(), fixture.account.id.clone()]).await.unwrap();
    assert_eq!(names.keys().collect::<Vec<_>>(), [&fixture.account.id]);
    let labels = own.destination_labels(vec![foreign.id.clone(), fixture.destination.id.clone()]).await.unwrap();
    assert_eq!(labels.keys().collect::<Vec<_>>(), [&fixture.destination.id]);
    assert!(own.pending_for(foreign.id.clone()).await.is_err());
    let page = PageRequest { limit: 10, cursor: None };
    let found = own.search_accounts(String::new(), page).await.unwrap();
    assert_eq!(found.items.iter().map(|(one, _)| &one.id).collect::<Vec<_>>(), [&fixture.account.id]);
    let search = |account_id| PayloadSearch { account_id, text: "{".to_owned(), before: None };
    let found = own.search_payloads(search(None), 10).await.unwrap();
    assert_eq!((found.looked_at, found.events.len()), (2, 2));
    assert!(own.search_payloads(search(Some(other.id)), 10).await.is_err());
}
