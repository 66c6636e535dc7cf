//! Verdicts, the table, and the file of figures.

use std::path::Path;

use serde_json::{Value, json};

use super::scenarios::{Fact, Outcome, Scenario, Target};
use super::support::Result;
use super::support::stage::{Tail, quantile_ms};
use super::support::verdict::{Bound, Verdict};

/// The p99 beside bad destinations may be this multiple of the p99 alone,
const RATIO: f64 = 1.5;

/// or this many milliseconds more, whichever is larger.
const MARGIN_MS: f64 = 5.0;

/// Maximum latency at an onset and after a restart, in milliseconds.
const BUMP_MS: f64 = 300.0;

/// One measurement of a scenario.
struct Row {
    scenario: &'static Scenario,
    outcome: Outcome,
    verdict: Verdict,
}

/// All measurements of a run.
#[derive(Default)]
pub struct Report {
    alone: Option<Tail>,
    rows: Vec<Row>,
    settled: Vec<(&'static str, Verdict)>,
}

impl Report {
    /// Prints the head of the table.
    pub fn begin(&self) {
        println!("latencies in ms, from the moment an event is sent to its arrival at the healthy destination");
        println!(
            "{:<43} {:>7} {:>7} {:>7} {:>6} {:>7} {:>6} {:>4}  verdict",
            "beside", "p50", "p99", "max", "ratio", "answer", "late", "cpu"
        );
    }

    /// Adds a measurement of a scenario and prints its line.
    pub fn take(&mut self, scenario: &'static Scenario, outcome: Outcome) -> Verdict {
        if scenario.target == Target::Baseline
            && let Some(tail) = outcome.tail.clone()
        {
            // Of the baseline's measurements the quieter one counts: the server did not cause the noise of the other.
            let p99 = quantile_ms(&tail.delivered_us, 0.99);
            if self.alone.as_ref().is_none_or(|before| p99 < quantile_ms(&before.delivered_us, 0.99)) {
                self.alone = Some(tail);
            }
        }
        let verdict = self.verdict(scenario.target, &outcome);
        let row = Row { scenario, outcome, verdict: verdict.clone() };
        self.line(&row);
        self.rows.push(row);
        verdict
    }

    /// Adds the final verdict on a scenario.
    pub fn settled(&mut self, scenario: &'static Scenario, verdict: Verdict) {
        self.settled.push((scenario.name, verdict));
    }

    fn alone_p99(&self) -> f64 {
        self.alone.as_ref().map_or(f64::NAN, |tail| quantile_ms(&tail.delivered_us, 0.99))
    }

    fn verdict(&self, target: Target, outcome: &Outcome) -> Verdict {
        let (mut bounds, mut missed) = (Vec::new(), Vec::new());
        if let Some(tail) = &outcome.tail {
            let near = (self.alone_p99() * RATIO).max(self.alone_p99() + MARGIN_MS);
            let bound = match target {
                Target::Tail => Some(("p99", 0.99, near)),
                Target::Within(most) => Some(("p99", 0.99, most)),
                Target::Bump => Some(("max", 1.0, BUMP_MS)),
                Target::Baseline | Target::Facts => None,
            };
            bounds.extend(bound.map(|(name, share, most_ms)| Bound {
                name,
                value_ms: quantile_ms(&tail.delivered_us, share),
                late_ms: quantile_ms(&tail.late_us, share),
                most_ms,
            }));
            if tail.missing > 0 {
                missed.push(format!("{} not delivered", tail.missing));
            }
            if tail.refused > 0 {
                missed.push(format!("{} not taken", tail.refused));
            }
        }
        for fact in &outcome.facts {
            if fact.within.is_some_and(|(least, most)| fact.value < least || fact.value > most) {
                missed.push(fact.name.to_owned());
            }
        }
        if outcome.errors > 0 {
            missed.push(format!("{} errors logged", outcome.errors));
        }
        Verdict::of(&bounds, missed)
    }

