//! Processor time of a server that gets no events, with different contents of its file.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::Options;
use super::support::Result;
use super::support::report::Report;
use super::support::server::Server;

/// Length of the measurement.
const LENGTH: Duration = Duration::from_secs(30);

/// Wait after the start, so that work that is done once is finished.
const SETTLED: Duration = Duration::from_secs(15);

/// Maximum share of one processor, in percent.
const MAX_PERCENT: f64 = 0.3;

pub fn measure(options: &Options, report: &mut Report) -> Result<()> {
    one(options, report, "an empty file", |_| Ok(()))?;
    one(options, report, "4,300,000 hourly counts", |file| {
        destinations(file, 10_000, false)?;
        // 430 hours; the last one was a day ago.
        file.execute_batch(
            "WITH RECURSIVE hour(n) AS (VALUES (25) UNION ALL SELECT n + 1 FROM hour WHERE n < 454)
             INSERT INTO tally SELECT unixepoch() / 3600 * 3600000 - n * 3600000, key, 1, 1, 0, 0, 1
             FROM destination, hour ORDER BY 2, 1",
        )?;
        Ok(())
    })?;
    one(options, report, "1,000,000 old events pending for a paused destination", |file| {
        destinations(file, 1, true)?;
        file.execute_batch(
            "WITH RECURSIVE number(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM number WHERE n < 999999)
             INSERT INTO event SELECT ((unixepoch() - 86400 * 60) * 1000 + n << 21), 1,
             (unixepoch() - 86400 * 60) * 1000 + n, NULL, zeroblob(300) FROM number;
             INSERT INTO delivery (id, event_id, destination_key, state, step, attempt_count, next_attempt_at, first_body)
             SELECT id + 1, id, 1, 0, 0, 0, 0, zeroblob(16) FROM event",
        )?;
        Ok(())
    })
}

fn destinations(file: &Connection, count: usize, paused: bool) -> Result<()> {
    file.execute_batch(
        "INSERT INTO account (key, account_id, email, email_folded, name, token_digest, token_hint, created_at, updated_at)
         VALUES (1, 'rest', 'rest@example.com', 'rest@example.com', 'Rest', zeroblob(32), 'rest', 0, 0)",
    )?;
    file.execute(
        "WITH RECURSIVE number(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM number WHERE n < ?1)
         INSERT INTO destination (key, destination_id, account_key, url, http_method, headers, secret, paused_reason,
         paused_at, created_at, updated_at)
         SELECT n, 'dst_' || n, 1, 'http://127.0.0.1:9/', 'POST', '{}', zeroblob(32), ?2, iif(?2 IS NULL, NULL, 0), 0, 0
         FROM number",
        (count, paused.then_some("manual")),
    )?;
    Ok(())
}

/// Measures with a file into which `fill` writes rows while no server runs.
fn one(options: &Options, report: &mut Report, what: &str, fill: impl FnOnce(&Connection) -> Result<()>) -> Result<()> {
    let mut server = Server::start(&options.binary, &["--retention", "30d"])?;
    server.stop_and_do(|path| {
        let file = Connection::open(path)?;
        file.execute_batch("PRAGMA synchronous = OFF; BEGIN")?;
        fill(&file)?;
        file.execute_batch("COMMIT")?;
        Ok(())
    })?;
    thread::sleep(SETTLED);
    let (began, before) = (Instant::now(), server.processor_time());
    thread::sleep(LENGTH);
    let share = (server.processor_time() - before) / began.elapsed().as_secs_f64() * 100.0;
    report.at_most(format!("at rest with {what}"), share, "% processor", MAX_PERCENT);
    Ok(())
}
