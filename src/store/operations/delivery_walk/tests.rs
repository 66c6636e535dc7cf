use super::lead::{alone, candidates, choose};
use super::*;
use crate::domain::access::Scope;
use crate::domain::event_type::EventType;
use crate::domain::time::Timestamp;
use crate::store::operations::fixture::{Fixture, at};
use filter::ToDestination;

/// Every combination of conditions. States and statuses are pending, succeeded and exhausted ones.
fn every_wanted() -> Vec<Wanted> {
    let mut all = Vec::new();
    for bits in 0..64u8 {
        let on = |bit: u8| bits & (1 << bit) != 0;
        for (state, status) in [(0, 500), (1, 200), (2, 404)] {
            all.push(Wanted {
                account: on(0).then_some(1),
                account_alone: false,
                destination: on(1).then_some(ToDestination { key: 1, account: 1, first_id: 0 }),
                event: on(2).then_some(1),
                state: on(3).then_some(state),
                status: on(4).then_some(status),
                event_type: on(5).then(|| EventType::from_stored("order.paid")),
                since: None,
                until: None,
            });
        }
    }
    all
}

/// Every walk that may be chosen.
fn every_walk(connection: &Connection, wanted: &Wanted) -> Vec<Walk> {
    let chosen = candidates(connection, wanted).unwrap().into_iter().map(|candidate| candidate.walk);
    chosen.chain([alone(wanted)]).collect()
}

#[test]
fn no_list_sorts_or_scans_a_table_that_its_order_does_not_come_from() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(crate::store::file::schema::SCHEMA).unwrap();
    let plan = |query: &str, lead: &[Value]| -> Vec<String> {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let params: Vec<Value> = [i64::MAX, 0].map(Value::from).into_iter().chain(lead.iter().cloned()).collect();
        explain.query_map(params_from_iter(params), |row| row.get(3)).unwrap().map(rusqlite::Result::unwrap).collect()
    };
    for wanted in every_wanted() {
        for Walk { query, lead, .. } in every_walk(&connection, &wanted) {
            let plan = plan(&query, &lead);
            for line in &plan {
                assert!(line.starts_with("SEARCH") && !line.contains("TEMP B-TREE"), "{query}\n{plan:?}");
            }
        }
        for candidate in candidates(&connection, &wanted).unwrap() {
            let plan = plan(&candidate.ids, &candidate.walk.lead[..1]);
            assert!(plan.len() == 1 && plan[0].contains("USING COVERING INDEX"), "{}\n{plan:?}", candidate.ids);
        }
    }
}

/// The deliveries that a walk gives, with the walk cut after every seventh row.
fn found(connection: &Connection, wanted: &Wanted, only: Only, way: &Walk) -> Vec<i64> {
    let (mut ids, mut before) = (Vec::new(), i64::MAX);
    loop {
        let next = along(connection, wanted, only, way, (floor(wanted)..before, 7), |found| {
            ids.push(found.id.0);
            Ok(ControlFlow::Continue(()))
        });
        match next.unwrap() {
            Some(cursor) => before = cursor.0,
            None => return ids,
        }
    }
}

