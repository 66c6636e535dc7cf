//! What a run says: a line for each document that programs or people want one of, progress on a terminal, and the
//! summary at the end.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::documents::Place;
use super::json_line::json_line;
use super::run::End;
use super::sender::{Fate, Receipt};
use crate::domain::duration;
use crate::process::harmless::harmless;
use crate::process::output::{self, is_rich};

/// How often the bar is drawn, at least.
const REFRESH: Duration = Duration::from_millis(200);

/// What standard output gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Nothing.
    None,
    /// The id of each event.
    Ids,
    /// The id of each event, and its deliveries.
    Deliveries,
    /// One JSON object a line.
    Json,
}

/// Counts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken in this run.
    pub taken: u64,
    /// Known by their keys from before.
    pub repeated: u64,
    /// Refused.
    pub refused: u64,
    /// Read, but not sent.
    pub not_sent: u64,
}

/// Everything that a run says.
pub struct Report {
    lines: Lines,
    /// Documents are lines of a file, so lines are named.
    by_line: bool,
    /// A further run would have other keys, and send everything again.
    has_fresh_keys: bool,
    bar: Option<ProgressBar>,
    shown: Arc<Shown>,
    began: Instant,
    state: Mutex<State>,
}

/// What the bar shows besides its length.
#[derive(Default)]
struct Shown {
    sent: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct State {
    counts: Counts,
    /// Nobody reads standard output any more, or it cannot be written.
    mute: bool,
    failure: Option<String>,
}

impl Report {
    /// A report. `length` of the input in bytes, where that is known.
    pub fn new(lines: Lines, by_line: bool, length: Option<u64>) -> Self {
        let (shown, began) = (Arc::new(Shown::default()), Instant::now());
        let bar = (by_line && is_rich(&io::stderr())).then(|| bar(length, Arc::clone(&shown), began));
        Self { lines, by_line, has_fresh_keys: false, bar, shown, began, state: Mutex::default() }
    }

    /// The same for a run whose keys are new each time.
    pub fn with_fresh_keys(self, has_fresh_keys: bool) -> Self {
        Self { has_fresh_keys, ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says a line to people, beside the bar.
    pub fn say(&self, line: &str) {
        self.beside_the_bar(|| output::log_line(format!("{}\n", harmless(line)).as_bytes()));
    }

    fn beside_the_bar<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// What became of a document.
    pub fn settle(&self, place: Place, fate: &Fate) {
        let mut state = self.state();
        match fate {
            Fate::Taken { receipt, .. } if receipt.duplicate => state.counts.repeated += 1,
            Fate::Taken { .. } => state.counts.taken += 1,
            Fate::Refused { .. } | Fate::TooLong => state.counts.refused += 1,
            Fate::NotSent => state.counts.not_sent += 1,
        }
        let line = if state.mute { String::new() } else { self.line(place, fate) };
        if !line.is_empty()
            && let Err(error) = self.beside_the_bar(|| write(&line))
        {
            // The documents matter more than who reads about them, so the run goes on.
            state.mute = true;
            if error.kind() != ErrorKind::BrokenPipe {
                state.failure = Some(format!("cannot write to standard output: {error}"));
            }
        }
        drop(state);
        self.shown.sent.fetch_add(u64::from(*fate != Fate::NotSent), Ordering::Relaxed);
        let is_refused = matches!(fate, Fate::Refused { .. } | Fate::TooLong);
        self.shown.refused.fetch_add(u64::from(is_refused), Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(place.bytes);
        }
        match fate {
            Fate::Refused { why, .. } => self.say(&format!("{} refused: {why}", self.name(place))),
            Fate::TooLong => {
                self.say(&format!("{} refused: it is longer than any server takes, 64 MiB", self.name(place)))
            }
            Fate::Taken { .. } | Fate::NotSent => {}
        }
    }

    fn name(&self, place: Place) -> Cow<'static, str> {
        if self.by_line { format!("line {}", place.line).into() } else { "the document was".into() }
    }

    fn line(&self, place: Place, fate: &Fate) -> String {
        match (self.lines, fate) {
            (Lines::None, _) | (_, Fate::NotSent) => String::new(),
            (Lines::Json, fate) => json_line(place, fate),
            (Lines::Ids, Fate::Taken { receipt, .. }) => format!("{}\n", harmless(&receipt.event_id)),
            (Lines::Deliveries, Fate::Taken { receipt, .. }) => self.deliveries(place, receipt),
            (Lines::Ids | Lines::Deliveries, Fate::Refused { .. } | Fate::TooLong) => String::new(),
        }
    }

    /// The event, and below it a line for each destination.
    fn deliveries(&self, place: Place, receipt: &Receipt) -> String {
        let mut text = harmless(&receipt.event_id);
        if self.by_line {
            text.push_str(&format!("  line {}", place.line));
        }
        if receipt.deliveries.is_empty() {
            text.push_str("  no destination gets it");
        }
        text.push('\n');
        for delivery in &receipt.deliveries {
            let field = |name: &str| delivery[name].as_str().map(harmless);
            let mut parts = vec![field("destination_id").unwrap_or_default(), field("state").unwrap_or_default()];
            parts.extend(delivery["status_code"].as_u64().map(|status| status.to_string()));
            parts.extend(field("error"));
            parts.extend(field("next_attempt_at").map(|at| format!("next attempt {at}")));
            text.push_str(&format!("  {}\n", parts.join("  ")));
        }
        for skipped in &receipt.skipped {
            let field = |name: &str| skipped[name].as_str().map(harmless).unwrap_or_default();
            text.push_str(&format!("  {}  skipped  {}\n", field("destination_id"), field("reason")));
        }
        text
    }

    /// Ends the progress, says the summary and what to do next. `end` says why not all of the input was read and tried.
    /// Returns the counts, and why standard output could not be written.
    pub fn finish(&self, end: Option<&End>) -> (Counts, Option<String>) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let state = self.state();
        let (counts, failure) = (state.counts, state.failure.clone());
        drop(state);
        let Counts { taken, repeated, refused, .. } = counts;
        let took = time(self.began.elapsed());
        let rest = if end.is_none() { "" } else { "; the rest was not sent" };
        self.say(&format!("{taken} taken, {repeated} repeated, {refused} refused in {took}{rest}"));
        if repeated > 0 {
            self.say("repeated: the server had them already, and does not send them again (--again does)");
        }
        // Where nothing was taken, the reason must be put right first.
        if end.is_some() && (taken + repeated > 0 || end == Some(&End::Interrupted)) {
            self.say(if self.has_fresh_keys {
                "with --again, the same command would send all of it again; send the rest from a file of its own"
            } else {
                "run the same command again to send the rest; nothing is taken twice within 24 hours"
            });
        } else if end.is_none() && refused > 0 && self.by_line {
            self.say(
                "to send the refused lines, correct them in a file of their own; a changed file is new, and all of it \
                 would be taken again (see --key)",
            );
        }
        (counts, failure)
    }
}

/// A bar of the input's bytes. Without a length, only counts.
fn bar(length: Option<u64>, shown: Arc<Shown>, began: Instant) -> ProgressBar {
    let template = match length {
        Some(_) => "{bar:30} {percent:>3} % {counts}, {eta} left",
        None => "{spinner} {counts}",
    };
    let counts = move |_: &ProgressState, out: &mut dyn fmt::Write| {
        let (sent, refused) = (shown.sent.load(Ordering::Relaxed), shown.refused.load(Ordering::Relaxed));
        let refused = if refused > 0 { format!(", {refused} refused") } else { String::new() };
        #[expect(clippy::cast_precision_loss, reason = "shown without a figure behind the point")]
        let rate = sent as f64 / began.elapsed().as_secs_f64().max(0.001);
        let _ = write!(out, "{sent} documents{refused}, {rate:.0}/s");
    };
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.with_key("counts", counts));
    bar.enable_steady_tick(REFRESH);
    bar
}

