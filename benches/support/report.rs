//! Figures, their targets, the table, and the file.

use std::path::Path;

use serde_json::{Value, json};

use super::Result;

/// The target of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// No target.
    None,
    /// At least this value.
    AtLeast(f64),
    /// At most this value.
    AtMost(f64),
}

impl Target {
    fn is_met(self, by: f64) -> bool {
        match self {
            Self::None => true,
            Self::AtLeast(least) => by >= least,
            Self::AtMost(most) => by <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::AtLeast(least) => format!("≥ {}", number(least)),
            Self::AtMost(most) => format!("≤ {}", number(most)),
        }
    }
}

/// A figure.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its name in the table and in the file.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Unit of the value.
    pub unit: &'static str,
    /// The figure by which the value is divided: its name and its value.
    pub of: Option<(&'static str, f64)>,
    /// Target of that ratio, or of the value if there is no ratio.
    pub target: Target,
}

/// All figures of a run.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
    faults: Vec<String>,
}

impl Figure {
    fn judged(&self) -> f64 {
        self.of.map_or(self.value, |(_, of)| self.value / of)
    }

    fn verdict(&self) -> &'static str {
        match self.target {
            Target::None => "",
            target if target.is_met(self.judged()) => "met",
            _ => "MISSED",
        }
    }
}

impl Report {
    /// Prints the head of the table.
    pub fn begin(&self) {
        println!("{:<52} {:>10} {:<13} {:<30} {:>9}  verdict", "figure", "value", "", "ratio", "target");
    }

    /// Adds a figure without a target and prints its line.
    pub fn take(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.judge(Figure { name: name.into(), value, unit, of: None, target: Target::None });
    }

    /// Adds a figure with the target "at most `most`".
    pub fn at_most(&mut self, name: impl Into<String>, value: f64, unit: &'static str, most: f64) {
        self.judge(Figure { name: name.into(), value, unit, of: None, target: Target::AtMost(most) });
    }

    /// Adds a figure and prints its line.
    pub fn judge(&mut self, figure: Figure) {
        let ratio = figure.of.map_or(String::new(), |(what, of)| format!("{:.2} of {what}", figure.value / of));
        println!(
            "{:<52} {:>10} {:<13} {:<30} {:>9}  {}",
            figure.name,
            number(figure.value),
            figure.unit,
            ratio,
            figure.target.text(),
            figure.verdict()
        );
        self.figures.push(figure);
    }

    /// Adds a fault: something that must never happen.
    pub fn fault(&mut self, what: String) {
        println!("FAULT: {what}");
        self.faults.push(what);
    }

    /// Writes all figures to `path`. Returns whether there was no fault and every target was met.
    pub fn end(&self, path: &Path) -> Result<bool> {
        let missed: Vec<&str> =
            self.figures.iter().filter(|figure| figure.verdict() == "MISSED").map(|figure| &*figure.name).collect();
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        let all = json!({ "figures": figures, "missed": missed, "faults": self.faults });
        std::fs::write(path, serde_json::to_vec_pretty(&all)?)?;
        match missed.len() {
            0 => println!("every target is met"),
            count => println!("{count} missed"),
        }
        println!("figures: {}", path.file_name().unwrap_or_default().display());
        Ok(missed.is_empty() && self.faults.is_empty())
    }
}

impl Figure {
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "of": self.of.map(|(what, _)| what),
            "ratio": self.of.map(|(_, of)| self.value / of),
            "target": self.target.text(),
            "verdict": self.verdict(),
        })
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
