use super::*;
use crate::domain::delivery::DeliveryState;
use crate::domain::document::Document;
use crate::domain::event::IncomingEvent;
use crate::error::Kind;
use crate::store::operations::fixture::{Fixture, at};

impl Fixture {
    async fn accounts_named(&self, text: &str, limit: u16) -> Vec<(String, u64)> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.store.search_accounts(text.to_owned(), PageRequest { cursor, limit }).await.unwrap();
            assert!(page.items.len() <= limit.into());
            found.extend(page.items.into_iter().map(|(account, count)| (account.name.to_string(), count)));
            cursor = page.next;
            if cursor.is_none() {
                return found;
            }
        }
    }

    async fn send(&self, key: AccountKey, document: &str) -> EventId {
        let payload = Document::from(document.as_bytes());
        let event = IncomingEvent { account: key, payload, idempotency_key: None, may_use_reserve: false };
        self.store.accept_event(event, false, at(5)).await.unwrap().event_id
    }

    async fn search(&self, text: &str, before: Option<EventId>, limit: u16) -> PayloadMatches {
        let search = PayloadSearch { account_id: None, text: text.to_owned(), before };
        self.store.search_payloads(search, limit).await.unwrap()
    }
}

#[tokio::test]
async fn accounts_are_found_by_a_part_of_any_name_whatever_its_case() {
    let fixture = Fixture::new().await;
    let (bob, destination) = fixture.another_account("Bob ÄRGER", at(1)).await;
    fixture.another_account("eve", at(1)).await;
    fixture.another(at(1)).await;
    let named = async |text: &str| {
        let found = fixture.accounts_named(text, 1).await;
        assert_eq!(fixture.accounts_named(text, 10).await, found, "{text}");
        found.into_iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(named("").await, "Ada 2, Bob ÄRGER 1, eve 1");
    assert_eq!(named("ADA@").await, "Ada 2");
    assert_eq!(named("ärg").await, "Bob ÄRGER 1");
    assert_eq!(named("EXAMPLE.COM").await, "Ada 2, Bob ÄRGER 1, eve 1");
    assert_eq!(named(bob.id.as_str()).await, "Bob ÄRGER 1");
    assert_eq!(named("%").await, "");
    assert_eq!(named(&"x".repeat(500)).await, "");
    fixture.store.delete_destination(destination.id, at(2)).await.unwrap();
    assert_eq!(named("bob").await, "Bob ÄRGER 0");
    fixture.store.delete_account(bob.id, at(2)).await.unwrap();
    assert_eq!(named("").await, "Ada 2, eve 1");
}

#[tokio::test]
async fn of_many_accounts_a_page_looks_at_some() {
    let fixture = Fixture::new().await;
    let many = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
         INSERT INTO account (account_id, email, email_folded, name, token_digest, token_hint, created_at, updated_at)
         SELECT 'acc_' || i, i || '@a.de', i || '@a.de', 'n', zeroblob(32), '', 0, 0 FROM n",
        MAX_SEARCHED_ACCOUNTS
    );
    fixture.step(move |tx| tx.run(&many, [])).await.unwrap();
    fixture.another_account("zoe", at(1)).await;
    let page = PageRequest { cursor: None, limit: 10 };
    let first = fixture.store.search_accounts("zoe".to_owned(), page).await.unwrap();
    assert!(first.items.is_empty() && first.next.is_some());
    let second = PageRequest { cursor: first.next, ..page };
    let second = fixture.store.search_accounts("zoe".to_owned(), second).await.unwrap();
    assert_eq!((second.items.len(), second.next), (1, None));
}

#[tokio::test]
async fn documents_are_found_by_their_bytes_and_by_what_their_strings_mean() {
    let fixture = Fixture::new().await;
    let key = fixture.account.key;
    let first = fixture.send(key, r#"{"order": 17, "note": "say \"hi\""}"#).await;
    let second = fixture.send(key, r#"{"order": 171, "name": "Jürgen"}"#).await;
    let ids = async |text: &str| {
        let found = fixture.search(text, None, 10).await;
        assert_eq!((found.looked_at, found.back_to, found.is_over), (2, Some(at(5)), true));
        found.events.iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert_eq!(ids("17").await, [second, first]);
    assert_eq!(ids(r#""order": 17,"#).await, [first]);
    assert_eq!(ids(r#"say "hi""#).await, [first]);
    assert_eq!(ids("Jürgen").await, [second]);
    assert_eq!(ids("jürgen").await, []);
    assert_eq!(ids("").await, [second, first]);
    let found = fixture.search("Jürgen", None, 1).await;
    let [event] = found.events.as_slice() else { panic!("one event") };
    assert_eq!((event.deliveries.len(), event.payload_bytes), (1, 33));
    assert_eq!(event.account_id, fixture.account.id);
}

#[tokio::test]
async fn a_search_continues_where_it_ended_and_ends_at_the_bound() {
    let fixture = Fixture::new().await;
    let too_old = fixture.send(fixture.account.key, "\"needle\"").await;
    let last = fixture.send(fixture.account.key, "\"needle\"").await;
    let bound = usize::try_from(MAX_SEARCHED_EVENTS).unwrap();
    fixture.fill(&fixture.destination, bound - 2, at(6), DeliveryState::Succeeded, Some(200)).await;
    let newest = fixture.send(fixture.account.key, "\"needle\"").await;
    for account_id in [None, Some(fixture.account.id.clone())] {
        let (mut before, mut found, mut looked_at) = (None, Vec::new(), 0);
        loop {
            let search = PayloadSearch { account_id: account_id.clone(), text: "needle".to_owned(), before };
            let some = fixture.store.search_payloads(search, 1).await.unwrap();
            looked_at += some.looked_at;
            found.extend(some.events.into_iter().map(|event| event.id));
            before = some.next;
            assert_eq!(some.is_over, before.is_none());
            if some.is_over {
                break;
            }
        }
        assert_eq!((found, looked_at), (vec![newest, last], MAX_SEARCHED_EVENTS));
    }
    let beyond = fixture.search("needle", Some(last), 1).await;
    assert!(beyond.events.is_empty() && beyond.is_over && too_old < last);
}

#[tokio::test]
async fn only_events_of_the_account_are_found_and_none_of_a_deleted_one() {
    let fixture = Fixture::new().await;
    let (bob, _) = fixture.another_account("bob", at(1)).await;
    let of_bob = fixture.send(bob.key, "\"needle\"").await;
    let of_ada = fixture.send(fixture.account.key, "\"needle\"").await;
    let find = async |account_id| {
        let search = PayloadSearch { account_id, text: "needle".to_owned(), before: None };
        let found = fixture.store.search_payloads(search, 10).await;
        found.map(|found| found.events.iter().map(|event| event.id).collect::<Vec<_>>())
    };
    assert_eq!(find(None).await.unwrap(), [of_ada, of_bob]);
    assert_eq!(find(Some(bob.id.clone())).await.unwrap(), [of_bob]);
    fixture.store.delete_account(bob.id.clone(), at(2)).await.unwrap();
    assert_eq!(find(None).await.unwrap(), [of_ada]);
    assert!(find(Some(bob.id)).await.is_err_and(|error| error.kind() == Kind::NotFound));
}