    fn line(&self, row: &Row) {
        let verdict = match (row.scenario.target, &row.verdict) {
            (Target::Baseline, Verdict::Met) => "-".to_owned(),
            (_, Verdict::Met) => "met".to_owned(),
            (_, Verdict::Missed(what)) => format!("MISSED: {}", what.join(", ")),
            (_, Verdict::Inconclusive(why)) => format!("inconclusive: {why}"),
        };
        let what = row.scenario.what;
        match &row.outcome.tail {
            Some(tail) => {
                let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| quantile_ms(&tail.delivered_us, share));
                let (ratio, answer) = (p99 / self.alone_p99(), quantile_ms(&tail.answered_us, 0.99));
                let late = quantile_ms(&tail.late_us, 1.0);
                let cpu = tail.processor * 100.0;
                println!(
                    "{what:<43} {p50:>7.2} {p99:>7.2} {max:>7.1} {ratio:>6.2} {answer:>7.2} {late:>6.1} {cpu:>4.0}  {verdict}"
                );
            }
            None => println!("{what:<92}  {verdict}"),
        }
        for Fact { name, value, .. } in &row.outcome.facts {
            println!(
                "    {name}: {}",
                if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
            );
        }
    }

    /// Prints the end of the table and writes all figures to `path`. Returns whether no scenario missed its target.
    pub fn end(&self, path: &Path) -> Result<bool> {
        let of = |word: &str| -> Vec<&str> {
            self.settled.iter().filter(|(_, verdict)| verdict.word() == word).map(|(name, _)| *name).collect()
        };
        let (missed, inconclusive) = (of("missed"), of("inconclusive"));
        let faulty = self.rows.iter().any(|row| row.scenario.target == Target::Baseline && row.verdict != Verdict::Met);
        println!(
            "answer: p99 of the server's answer to the sender; late: the load behind its schedule at worst; cpu: of one processor, in %"
        );
        for (word, names) in [("missed", &missed), ("inconclusive, the machine was too busy", &inconclusive)] {
            if !names.is_empty() {
                println!("{word}: {}", names.join(", "));
            }
        }
        let rows: Vec<Value> = self.rows.iter().map(|row| self.json(row)).collect();
        let none_missed = missed.is_empty() && !faulty;
        let all = json!({
            "alone_p99_ms": self.alone_p99(),
            "all_met": none_missed && inconclusive.is_empty(),
            "missed": missed,
            "inconclusive": inconclusive,
            "rows": rows,
        });
        std::fs::write(path, serde_json::to_vec_pretty(&all)?)?;
        println!("figures: {}", path.file_name().unwrap_or_default().display());
        Ok(none_missed)
    }

    fn json(&self, row: &Row) -> Value {
        let latencies = row.outcome.tail.as_ref().map(|tail| {
            let of = |values: &[u64], share| quantile_ms(values, share);
            json!({
                "events": tail.delivered_us.len(),
                "p50_ms": of(&tail.delivered_us, 0.5),
                "p99_ms": of(&tail.delivered_us, 0.99),
                "max_ms": of(&tail.delivered_us, 1.0),
                "ratio_to_alone": of(&tail.delivered_us, 0.99) / self.alone_p99(),
                "answer_p99_ms": of(&tail.answered_us, 0.99),
                "load_late_p99_ms": of(&tail.late_us, 0.99),
                "load_late_ms": of(&tail.late_us, 1.0),
                "worst_at_and_ms": tail.worst_us.iter().map(|(at, took)| [*at, *took].map(|us| us as f64 / 1e3)).collect::<Vec<_>>(),
                "server_cpu": tail.processor,
                "missing": tail.missing,
                "refused": tail.refused,
            })
        });
        let facts: serde_json::Map<String, Value> =
            row.outcome.facts.iter().map(|fact| (fact.name.to_owned(), json!(fact.value))).collect();
        json!({
            "scenario": row.scenario.name,
            "beside": row.scenario.what,
            "latencies": latencies,
            "facts": facts,
            "verdict": row.verdict.word(),
            "missed": match &row.verdict {
                Verdict::Met => Vec::new(),
                Verdict::Missed(what) => what.clone(),
                Verdict::Inconclusive(why) => vec![why.clone()],
            },
        })
    }
}
