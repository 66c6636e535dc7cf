//! What a check finds, and how faults are collected.

/// Most faults that are kept. A damaged file may have one a row.
pub const MAX_FAULTS: usize = 100;

/// What to do where rows or pages are lost or wrong.
pub const RESTORE: &str = "restore a backup: data-pusher restore";

/// One fault.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Stable snake_case code.
    pub code: &'static str,
    /// What is wrong. Never holds a secret.
    pub text: String,
    /// What to do; empty if the text says so.
    pub advice: String,
}

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    more: usize,
}

impl Faults {
    /// Adds a fault. Beyond [`MAX_FAULTS`], faults are only counted.
    pub fn add(&mut self, code: &'static str, text: &str, advice: impl Into<String>) {
        if self.list.len() >= MAX_FAULTS {
            self.more += 1;
            return;
        }
        // A fault is one line.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.list.push(Fault { code, text, advice: advice.into() });
    }

    /// Adds a fault, unless there is one with this code.
    pub fn add_once(&mut self, code: &'static str, text: &str, advice: &str) {
        if !self.has(code) {
            self.add(code, text, advice);
        }
    }

    /// Adds a fault that `many` has counted, if there is any.
    pub fn add_many(&mut self, code: &'static str, what: &str, many: &Many, advice: &str) {
        if let Some(first) = &many.first {
            self.add(code, &format!("{what}: {} (first: {first})", many.count), advice);
        }
    }

    /// Whether there is a fault with this code.
    pub fn has(&self, code: &str) -> bool {
        self.list.iter().any(|fault| fault.code == code)
    }

    /// Whether there is no fault.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The faults, and how many more there are.
    pub fn into_parts(self) -> (Vec<Fault>, usize) {
        (self.list, self.more)
    }
}

/// Counts what is wrong in the same way, and keeps the first.
#[derive(Debug, Default, Clone)]
pub struct Many {
    count: u64,
    first: Option<String>,
}

impl Many {
    /// Counts `count` at once, of which `first` is the first.
    pub fn of(count: u64, first: String) -> Self {
        Self { count, first: (count > 0).then_some(first) }
    }

    /// Counts one more.
    pub fn add(&mut self, which: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(which);
    }
}
