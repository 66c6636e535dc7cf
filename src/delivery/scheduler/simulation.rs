//! Seeded runs of the scheduler in which file, workers, destinations and clock are simulated. After each step
//! everything that the scheduler counts by hand is counted again, and at the end every delivery has arrived.

mod clients;
mod file;
mod promises;
mod recount;
mod workers;
mod world;

use std::sync::{Arc, Mutex};

use super::*;
use crate::store::Change;
use recount::recount;
use world::{Event, Shared, World};

/// Seeds of the short form and of the long one.
const SEEDS: u64 = 8;
const MANY_SEEDS: u64 = 120;

/// Steps in which everything may happen to deliveries and destinations.
const STEPS: usize = 2_000;

/// After so many steps the server is killed, and started again over the same file.
const KILL_EVERY: usize = 700;

/// After those steps all must have arrived within so much simulated time.
const DRAINED_WITHIN: Duration = Duration::from_secs(3_600);

/// Lets time go on to the next event; gives false where there is none before `until`.
fn step(scheduler: &mut Scheduler, shared: &Shared, until: Timestamp) -> bool {
    let wake = scheduler.now().plus(scheduler.wait().max(Duration::from_millis(1)));
    let event = {
        let mut world = shared.world();
        let first = world.queue.peek().map(|Reverse(first)| *first).filter(|(at, _)| *at <= wake);
        world.now = first.map_or(wake, |(at, _)| at);
        if world.now > until {
            return false;
        }
        first.and_then(|(_, number)| {
            world.queue.pop();
            world.events.remove(&number)
        })
    };
    let message = match event {
        None => None,
        Some(Event::Tells(message)) => Some(message),
        Some(Event::Goes(number)) => {
            shared.world().goes(number);
            None
        }
        Some(Event::Ends(number)) => {
            shared.world().ends(number);
            None
        }
        Some(Event::Commit(finished)) => Some(Message::Changes(shared.world().commit(finished))),
        Some(Event::Reads(request)) => {
            let mut world = shared.world();
            let message = world.read(request);
            world.soon(3, Event::Tells(message));
            None
        }
    };
    message.into_iter().for_each(|message| scheduler.handle_message(message));
    scheduler.turn();
    recount(scheduler, &shared.world());
    true
}

fn simulate(seed: u64) {
    fastrand::seed(seed);
    let shared = Shared(Arc::new(Mutex::new(World::new(seed))));
    // Only where many answer at once are runs of several lanes given to one worker.
    let many = if seed % 2 == 1 { 60 } else { 12 };
    let destinations: Vec<_> = (0..many).map(|_| shared.world().new_destination()).collect();
    let limits = Limits { workers: 24, destination_concurrency: 32 };
    let mut scheduler = Scheduler::with(Box::new(shared.clone()), limits, 2, destinations);
    for number in 1..=STEPS {
        if number % KILL_EVERY == 0 {
            let destinations = shared.world().killed();
            scheduler = Scheduler::with(Box::new(shared.clone()), limits, 2, destinations);
        }
        let test = shared.world().random_test();
        if let Some(test) = test {
            scheduler.handle_message(Message::Test(test));
        }
        let change = {
            let mut world = shared.world();
            if world.random.u8(0..3) == 0 { world.act() } else { None }
        };
        if let Some(change) = change {
            scheduler.handle_message(Message::Changes(vec![change]));
            scheduler.turn();
            recount(&scheduler, &shared.world());
        }
        step(&mut scheduler, &shared, Timestamp::LATEST);
    }
    // From now on everything answers, and nothing keeps anything back.
    let resumed: Vec<Change> = {
        let mut world = shared.world();
        world.calm = true;
        world
            .destinations
            .values_mut()
            .for_each(|destination| (destination.pause, destination.held_until) = (None, None));
        let changed = |destination: &Destination| Change::DestinationChanged(Arc::new(destination.clone()));
        world.destinations.values().map(changed).collect()
    };
    scheduler.handle_message(Message::Changes(resumed));
    let end = shared.world().now.plus(DRAINED_WITHIN);
    while !shared.world().rows.is_empty() || !scheduler.in_flight.is_empty() {
        assert!(step(&mut scheduler, &shared, end), "{} deliveries do not arrive", shared.world().rows.len());
    }
    // Refills that are still on their way may bring nothing.
    let end = shared.world().now.plus(Duration::from_secs(60));
    while step(&mut scheduler, &shared, end) {}
    let counts = [scheduler.in_hand, scheduler.above_floor, scheduler.bytes, scheduler.hanging, scheduler.busy_workers];
    assert_eq!(counts, [0; 5], "all that was in hand was given up");
}

fn simulate_all(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let run = std::panic::catch_unwind(|| simulate(seed));
        assert!(run.is_ok(), "seed {seed}");
    }
}

#[test]
fn whatever_happens_what_the_scheduler_counts_is_what_there_is_and_all_arrives() {
    simulate_all(0..SEEDS);
}

#[test]
#[ignore = "takes minutes; .ci/full runs it"]
fn the_same_over_many_seeds() {
    simulate_all(SEEDS..MANY_SEEDS);
}
