//! What a measurement that is held to something comes to. A load that was itself late by as much as the bound says nothing
//! of the server: such a measurement is inconclusive, and is made again.

use super::Result;

/// Measurements of one thing at most.
const MOST: usize = 4;

/// Misses that are believed: on a busy machine one says little.
const MISSES: usize = 2;

/// What came of a measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is within its bounds.
    Met,
    /// It is not; which bounds.
    Missed(Vec<String>),
    /// It is not, but the load was late; how late.
    Inconclusive(String),
}

/// A bound on latencies: the same quantile of the latencies and of how late the load was, and what they may be.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// What it is called.
    pub name: &'static str,
    /// The measured one, in milliseconds.
    pub value_ms: f64,
    /// How far behind its schedule the load was, in milliseconds.
    pub late_ms: f64,
    /// At most so much, in milliseconds.
    pub most_ms: f64,
}

impl Verdict {
    /// By these bounds on latencies, and by what was missed besides, which no late load excuses.
    pub fn of(bounds: &[Bound], mut missed: Vec<String>) -> Self {
        let over = |bound: &&Bound| bound.value_ms > bound.most_ms;
        let (late, over): (Vec<&Bound>, Vec<&Bound>) =
            bounds.iter().filter(over).partition(|bound| bound.late_ms >= bound.most_ms);
        missed.splice(0..0, over.iter().map(|bound| format!("{} over {:.1}", bound.name, bound.most_ms)));
        match late.first() {
            _ if !missed.is_empty() => Self::Missed(missed),
            Some(bound) => Self::Inconclusive(format!(
                "{} over {:.1}, load late by {:.1}",
                bound.name, bound.most_ms, bound.late_ms
            )),
            None => Self::Met,
        }
    }

    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed(_) => "missed",
            Self::Inconclusive(_) => "inconclusive",
        }
    }
}

/// Measures until it is met, is missed twice, or was measured often enough; gives what holds then.
pub fn settle(mut measure: impl FnMut() -> Result<Verdict>) -> Result<Verdict> {
    let mut last = None;
    let mut misses = 0;
    for _ in 0..MOST {
        match (measure()?, &last) {
            (Verdict::Met, _) => return Ok(Verdict::Met),
            // A miss is not undone by what says nothing.
            (Verdict::Inconclusive(_), Some(Verdict::Missed(_))) => {}
            (verdict, _) => {
                misses += usize::from(matches!(verdict, Verdict::Missed(_)));
                last = Some(verdict);
            }
        }
        if misses >= MISSES {
            break;
        }
    }
    last.ok_or_else(|| "nothing was measured".into())
}
