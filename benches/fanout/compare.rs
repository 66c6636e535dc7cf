//! Two loads against each other. A machine's speed may change within seconds, so they take turns, and the pair with the
//! middle ratio counts.

use super::sections::{Load, Run, Sustained};
use super::support::Result;
use super::support::report::{Figure, Target};

/// Pairs that are measured. Each measurement has half the usual length.
const PAIRS: usize = 3;

/// What is compared.
pub struct Comparison<'a> {
    /// The load that the other is compared with, and the name of its figure.
    pub plain: (&'a str, Load),
    /// The load in question, and the name of its figure.
    pub other: (&'a str, Load),
    /// What the first load is called behind a ratio.
    pub of: &'static str,
    /// The least ratio of their rates.
    pub least: f64,
    /// What is counted: the unit, and how many there are for an event.
    pub unit: (&'static str, f64),
}

/// Measures both loads and adds their figures.
pub fn compare(run: &mut Run, comparison: &Comparison<'_>) -> Result<()> {
    let Comparison { plain, other, of, least, unit: (unit, each) } = comparison;
    let length = run.options.length;
    run.options.length = length / 2;
    let mut pairs: Vec<(Sustained, Sustained)> = Vec::new();
    for turn in 0..PAIRS {
        pairs.push(if turn % 2 == 0 {
            let first = run.sustain(plain.0, plain.1)?;
            (first, run.sustain(other.0, other.1)?)
        } else {
            let second = run.sustain(other.0, other.1)?;
            (run.sustain(plain.0, plain.1)?, second)
        });
    }
    run.options.length = length;
    pairs.sort_by(|one, two| (one.1.rate / one.0.rate).total_cmp(&(two.1.rate / two.0.rate)));
    let (plain_found, found) = &pairs[PAIRS / 2];
    run.report.take(plain.0, plain_found.rate * each, unit);
    run.report.judge(Figure {
        name: other.0.to_owned(),
        value: found.rate * each,
        unit,
        of: Some((of, plain_found.rate * each)),
        target: Target::AtLeast(*least),
    });
    run.report.take("  server's processor time an event", found.processor_us, "µs");
    run.report.take(format!("  the same {of}"), plain_found.processor_us, "µs");
    Ok(())
}
