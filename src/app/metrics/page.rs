//! The Prometheus text format 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Which metrics there
//! are does not belong here.

use std::fmt::Write as _;

use crate::domain::histogram::HistogramSnapshot;

/// What a metric is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts of values by size.
    Histogram,
}

/// The text so far. Writing to a string cannot fail.
#[derive(Default)]
pub struct Page(String);

impl Page {
    /// A metric of one value.
    pub fn one(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.head(name, kind, help);
        self.value(name, value);
    }

    /// A metric with a value for each word of one label. The words must be few, and known before anything is counted.
    pub fn each<'a>(
        &mut self,
        (name, label): (&str, &str),
        kind: Kind,
        help: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.head(name, kind, help);
        for (word, value) in values {
            let _ = writeln!(self.0, "{name}{{{label}=\"{word}\"}} {value}");
        }
    }

    /// A histogram. `scale` is how many of its values are one unit of the metric.
    pub fn histogram(&mut self, name: &str, help: &str, scale: f64, counts: &HistogramSnapshot) {
        self.head(name, Kind::Histogram, help);
        for (bound, count) in &counts.up_to {
            let bound = *bound as f64 / scale;
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(self.0, "{name}_bucket{{le=\"+Inf\"}} {}", counts.count);
        self.value(&format!("{name}_sum"), counts.sum as f64 / scale);
        self.value(&format!("{name}_count"), counts.count as f64);
    }

    /// The whole text.
    pub fn text(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, name: &str, value: f64) {
        let _ = writeln!(self.0, "{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_cumulative_and_in_the_metric_s_unit() {
        let mut page = Page::default();
        let counts = HistogramSnapshot { up_to: vec![(250, 1), (1_000_000, 3)], count: 4, sum: 3_000_500 };
        page.histogram("a_seconds", "Help.", 1e6, &counts);
        assert_eq!(
            page.text(),
            "# HELP a_seconds Help.\n# TYPE a_seconds histogram\na_seconds_bucket{le=\"0.00025\"} 1\n\
             a_seconds_bucket{le=\"1\"} 3\na_seconds_bucket{le=\"+Inf\"} 4\na_seconds_sum 3.0005\na_seconds_count 4\n"
        );
    }
}
