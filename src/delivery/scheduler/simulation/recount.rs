//! Counts everything again that the scheduler counts by hand.

use std::collections::{HashSet, VecDeque};

use super::super::*;
use super::world::World;
use crate::delivery::limits::{FLOOR, SLOW};
use crate::delivery::workers::batch::Progress;
use crate::delivery::workers::job::Job;
use lane::Health;

/// Counts everything again that the scheduler counts by hand.
pub(super) fn recount(scheduler: &Scheduler, world: &World) {
    let lanes = scheduler.lanes.values();
    assert_eq!(scheduler.in_hand, lanes.clone().map(|lane| lane.in_hand.len()).sum::<usize>(), "in hand");
    let above = |lane: &Lane| lane.in_hand.len().saturating_sub(lane.urgent.len() + FLOOR);
    assert_eq!(scheduler.above_floor, lanes.clone().map(|lane| lane.above_floor).sum::<usize>(), "above the floor");
    assert!(lanes.clone().all(|lane| lane.above_floor.abs_diff(above(lane)) <= 1), "above the floor of each");
    let queued = lanes.clone().flat_map(|lane| lane.queue.iter().chain(&lane.urgent)).map(Job::bytes).sum::<usize>();
    let sent = scheduler.in_flight.values().map(|run| run.run.held_bytes()).sum::<usize>();
    let attempts = world.workers.values().filter_map(|worker| {
        let number = worker.runs.get(worker.at)?.number;
        worker.job.as_ref().filter(|_| scheduler.in_flight.contains_key(&number)).map(|(job, ..)| job.bytes())
    });
    assert_eq!(scheduler.bytes, queued + sent + attempts.sum::<usize>(), "bytes of documents");
    let runs = scheduler.in_flight.values();
    for pool in pools::ORDER {
        assert_eq!(scheduler.pools.used(pool), runs.clone().filter(|run| run.pool == pool).count(), "{pool:?}");
    }
    let recent = runs.clone().filter(|run| run.recent_failing).count() + scheduler.recent_failures_until.len();
    assert_eq!(scheduler.pools.recent_failing, recent, "recently failed");
    assert_eq!(scheduler.hanging, runs.clone().filter(|run| run.overdue.is_some()).count(), "overdue");
    for slow in scheduler.slow_destinations(None, world.now).into_iter().filter(|slow| slow.is_stalled) {
        let began = runs.clone().filter(|run| run.lane == slow.destination).filter_map(|run| {
            let Progress::Began(began) = run.run.progress() else { return run.overdue };
            Some(began)
        });
        assert!(began.min().is_some_and(|began| world.now.since(began) >= SLOW), "an attempt takes long");
    }
    for (key, lane) in &scheduler.lanes {
        assert_eq!(lane.in_flight, runs.clone().filter(|run| run.lane == *key).count(), "runs of a lane");
        assert_eq!(scheduler.backlogged.contains(key), lane.is_backlogged(), "backlogged");
    }
    let slow = scheduler.slow_destinations(None, world.now);
    let slow: HashSet<_> = slow.into_iter().map(|slow| slow.destination).collect();
    for (key, lane) in &scheduler.lanes {
        if let Some(pace) = &lane.pace {
            let promised: usize = runs.clone().map(|run| run.run.promised(pace)).sum();
            assert_eq!(pace.promised(), promised, "tokens that are promised");
        }
        let is_held_by_rate = scheduler.may_send(lane, world.now) && lane.waits_for_rate(world.now).is_some();
        let next = scheduler.next_sends(&[*key], world.now)[0];
        assert_eq!(is_held_by_rate, next.is_some_and(|at| at > world.now), "the next send of a lane");
        assert!(!is_held_by_rate || lane.rate_wakes_at.is_some(), "a lane that waits for its rate is woken");
        assert!(next.is_none() || !scheduler.entered.contains_key(key), "a lane that waits for its rate is not ready");
        if world.always_at_once.contains(key) {
            assert!(
                !slow.contains(key) && lane.health != Health::Failing && !lane.is_suspect(),
                "its rate is no fault of a lane"
            );
        }
        if lane.is_strict() {
            let sorted = |jobs: &VecDeque<Job>| jobs.iter().map(|job| job.delivery).is_sorted();
            assert!(sorted(&lane.queue) && sorted(&lane.urgent), "strict order in memory");
        }
    }
    assert_eq!(scheduler.pools.ready(), scheduler.entered.len(), "lanes that are ready");
    assert!(scheduler.busy_workers <= scheduler.limits.workers, "busy workers");
}
