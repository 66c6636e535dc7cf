//! The measurements, one after the other on one file.

use std::thread;
use std::time::{Duration, Instant};

use super::support::load::queue;
use super::support::report::Report;
use super::support::server::Account;
use super::support::stage::{self, Stage, quantile_ms};
use super::support::{Result, http::Client};
use super::{Options, lists};

const MIB: f64 = 1_048_576.0;

/// Maximum wait for something to arrive or to disappear.
const WAIT_TIMEOUT: Duration = Duration::from_secs(900);

/// Length of each measurement of the healthy destination.
const LENGTH: Duration = Duration::from_secs(8);

pub fn all(options: &Options, report: &mut Report) -> Result<()> {
    let stage_options = stage::Options { binary: options.binary.clone(), length: LENGTH };
    let mut stage = Stage::start(&stage_options, &[], "ok")?;
    let backlog = stage.sinks.open("hang")?;
    let big = stage.server.accounts(1, 1, |_| backlog.url(0))?;
    let healthy = stage.healthy_account()?;

    let began = Instant::now();
    queue(stage.server.address, &big, options.deliveries)?;
    println!("{} deliveries queued in {:.0} s", options.deliveries, began.elapsed().as_secs_f64());
    report.at_most("memory with all of them pending", stage.server.resident()? as f64 / MIB, "MiB", 100.0);

    starting(&mut stage, backlog, &big, report)?;
    lists::measure(&mut stage, &big[0], &healthy[0], report)?;
    deleting(&mut stage, &big[0], &healthy, options.deliveries, report)
}

/// Kills the server while everything is pending. Measures the time until the first delivery arrives.
fn starting(
    stage: &mut Stage,
    backlog: super::support::sinks::Gate,
    big: &[Account],
    report: &mut Report,
) -> Result<()> {
    let before = stage.sinks.count(backlog)?.0;
    stage.sinks.switch(backlog, "ok")?;
    let began = Instant::now();
    let listening = stage.server.crash_and_restart()?;
    wait_until("the first delivery", || Ok(stage.sinks.count(backlog)?.0 > before))?;
    report.at_most("start to the first delivery", began.elapsed().as_secs_f64() * 1e3, "ms", 2_000.0);
    report.take("start to listening", listening.as_secs_f64() * 1e3, "ms");
    // Some are delivered, so that lists have more than one state.
    thread::sleep(Duration::from_secs(3));
    report.at_most("memory while they are delivered", stage.server.resident()? as f64 / MIB, "MiB", 100.0);
    stage.sinks.switch(backlog, "fail")?;
    thread::sleep(Duration::from_secs(1));
    let destinations = stage.server.destinations(big)?;
    stage.server.steer(&destinations, "pause")
}

/// Deletes the account while another destination gets events.
fn deleting(
    stage: &mut Stage,
    big: &Account,
    healthy: &[Account],
    deliveries: usize,
    report: &mut Report,
) -> Result<()> {
    let full = stage.server.file_bytes()? as f64 / MIB;
    let alone = quantile_ms(&stage.measure(healthy, LENGTH)?.delivered_us, 0.99);
    report.take("p99 of another destination before the deletion", alone, "ms");
    let (address, path) = (stage.server.address, format!("/v1/accounts/{}", big.id));
    let began = Instant::now();
    let answer = Client::new(address).delete(&path)?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    if answer.status != 204 {
        return Err(format!("DELETE answered {}", answer.status).into());
    }
    report.at_most("answer to the deletion of their account", took, "ms", 100.0);
    let tail = stage.measure(healthy, LENGTH)?;
    let (p99, max) = (quantile_ms(&tail.delivered_us, 0.99), quantile_ms(&tail.delivered_us, 1.0));
    // Below a millisecond the noise of a busy machine is larger than the server's latency.
    report.at_most("p99 of another destination while it goes", p99, "ms", 2.0 * alone.max(1.0));
    report.take("maximum of it", max, "ms");
    if tail.missing + tail.refused > 0 {
        return Err(format!("{} not delivered, {} not taken", tail.missing, tail.refused).into());
    }
    // What stays: the rows of the healthy destination's events, and a few free pages that are not worth giving back.
    let stays = full * (tail.delivered_us.len() * 3) as f64 / deliveries as f64 + 4.0;
    wait_until("the space is given back", || Ok((stage.server.file_bytes()? as f64 / MIB) < stays))?;
    report.take("rows gone and space given back after", began.elapsed().as_secs_f64(), "s");
    report.take("files before", full, "MiB");
    report.take("files after", stage.server.file_bytes()? as f64 / MIB, "MiB");
    Ok(())
}

fn wait_until(what: &str, mut question: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + WAIT_TIMEOUT;
    while !question()? {
        if Instant::now() > end {
            return Err(format!("gave up waiting until {what}").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