#[tokio::test]
async fn whichever_index_leads_the_same_deliveries_are_found_in_the_same_order() {
    let fixture = Fixture::new().await;
    let other = fixture.another(at(1)).await;
    let (_, elsewhere) = fixture.another_account("bob", at(1)).await;
    let random = &mut fastrand::Rng::with_seed(7);
    for second in 0..150 {
        // For a while the clock is behind, by more than a minute.
        let second = if (80..90).contains(&second) { second - 75 } else { second };
        let destination = random.choice([&fixture.destination, &other, &elsewhere]).unwrap();
        let state = *random.choice(&DeliveryState::ALL).unwrap();
        let status = *random.choice(&[None, Some(200), Some(404), Some(500)]).unwrap();
        fixture.fill(destination, 1, at(10 + second), state, status).await;
        // An event with a delivery for each destination of the account.
        fixture.push(at(10 + second)).await;
    }
    let (from, to) = (at(40), at(120));
    fixture
        .step(move |tx| {
            let types = "INSERT INTO event_type (event_id, name)
                 SELECT id, iif(id / 3 % 2, 'order.paid', 'order.open') FROM event WHERE id % 3 > 0";
            assert!(tx.run(types, [])? > 50);
            for mut wanted in every_wanted() {
                wanted.event = None;
                for times in [(None, None), (Some(from), None), (None, Some(to)), (Some(from), Some(to))] {
                    (wanted.since, wanted.until) = times;
                    for only in [Only::Any, Only::Settled, Only::Attempted] {
                        let expected = by_force(tx.connection(), &wanted, only);
                        for way in every_walk(tx.connection(), &wanted) {
                            assert_eq!(found(tx.connection(), &wanted, only, &way), expected, "{}", way.query);
                        }
                        let chosen = choose(tx.connection(), &wanted, &(0..i64::MAX)).unwrap();
                        assert_eq!(found(tx.connection(), &wanted, only, &chosen), expected);
                        assert_eq!(walked(tx.connection(), &wanted, only), expected);
                    }
                }
            }
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn what_came_before_the_destination_is_not_walked_over() {
    let fixture = Fixture::new().await;
    fixture.fill(&fixture.destination, 100, at(10), DeliveryState::Exhausted, Some(500)).await;
    let later = fixture.another(at(20)).await;
    fixture.fill(&later, 3, at(30), DeliveryState::Exhausted, Some(500)).await;
    let state = Some(DeliveryState::Exhausted);
    let filter = DeliveryFilter { destination_id: Some(later.id), state, ..DeliveryFilter::default() };
    let next = fixture
        .step(move |tx| {
            let wanted = resolve(tx.connection(), &Scope::All, &filter)?.unwrap();
            walk(tx.connection(), &wanted, Only::Any, i64::MAX, 10, |_| Ok(ControlFlow::Continue(())))
        })
        .await
        .unwrap();
    assert_eq!(next, None);
}

/// The deliveries that one walk gives.
fn walked(connection: &Connection, wanted: &Wanted, only: Only) -> Vec<i64> {
    let mut ids = Vec::new();
    let next = walk(connection, wanted, only, i64::MAX, MAX_WALK_ROWS, |found| {
        ids.push(found.id.0);
        Ok(ControlFlow::Continue(()))
    });
    assert_eq!(next.unwrap(), None);
    ids
}

#[tokio::test]
async fn what_came_after_the_last_time_is_not_walked_over() {
    let fixture = Fixture::new().await;
    fixture.fill(&fixture.destination, 3, at(10), DeliveryState::Succeeded, Some(200)).await;
    fixture.fill(&fixture.destination, 100, at(100), DeliveryState::Succeeded, Some(200)).await;
    let passed = async |until| {
        let step = move |tx: &mut crate::store::commit::transaction::Transaction<'_>| {
            let filter = DeliveryFilter { until: Some(until), ..DeliveryFilter::default() };
            let wanted = resolve(tx.connection(), &Scope::All, &filter)?.unwrap();
            walk(tx.connection(), &wanted, Only::Any, i64::MAX, 10, |_| Ok(ControlFlow::Continue(())))
        };
        fixture.step(step).await.unwrap()
    };
    assert_eq!(passed(at(20)).await, None);
    // Now an event has an id that lies after its time, and may be anywhere.
    fixture.push(at(5)).await;
    assert!(passed(at(20)).await.is_some());
}

/// The deliveries that match, by a scan of the table.
fn by_force(connection: &Connection, wanted: &Wanted, only: Only) -> Vec<i64> {
    let only = match only {
        Only::Any => "TRUE",
        Only::Settled => "v.state <> 0",
        Only::Attempted => "v.attempt_count > 0",
    };
    let query = format!(
        "SELECT v.id FROM delivery v JOIN event e ON e.id = v.event_id
         WHERE (?1 IS NULL OR e.account_key = ?1) AND (?2 IS NULL OR v.destination_key = ?2)
         AND (?3 IS NULL OR v.state = ?3) AND (?4 IS NULL OR v.status_code = ?4)
         AND (?5 IS NULL OR e.received_at >= ?5) AND (?6 IS NULL OR e.received_at < ?6)
         AND (?7 IS NULL OR ?7 = (SELECT name FROM event_type WHERE event_id = e.id)) AND {only} ORDER BY v.id DESC"
    );
    let destination = wanted.destination.as_ref().map(|destination| destination.key);
    let (since, until) = (wanted.since.map(Timestamp::millis), wanted.until.map(Timestamp::millis));
    let event_type = wanted.event_type.as_ref().map(EventType::as_str);
    let params = (wanted.account, destination, wanted.state, wanted.status, since, until, event_type);
    rows::all(connection, &query, params, |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn what_is_deleted_is_passed_over() {
    let fixture = Fixture::new().await;
    let other = fixture.another(at(1)).await;
    fixture.fill(&fixture.destination, 3, at(2), DeliveryState::Exhausted, Some(500)).await;
    fixture.fill(&other, 3, at(2), DeliveryState::Exhausted, Some(500)).await;
    fixture.store.delete_destination(other.id, at(3)).await.unwrap();
    let of_all = |state, status| Wanted {
        account: None,
        account_alone: false,
        destination: None,
        event: None,
        event_type: None,
        state,
        status,
        since: None,
        until: None,
    };
    fixture
        .step(move |tx| {
            for wanted in [of_all(None, None), of_all(Some(2), None), of_all(None, Some(500))] {
                let way = choose(tx.connection(), &wanted, &(0..i64::MAX)).unwrap();
                assert_eq!(found(tx.connection(), &wanted, Only::Any, &way).len(), 3);
            }
            Ok(())
        })
        .await
        .unwrap();
}
