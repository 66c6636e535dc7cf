//! What the worst documents cost a filter, and what mistaken and hostile templates cost: processor time and memory, in
//! this process and without a server. What honest filters and templates cost a server is a section of `fanout`.
//!
//! ```text
//! cargo bench --bench shaping                           # filters, then templates; about two minutes
//! cargo bench --bench shaping -- filters                # one of the two
//! cargo bench --bench shaping -- templates 'range('     # each template with this part, beside each document
//! ```

use std::process::ExitCode;

#[path = "../support/mod.rs"]
mod support;

mod filters;
mod measuring;
mod templates;

use support::report::Report;
use support::{Result, system};

fn main() -> ExitCode {
    support::run("shaping", |_, _| None, measure)
}

fn measure(args: &[String]) -> Result<bool> {
    let args: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "--bench").collect();
    let mut report = Report::default();
    report.begin();
    match args[..] {
        [] => {
            filters::measure(&mut report);
            templates::measure(&mut report);
        }
        ["filters"] => filters::measure(&mut report),
        ["templates"] => templates::measure(&mut report),
        ["templates", part] => templates::show(part),
        _ => return Err("knows: filters, templates, templates PART".into()),
    }
    report.end(&system::target_folder().join("shaping.json"))
}
