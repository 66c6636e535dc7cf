//! Puts functions of this module in the place of literals, and finds the way back for messages.

/// A change of a source: at byte `at`, `removed` bytes give way to `inserted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) at: usize,
    pub(super) removed: usize,
    pub(super) inserted: &'static str,
}

/// A source with its changes. Lines stay what they are: nothing that is inserted or removed has a line break.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    pub(super) text: String,
    /// Where unchanged parts begin, after and before the changes.
    parts: Vec<(usize, usize)>,
}

impl Rewritten {
    /// Applies edits, which come in the order of their places.
    pub(super) fn new(source: &str, edits: &[Edit]) -> Self {
        let mut all = Self { text: String::with_capacity(source.len() + 16 * edits.len()), parts: vec![(0, 0)] };
        let mut from = 0;
        for edit in edits {
            all.text.push_str(source.get(from..edit.at).unwrap_or_default());
            all.text.push_str(edit.inserted);
            from = edit.at + edit.removed;
            all.parts.push((all.text.len(), from));
        }
        all.text.push_str(source.get(from..).unwrap_or_default());
        all
    }

    /// The byte of the source that became the byte `at`.
    pub(super) fn original(&self, at: usize) -> usize {
        let after = self.parts.partition_point(|(start, _)| *start <= at);
        let (start, original) = self.parts[after.saturating_sub(1)];
        let next = self.parts.get(after).map_or(usize::MAX, |(_, original)| *original);
        (original + at - start).min(next)
    }
}
