//! Random sequences of operations. After enough turns the file must contain exactly the events that should be left.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::destination::Destination;
use crate::domain::ids::DeliveryId;
use crate::store::operations::maintenance::tests::RETENTION;
use crate::store::operations::rows;

/// Seconds. Events are received at whole multiples of this, and retention looks half of it later. So the minute by
/// which an event may stay longer makes no difference.
const GRAIN: i64 = 100;

#[derive(Debug, Clone)]
enum Happening {
    /// This many grains pass. A negative number sets the clock back.
    Time(i64),
    /// An event with deliveries in these states. Those that are not pending have this many attempts.
    Event { keyed: bool, states: Vec<i64>, attempts: usize },
    /// The n-th pending delivery is cancelled.
    Settle(usize),
    /// The n-th delivery that is not pending is opened again.
    Reopen(usize),
    /// The n-th destination is deleted.
    Delete(usize),
    /// Retention starts again without its state, as after a restart of the server.
    Restart,
    /// One turn of retention.
    Turn,
    /// Turns of all background work until nothing is left to do.
    Turns,
}

fn happening() -> impl Strategy<Value = Happening> {
    let event = (any::<bool>(), prop::collection::vec(0..4i64, 0..4), 0..3usize);
    prop_oneof![
        3 => (1..6i64).prop_map(Happening::Time),
        1 => prop_oneof![Just(-3), Just(-40), Just(900), Just(-900)].prop_map(Happening::Time),
        8 => event.prop_map(|(keyed, states, attempts)| Happening::Event { keyed, states, attempts }),
        4 => (0..100usize).prop_map(Happening::Settle),
        2 => (0..100usize).prop_map(Happening::Reopen),
        1 => (0..4usize).prop_map(Happening::Delete),
        1 => Just(Happening::Restart),
        3 => Just(Happening::Turn),
        2 => Just(Happening::Turns),
    ]
}

#[derive(Debug, Clone)]
struct Known {
    received: i64,
    keyed: bool,
    /// By id: whether the delivery is pending, and the index of its destination.
    deliveries: BTreeMap<i64, (bool, usize)>,
}

struct Play {
    fixture: Fixture,
    destinations: Vec<Option<Destination>>,
    upkeep: Upkeep,
    known: BTreeMap<i64, Known>,
    /// In grains.
    now: i64,
    keys: usize,
}

