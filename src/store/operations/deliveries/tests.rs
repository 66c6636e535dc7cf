use super::*;
use crate::domain::ids::{AccountId, EventId, sequence_id};
use crate::domain::page::Cursor;
use crate::store::operations::fixture::{Fixture, at};

impl Fixture {
    /// Reads all pages of `limit` items. Returns the events of the deliveries listed, and the number of pages.
    async fn listed(&self, filter: &DeliveryFilter, limit: u16) -> (Vec<EventId>, usize) {
        let (mut found, mut pages, mut cursor) = (Vec::new(), 0, None);
        loop {
            let page = self.store.deliveries(filter.clone(), PageRequest { cursor, limit }).await.unwrap();
            found.extend(page.items.iter().map(|delivery| delivery.event_id));
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                return (found, pages);
            }
        }
    }
}

#[tokio::test]
async fn a_destinations_deliveries_are_listed_from_its_making_on() {
    let fixture = Fixture::new().await;
    for _ in 0..10 {
        fixture.push(at(100)).await;
    }
    let destination = fixture.another(at(100)).await.id;
    let mut expected = Vec::new();
    // The clock goes back in between.
    for second in [100, 50, 101, 101, 300] {
        expected.insert(0, fixture.push(at(second)).await.0);
    }
    let of = DeliveryFilter { destination_id: Some(destination), ..DeliveryFilter::default() };
    for limit in 1..=6 {
        let (found, pages) = fixture.listed(&of, limit).await;
        assert_eq!(found, expected, "{limit}");
        assert_eq!(pages, 5_usize.div_ceil(limit.into()), "no page is empty");
    }
    let since = DeliveryFilter { since: Some(at(101)), ..of.clone() };
    assert_eq!(fixture.listed(&since, 2).await.0, expected[..3]);
    let elsewhere = DeliveryFilter { account_id: Some(AccountId::from_stored("other".to_owned())), ..of.clone() };
    assert!(fixture.listed(&elsewhere, 2).await.0.is_empty());
    let pending = DeliveryFilter { state: Some(DeliveryState::Pending), ..of };
    assert_eq!(fixture.listed(&pending, 2).await.0, expected);
}

#[tokio::test]
async fn no_event_is_older_than_its_destination_though_the_clock_went_back_over_a_start() {
    let fixture = Fixture::new().await;
    let destination = fixture.another(at(1_000)).await.id;
    let fixture = fixture.restart(at(10)).await;
    let (event, _) = fixture.push(at(10)).await;
    let of = DeliveryFilter { destination_id: Some(destination), ..DeliveryFilter::default() };
    assert_eq!(fixture.listed(&of, 10).await.0, [event]);
}

#[tokio::test]
async fn rare_deliveries_fill_a_page_though_many_others_lie_between() {
    use DeliveryState::{Exhausted, Pending, Succeeded};
    const MANY: usize = 100_000;
    let fixture = Fixture::new().await;
    let (one, other) = (&fixture.destination, fixture.another(at(1)).await);
    let (account, elsewhere) = fixture.another_account("bob", at(1)).await;
    for (state, status) in [(Exhausted, Some(500)), (Pending, None)] {
        fixture.fill(one, 5, at(10), state, status).await;
        fixture.fill(&other, 5, at(10), state, status).await;
        fixture.fill(&elsewhere, 5, at(10), state, status).await;
        fixture.fill(&other, MANY, at(20), Succeeded, Some(200)).await;
        fixture.fill(&elsewhere, MANY, at(30), Succeeded, Some(200)).await;
    }
    let of_one = DeliveryFilter { destination_id: Some(one.id.clone()), ..DeliveryFilter::default() };
    let of_account = DeliveryFilter { account_id: Some(account.id.clone()), ..DeliveryFilter::default() };
    for (of, owner) in [(of_one, "destination"), (of_account, "account")] {
        for (state, status) in
            [(Some(Exhausted), None), (Some(Pending), None), (None, Some(500)), (Some(Exhausted), Some(500))]
        {
            let filter = DeliveryFilter { state, status_code: status, ..of.clone() };
            let page = fixture.store.deliveries(filter.clone(), PageRequest { cursor: None, limit: 5 }).await.unwrap();
            assert_eq!(page.items.len(), 5, "{owner} {state:?} {status:?}");
            let late = DeliveryFilter { since: Some(at(15)), ..filter };
            assert_eq!(fixture.listed(&late, 5).await.0.len(), 0, "{owner} {state:?} {status:?}");
        }
    }
}

#[tokio::test]
async fn of_more_rare_deliveries_than_a_page_reads_all_are_listed_too() {
    let fixture = Fixture::new().await;
    let other = fixture.another(at(1)).await;
    let (one, many, now) = (&fixture.destination, MAX_WALK_ROWS + 1, at(10));
    fixture.fill(one, 3, now, DeliveryState::Exhausted, Some(500)).await;
    fixture.fill(&other, many, now, DeliveryState::Exhausted, Some(500)).await;
    fixture.fill(one, 3, now, DeliveryState::Exhausted, Some(500)).await;
    let destination_id = Some(one.id.clone());
    for (state, status_code) in [(Some(DeliveryState::Exhausted), None), (None, Some(500))] {
        let filter =
            DeliveryFilter { destination_id: destination_id.clone(), state, status_code, ..DeliveryFilter::default() };
        let (found, pages) = fixture.listed(&filter, 2).await;
        assert_eq!(found.len(), 6);
        assert!(found.is_sorted_by(|newer, older| newer > older));
        // The second page has passed enough of the others to be led by the rare ones.
        assert!(pages <= 5, "{pages}");
    }
}

#[tokio::test]
async fn an_incident_of_long_ago_fills_a_page_though_it_was_large() {
    let fixture = Fixture::new().await;
    let (bob, elsewhere) = fixture.another_account("bob", at(1)).await;
    fixture.fill(&fixture.destination, 2 * MAX_WALK_ROWS, at(10), DeliveryState::Exhausted, Some(500)).await;
    fixture.fill(&elsewhere, 5, at(15), DeliveryState::Exhausted, Some(500)).await;
    fixture.fill(&fixture.destination, 2 * MAX_WALK_ROWS, at(20), DeliveryState::Succeeded, Some(200)).await;
    fixture.fill(&fixture.destination, 2 * MAX_WALK_ROWS, at(30), DeliveryState::Exhausted, Some(404)).await;
    let of_destination = DeliveryFilter { destination_id: Some(fixture.destination.id.clone()), ..Default::default() };
    let of_account = DeliveryFilter { account_id: Some(fixture.account.id.clone()), ..Default::default() };
    for of in [of_destination, of_account] {
        let filter = DeliveryFilter { state: Some(DeliveryState::Exhausted), until: Some(at(30)), ..of.clone() };
        let before = PageRequest { cursor: Some(Cursor(sequence_id(at(30)))), limit: 50 };
        assert_eq!(fixture.store.deliveries(filter, before).await.unwrap().items.len(), 50);
        let filter = DeliveryFilter { status_code: Some(500), ..of };
        let first = PageRequest { cursor: None, limit: 50 };
        assert_eq!(fixture.store.deliveries(filter, first).await.unwrap().items.len(), 50);
    }
    // Few events of its own reach further back than all failures.
    let filter =
        DeliveryFilter { account_id: Some(bob.id), state: Some(DeliveryState::Exhausted), ..Default::default() };
    let page = fixture.store.deliveries(filter, PageRequest { cursor: None, limit: 5 }).await.unwrap();
    assert_eq!((page.items.len(), page.next), (5, None));
}
