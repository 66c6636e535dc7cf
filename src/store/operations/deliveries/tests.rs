use super::*;
use crate::store::operations::fixture::{Fixture, at};

fn every_wanted() -> Vec<Wanted> {
    let mut all = Vec::new();
    for bits in 0..32u8 {
        let on = |bit: u8| bits & (1 << bit) != 0;
        for (state, status) in [(0, 500), (1, 200), (2, 404)] {
            all.push(Wanted {
                account: on(0).then_some(1),
                destination: on(1).then_some(ToDestination { key: 1, account: 1, first_id: 0 }),
                event: on(2).then_some(1),
                state: on(3).then_some(state),
                status: on(4).then_some(status),
            });
        }
    }
    all
}

#[test]
fn no_list_sorts_or_scans_a_table_that_its_order_does_not_come_from() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(crate::store::file::schema::SCHEMA).unwrap();
    for wanted in every_wanted() {
        let Walk { query: walk, lead, .. } = wanted.walk();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {walk}")).unwrap();
        let params = params_from_iter([i64::MAX, 0].into_iter().chain(lead));
        let plan: Vec<String> =
            explain.query_map(params, |row| row.get(3)).unwrap().map(rusqlite::Result::unwrap).collect();
        for line in &plan {
            assert!(line.starts_with("SEARCH") && !line.contains("TEMP B-TREE"), "{walk}\n{plan:?}");
        }
    }
}

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
