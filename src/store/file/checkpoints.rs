//! Who copies the write-ahead log (WAL) into the database file. A replicator such as Litestream reads each WAL to its end
//! before it lets a new one begin, so beside it this program must not checkpoint. What follows from that is decided
//! where it matters: when the file is opened, while it is written, and at the stop.

/// Who checkpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Checkpoints {
    /// This program: while it runs, and at a clean stop, after which the database is one file.
    #[default]
    Own,
    /// Another program. A WAL may begin with that program's transactions, and may be missing at a start: then that
    /// program has copied it into the file.
    External,
}

impl Checkpoints {
    /// Whether another program checkpoints.
    pub fn are_external(self) -> bool {
        self == Self::External
    }
}
