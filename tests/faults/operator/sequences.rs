//! Random sequences of an operator's acts, compared with a model that knows what must be there.

use std::panic::AssertUnwindSafe;

use super::acts::Operator;
use crate::campaign::{Report, either, seed};
use crate::harness::Receiver;

/// Number of sequences in the short form and in the long form.
const SHORT_COUNT: u64 = 30;
const LONG_COUNT: u64 = 600;

/// Number of acts in a sequence.
const ACTS: std::ops::RangeInclusive<usize> = 6..=12;

/// Sequences that run at the same time, because a sequence mostly waits.
const AT_ONCE: u64 = 3;

pub fn random_sequences_of_acts_lose_nothing_and_each_refusal_helps(report: &mut Report) {
    let receiver = Receiver::start();
    let count = either(SHORT_COUNT, LONG_COUNT);
    let share = |first: u64| {
        let receiver = &receiver;
        move || {
            let mut all = Counts::default();
            for number in (first..count).step_by(AT_ONCE as usize) {
                all.add(&one(seed().wrapping_add(number), receiver));
            }
            all
        }
    };
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|first| scope.spawn(share(first))).collect();
        let mut all = Counts::default();
        for thread in threads {
            all.add(&thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    report.figure("sequences", count);
    report.figure("acts", all.acts);
    report.figure("starts served", all.served);
    report.figure("starts refused", all.refused);
    report.figure("events acknowledged", all.events);
    report.figure("lost", 0);
}

/// Counts over all sequences.
#[derive(Default)]
pub struct Counts {
    pub acts: usize,
    pub served: usize,
    pub refused: usize,
    pub events: usize,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.acts += other.acts;
        self.served += other.served;
        self.refused += other.refused;
        self.events += other.events;
    }
}

/// Runs one sequence. If it fails, prints what was done; `FAULTS_SEED` with the printed seed runs it again as the first
/// one.
fn one(seed: u64, receiver: &Receiver) -> Counts {
    let mut random = fastrand::Rng::with_seed(seed);
    let acts = random.usize(ACTS);
    let mut operator = Operator::new(random, receiver);
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..acts {
            operator.acts();
        }
        operator.ends();
    }));
    if let Err(panic) = ended {
        eprintln!("this sequence fell: FAULTS_SEED={seed}\n  {}", operator.done.join("\n  "));
        std::panic::resume_unwind(panic);
    }
    operator.counts
}
