//! Everything that was shown, and the search for canaries in it.

use std::collections::BTreeSet;

/// Where a canary may be.
#[derive(Clone, Copy)]
pub enum Where {
    /// Here, where it must be found, and nowhere else.
    Only(&'static [&'static str]),
    /// Anywhere but here. It must be found somewhere.
    Not(&'static [&'static str]),
}

/// A text that can be found wherever it is shown.
pub struct Canary {
    pub what: &'static str,
    pub text: String,
}

/// What was shown, by the name of the place.
#[derive(Default)]
pub struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    pub fn add(&mut self, place: impl Into<String>, bytes: impl AsRef<[u8]>) {
        self.0.push((place.into(), bytes.as_ref().to_vec()));
    }

    /// Names of the places, each once.
    pub fn places(&self) -> BTreeSet<&str> {
        self.0.iter().map(|(place, _)| place.as_str()).collect()
    }

    /// The places that show a text.
    pub fn with(&self, text: &str) -> BTreeSet<&str> {
        assert!(
            text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "{text}"
        );
        let shows = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        self.0.iter().filter(|(_, bytes)| shows(bytes)).map(|(place, _)| place.as_str()).collect()
    }
}

/// The longest part of a text in which every encoding leaves each character as it is.
pub fn plain_part(text: &str) -> String {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    parts.max_by_key(|part| part.len()).unwrap_or_default().to_owned()
}

/// What is wrong with where the canaries are.
pub fn faults(canaries: &[Canary], seen: &Seen, shown: &[(&str, Where)]) -> Vec<String> {
    let mut faults = Vec::new();
    for Canary { what, text } in canaries {
        let Some((_, allowed)) = shown.iter().find(|(name, _)| name == what) else {
            faults.push(format!("{what} is not in the list"));
            continue;
        };
        let found = seen.with(text);
        match allowed {
            Where::Only(places) => {
                let places: BTreeSet<&str> = places.iter().copied().collect();
                faults.extend(found.difference(&places).map(|place| format!("{place} shows {what}")));
                faults
                    .extend(places.difference(&found).map(|place| format!("{place} does not show {what}, as listed")));
            }
            Where::Not(places) => {
                faults
                    .extend(places.iter().filter(|place| found.contains(*place)).map(|p| format!("{p} shows {what}")));
                if found.is_empty() {
                    faults.push(format!("{what} is nowhere"));
                }
            }
        }
    }
    let known: BTreeSet<&str> = canaries.iter().map(|canary| canary.what).collect();
    faults.extend(
        shown.iter().filter(|(what, _)| !known.contains(what)).map(|(what, _)| format!("{what} was not planted")),
    );
    faults
}
