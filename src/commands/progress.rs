//! Shows how far long work on a file has come: a bar on a terminal, and nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::process::output;
use crate::store::upkeep::Step;

/// Times a second that the bar is drawn.
const DRAWN_PER_SECOND: u8 = 10;

/// Time between two looks at the clock while nothing says how far the work is.
const TICK: Duration = Duration::from_millis(200);

/// A bar on standard error. It is removed when this value is dropped.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar, if it is not `hidden` and standard error is a terminal that can show one.
    pub fn new(hidden: bool) -> Self {
        let target = if hidden || !output::is_rich(&std::io::stderr()) {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(DRAWN_PER_SECOND)
        };
        let bar = Self(ProgressBar::with_draw_target(None, target));
        bar.style("{msg}");
        bar
    }

    /// Shows a step of the work.
    pub fn show(&self, step: Step) {
        match step {
            Step::Copying { done, total } => {
                if self.0.length() != Some(total) {
                    self.0.set_length(total);
                    self.style("copying  [{bar:40}] {bytes} of {total_bytes}, {eta} left");
                }
                self.0.set_position(done);
            }
            Step::Checking(what) => {
                self.0.unset_length();
                self.style("checking {msg}, {elapsed}");
                self.0.set_message(what);
                self.0.enable_steady_tick(TICK);
            }
        }
    }

    fn style(&self, template: &str) {
        // The templates are those above.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