impl Play {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let mut destinations = vec![Some(fixture.destination.clone())];
        for _ in 0..3 {
            destinations.push(Some(fixture.another(at(0)).await));
        }
        Self { fixture, destinations, upkeep: Upkeep::default(), known: BTreeMap::new(), now: 10_000, keys: 0 }
    }

    /// The time between two grains.
    fn looks_at(&self) -> Timestamp {
        Timestamp::from_millis((self.now * GRAIN + GRAIN / 2) * 1_000)
    }

    fn goes(&self, event: &Known) -> bool {
        let age = Age::at(self.looks_at(), RETENTION);
        event.received < age.before.millis()
            && !(event.keyed && event.received > age.keyed_until.millis())
            && event.deliveries.values().all(|(pending, _)| !pending)
    }

    fn nth(&self, n: usize, wanted: bool) -> Option<(i64, i64)> {
        let all = self.known.iter().flat_map(|(event, known)| known.deliveries.iter().map(move |row| (*event, row)));
        let fitting: Vec<_> = all.filter(|(_, (_, (pending, _)))| *pending == wanted).collect();
        fitting.get(n % fitting.len().max(1)).map(|(event, (delivery, _))| (*event, **delivery))
    }

    async fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Time(grains) => self.now = (self.now + grains).max(1),
            Happening::Event { keyed, states, attempts } => self.event(keyed, states, attempts).await,
            Happening::Settle(n) => {
                if let Some((event, delivery)) = self.nth(n, true) {
                    self.fixture.store.cancel_delivery(DeliveryId(delivery), at(1)).await.unwrap();
                    self.known.get_mut(&event).unwrap().deliveries.get_mut(&delivery).unwrap().0 = false;
                }
            }
            Happening::Reopen(n) => {
                if let Some((event, delivery)) = self.nth(n, false) {
                    self.fixture.store.retry_delivery(DeliveryId(delivery), false, at(1)).await.unwrap();
                    self.known.get_mut(&event).unwrap().deliveries.get_mut(&delivery).unwrap().0 = true;
                }
            }
            Happening::Delete(n) => {
                if let Some(destination) = self.destinations[n].take() {
                    self.fixture.store.delete_destination(destination.id, self.looks_at()).await.unwrap();
                    while self.fixture.store.remove_deleted(&mut self.upkeep.removal).await.unwrap() < IDLE {}
                    self.known.values_mut().for_each(|known| known.deliveries.retain(|_, (_, of)| *of != n));
                }
            }
            Happening::Restart => self.upkeep.retention = Retention::default(),
            Happening::Turn => {
                self.upkeep.retention.make_due();
                let now = self.looks_at();
                self.fixture.store.expire(&mut self.upkeep.retention, RETENTION, now).await.unwrap();
                let left = self.fixture.events();
                let gone: Vec<i64> = self.known.keys().filter(|id| !left.contains(id)).copied().collect();
                for id in gone {
                    let known = self.known.remove(&id).unwrap();
                    assert!(self.goes(&known), "{known:?} is gone");
                }
            }
            Happening::Turns => self.turns().await,
        }
    }

    async fn event(&mut self, keyed: bool, states: Vec<i64>, attempts: usize) {
        self.keys += 1;
        let key = keyed.then(|| self.keys.to_string());
        let to: Vec<(usize, i64)> =
            self.destinations.iter().enumerate().filter_map(|(n, some)| Some((n, some.as_ref()?.key.0))).collect();
        let account = self.fixture.account.key.0;
        let received = self.now * GRAIN * 1_000;
        let rows: Vec<(i64, i64)> = states.iter().zip(&to).map(|(state, (_, key))| (*state, *key)).collect();
        let write = move |tx: &mut Transaction<'_>| {
            let id = tx.take_ids(1 + rows.len(), Timestamp::from_millis(received));
            let event = "INSERT INTO event VALUES (?1, ?2, ?3, ?4, zeroblob(6000))";
            tx.run(event, (id, account, received, key))?;
            for (delivery, (state, destination)) in (id + 1..).zip(&rows) {
                let count = if *state == 0 { 0 } else { attempts };
                tx.run(
                    "INSERT INTO delivery (id, event_id, destination_key, state, step, attempt_count, next_attempt_at)
                     VALUES (?1, ?2, ?3, ?4, 0, ?5, 0)",
                    (delivery, id, destination, state, count),
                )?;
                for number in 1..=count {
                    tx.run(
                        "INSERT INTO attempt VALUES (?1, ?2, 0, 0, 500, NULL, NULL, zeroblob(5000), 0)",
                        (delivery, number),
                    )?;
                }
                tx.add_pending(i64::from(*state == 0));
            }
            Ok(id)
        };
        let id = self.fixture.step(write).await.unwrap();
        let deliveries = (id + 1..).zip(states.iter().zip(&to).map(|(state, (n, _))| (*state == 0, *n))).collect();
        self.known.insert(id, Known { received, keyed, deliveries });
    }

    async fn turns(&mut self) {
        let now = self.looks_at();
        self.fixture.keep_up(&mut self.upkeep, now).await;
        let stays: Vec<i64> = self.known.iter().filter(|(_, known)| !self.goes(known)).map(|(id, _)| *id).collect();
        assert_eq!(self.fixture.events(), stays);
        self.known.retain(|id, _| stays.contains(id));
        let file = Connection::open(self.fixture.path()).unwrap();
        let deliveries =
            rows::all(&file, "SELECT id FROM delivery ORDER BY id", [], |row| row.get::<_, i64>(0)).unwrap();
        let known: Vec<i64> = self.known.values().flat_map(|known| known.deliveries.keys().copied()).collect();
        assert_eq!(deliveries, known);
        let value = |query: &str| file.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(value("SELECT count(*) FROM delivery WHERE state = 0"), self.fixture.pending());
        assert_eq!(value("SELECT count(*) FROM attempt WHERE delivery_id NOT IN (SELECT id FROM delivery)"), 0);
        assert_eq!(value("SELECT count(*) FROM pragma_foreign_key_check"), 0);
        let sound: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn exactly_what_should_be_left_is_left(happenings in prop::collection::vec(happening(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut play = Play::new().await;
            for happening in happenings {
                play.happens(happening).await;
            }
            play.turns().await;
            // In the end no delivery is pending, and all events are older than any time the clock has had.
            while let Some((event, delivery)) = play.nth(0, true) {
                play.fixture.store.cancel_delivery(DeliveryId(delivery), at(1)).await.unwrap();
                play.known.get_mut(&event).unwrap().deliveries.get_mut(&delivery).unwrap().0 = false;
            }
            play.turns().await;
            play.now += 1_000_000;
            play.turns().await;
            assert!(play.fixture.events().is_empty());
        });
    }
}
