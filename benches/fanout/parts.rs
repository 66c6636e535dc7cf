//! The processor time of an event, compared with the sum of its parts measured alone. The parts are: an echo of its
//! body, a commit of its rows, and a request by ureq. The rest is the price of durable fan-out itself: checks, queues,
//! and passing work between threads.

use super::ceilings;
use super::sections::Run;
use super::support::Result;
use super::support::report::{Figure, Target};

/// Measures the whole section.
pub fn measure(run: &mut Run) -> Result<()> {
    let (echo, ureq) = (run.echo()?, run.ureq()?);
    let commit = ceilings::group_commit(true, run.options.length)?;
    let whole = run.sustained()?;
    let sum = echo.processor_us + commit.processor_us + ureq.processor_us;
    run.report.take("processor time of an echo", echo.processor_us, "µs");
    run.report.take("  of a commit's share", commit.processor_us, "µs");
    run.report.take("  of a request by ureq", ureq.processor_us, "µs");
    run.report.judge(Figure {
        name: "sum of the parts of an event".to_owned(),
        value: sum,
        unit: "µs",
        of: Some(("an event", whole.processor_us)),
        target: Target::AtLeast(0.8),
    });
    Ok(())
}
