//! The verdict on a measurement that has a bound. If the load itself was late by as much as the bound, the measurement
//! says nothing about the server. Such a measurement is inconclusive and is repeated.

use super::Result;

/// Maximum number of measurements of one thing.
const MAX_MEASUREMENTS: usize = 4;

/// Number of misses that count as a verdict. On a busy machine one miss says little.
const MAX_MISSES: usize = 2;

/// The verdict on one measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every value is within its bound.
    Met,
    /// These bounds are not met.
    Missed(Vec<String>),
    /// A bound is not met, but the load was late by as much: by how much.
    Inconclusive(String),
}

/// A bound on one quantile of the latencies, with the same quantile of the load's lateness.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Name of the quantile.
    pub name: &'static str,
    /// Measured latency, in milliseconds.
    pub value_ms: f64,
    /// How late the load was, in milliseconds.
    pub late_ms: f64,
    /// Maximum latency, in milliseconds.
    pub most_ms: f64,
}

impl Verdict {
    /// The verdict by bounds on latencies and by `missed`, the other misses. A late load does not excuse those.
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

    /// The verdict in one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed(_) => "missed",
            Self::Inconclusive(_) => "inconclusive",
        }
    }
}

/// Measures until the bound is met, or missed twice, or the maximum number is reached. Returns the verdict.
pub fn settle(mut measure: impl FnMut() -> Result<Verdict>) -> Result<Verdict> {
    let mut last = None;
    let mut misses = 0;
    for _ in 0..MAX_MEASUREMENTS {
        match (measure()?, &last) {
            (Verdict::Met, _) => return Ok(Verdict::Met),
            // An inconclusive measurement does not undo a miss.
            (Verdict::Inconclusive(_), Some(Verdict::Missed(_))) => {}
            (verdict, _) => {
                misses += usize::from(matches!(verdict, Verdict::Missed(_)));
                last = Some(verdict);
            }
        }
        if misses >= MAX_MISSES {
            break;
        }
    }
    last.ok_or_else(|| "nothing was measured".into())
}
