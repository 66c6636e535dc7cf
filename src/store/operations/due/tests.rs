use super::*;
use crate::domain::event::IncomingEvent;
use crate::store::operations::fixture::{Fixture, at};

/// Sends an event with `document`. Returns the event and its first delivery.
async fn push(fixture: &Fixture, document: &Document) -> (EventId, DeliveryId) {
    let event = IncomingEvent {
        account: fixture.account.key,
        payload: document.clone(),
        idempotency_key: None,
        may_use_reserve: false,
    };
    let accepted = fixture.store.accept_event(event, false, at(1)).await.unwrap();
    (accepted.event_id, accepted.made.unwrap().iter().next().unwrap().id)
}

#[tokio::test]
async fn a_claim_brings_along_what_is_short_and_what_is_in_memory_however_long_that_is() {
    let fixture = Fixture::new().await;
    let long = Document::from(vec![b'1'; INLINE_PAYLOADS_BYTES + 1].as_slice());
    let short = Document::from(b"{}".as_slice());
    let gone = Document::from(vec![b'2'; INLINE_PAYLOAD_BYTES + 1].as_slice());
    for document in [&long, &long, &short, &gone] {
        push(&fixture, document).await;
    }
    drop(gone);
    let found =
        fixture.store.due_deliveries(fixture.destination.key, DeliveryOrder::None, at(2), 10, &|_| false).unwrap();
    let lengths: Vec<_> =
        found.deliveries.iter().map(|due| due.document.as_ref().map(|document| document.len())).collect();
    assert_eq!(lengths, [Some(long.len()), Some(long.len()), Some(2), None]);
}

#[tokio::test]
async fn in_strict_order_the_lowest_ids_come_first_up_to_one_that_is_not_due() {
    let fixture = Fixture::new().await;
    let key = fixture.destination.key;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(fixture.push(at(1)).await.1);
    }
    let read = |order, now, limit, in_hand: &[DeliveryId]| {
        let found = fixture.store.due_deliveries(key, order, at(now), limit, &|id| in_hand.contains(&id)).unwrap();
        let found_ids: Vec<_> = found.deliveries.iter().map(|due| due.delivery).collect();
        (found_ids, found.next_due)
    };
    let due = |number: usize, second| {
        let id = ids[number].0;
        fixture
            .step(move |tx| tx.run("UPDATE delivery SET next_attempt_at = ?2 WHERE id = ?1", (id, at(second).millis())))
    };
    assert_eq!(read(DeliveryOrder::Strict, 2, 3, &[]), (ids[..3].to_vec(), Some(at(0))));
    assert_eq!(read(DeliveryOrder::Strict, 2, 10, &ids[..2]), (ids[2..].to_vec(), None));
    // As after failures before the destination was set to strict order.
    due(4, 5).await.unwrap();
    due(1, 7).await.unwrap();
    assert_eq!(read(DeliveryOrder::Strict, 2, 10, &[]), (ids[..1].to_vec(), Some(at(7))));
    assert_eq!(read(DeliveryOrder::Strict, 7, 10, &[]), (ids.clone(), None));
    assert_eq!(read(DeliveryOrder::Strict, 6, 10, &ids[..2]), (ids[2..].to_vec(), None));
    let (all, next) = read(DeliveryOrder::None, 6, 10, &[]);
    assert_eq!((all.len(), next), (5, Some(at(7))));
}

#[test]
fn no_read_in_strict_order_looks_at_other_destinations_or_sorts_what_is_due_at_once() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(crate::store::file::schema::SCHEMA).unwrap();
    let plan = |query: &str| {
        let query = format!("EXPLAIN QUERY PLAN {query}");
        rows::all(&connection, &query, [1], |row| row.get::<_, String>(3)).unwrap()
    };
    let search = "SEARCH delivery USING COVERING INDEX delivery_due (destination_key=? AND next_attempt_at";
    assert_eq!(plan(DUE_AT_ONCE_IN_ORDER), [format!("{search}=?)")], "it finds them in order");
    assert_eq!(plan(DUE_LATER_IN_ORDER)[0], format!("{search}>?)"));
}

#[tokio::test]
async fn a_long_document_is_read_from_the_file_whole_and_then_shared() {
    let fixture = Fixture::new().await;
    let bytes: Vec<u8> = (0..200_000_u32).map(|number| b'0' + (number % 7) as u8).collect();
    let document = Document::from(bytes.as_slice());
    let (event, delivery) = push(&fixture, &document).await;
    drop(document);
    let (read, step) = fixture.store.document(delivery, event).unwrap().unwrap();
    assert_eq!((&*read, step), (bytes.as_slice(), 0));
    let (again, _) = fixture.store.document(delivery, event).unwrap().unwrap();
    assert_eq!(again.as_ptr(), read.as_ptr(), "it is in memory once");
    assert!(fixture.store.document(DeliveryId(1), event).unwrap().is_none());
}