/// A time for people.
fn time(took: Duration) -> String {
    match took.as_secs() {
        0 => format!("{}ms", took.as_millis()),
        1..60 => format!("{:.1}s", took.as_secs_f64()),
        seconds => duration::format(Duration::from_secs(seconds)),
    }
}

fn write(line: &str) -> io::Result<()> {
    let mut stream = io::stdout().lock();
    stream.write_all(line.as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLACE: Place = Place { line: 7, bytes: 3 };

    fn taken() -> Fate {
        let deliveries = vec![
            json!({"destination_id": "dst_1", "state": "succeeded", "status_code": 200, "error": null}),
            json!({"destination_id": "dst_2", "state": "pending", "error": "connect", "next_attempt_at": "2026-01-01"}),
        ];
        let skipped = vec![json!({"destination_id": "dst_3", "reason": "filter"})];
        let receipt = Receipt { event_id: "evt_1".to_owned(), duplicate: false, deliveries, skipped };
        Fate::Taken { status: 202, receipt }
    }

    #[test]
    fn times_are_short() {
        let millis = [31, 999, 3_273, 59_949, 60_000, 90_500];
        let times = millis.map(|millis| time(Duration::from_millis(millis)));
        assert_eq!(times, ["31ms", "999ms", "3.3s", "59.9s", "1m", "90s"]);
    }

    #[test]
    fn people_see_what_became_of_each_delivery() {
        let text = Report::new(Lines::Deliveries, true, None).line(PLACE, &taken());
        let lines = [
            "evt_1  line 7",
            "  dst_1  succeeded  200",
            "  dst_2  pending  connect  next attempt 2026-01-01",
            "  dst_3  skipped  filter",
            "",
        ];
        assert_eq!(text, lines.join("\n"));
        assert_eq!(Report::new(Lines::Ids, false, None).line(PLACE, &taken()), "evt_1\n");
        assert_eq!(Report::new(Lines::None, true, None).line(PLACE, &taken()), "");
    }
}
