//! The text of `/metrics`, in the Prometheus text format 0.0.4 and in base units. Only the text is made here; the
//! engine and the store count.

use std::fmt::Write as _;

use crate::delivery::{BUCKETS, EngineMetricsSnapshot};
use crate::domain::instance::InstanceName;
use crate::store::WriteMetricsSnapshot;

/// All metrics as text.
pub fn render(
    engine: &EngineMetricsSnapshot,
    writes: &WriteMetricsSnapshot,
    instance: Option<&InstanceName>,
) -> String {
    let mut page = Page(String::new());
    page.head("data_pusher_info", "gauge", "Always 1; the labels say which program this is.");
    let (version, instance) = (env!("CARGO_PKG_VERSION"), instance.map_or("", InstanceName::as_str));
    // Neither has a character that a label must escape.
    page.value(&format!("data_pusher_info{{version=\"{version}\",instance=\"{instance}\"}}"), 1.0);
    page.one("data_pusher_deliveries_pending", "gauge", "Deliveries that are pending.", writes.pending.max(0) as f64);
    page.head("data_pusher_attempts_total", "counter", "Attempts, by what came of them.");
    page.labelled("data_pusher_attempts_total", "outcome", "success", engine.succeeded as f64);
    for (class, count) in &engine.failed {
        page.labelled("data_pusher_attempts_total", "outcome", class.as_str(), *count as f64);
    }
    let count = engine.succeeded + engine.failed.iter().map(|(_, count)| count).sum::<u64>();
    let name = "data_pusher_attempt_duration_seconds";
    page.head(name, "histogram", "Duration of attempts.");
    for (bound, below) in BUCKETS.iter().zip(&engine.buckets) {
        page.labelled(&format!("{name}_bucket"), "le", &bound.to_string(), *below as f64);
    }
    page.labelled(&format!("{name}_bucket"), "le", "+Inf", count as f64);
    page.value(&format!("{name}_sum"), engine.duration.as_secs_f64());
    page.value(&format!("{name}_count"), count as f64);
    page.one("data_pusher_attempts_in_flight", "gauge", "Attempts under way.", engine.flying as f64);
    page.one("data_pusher_destinations", "gauge", "Destinations.", engine.lanes as f64);
    page.one("data_pusher_deliveries_in_memory", "gauge", "Deliveries in memory.", engine.in_hand as f64);
    page.one("data_pusher_commits_total", "counter", "Commits on disk.", writes.commits as f64);
    page.one("data_pusher_commit_failures_total", "counter", "Commits that failed.", writes.failed_commits as f64);
    page.one("data_pusher_writes_total", "counter", "Steps in those commits.", writes.steps as f64);
    let spent = writes.commit_time.as_secs_f64();
    page.one("data_pusher_commit_seconds_total", "counter", "Time spent in transactions.", spent);
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, name: &str, value: f64) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn labelled(&mut self, name: &str, label: &str, text: &str, value: f64) {
        let _ = writeln!(self.0, "{name}{{{label}=\"{text}\"}} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.value(name, value);
    }
}
