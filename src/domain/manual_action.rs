//! What people did with a delivery: they sent it again, or cancelled it.

use super::string_enum::words;
use super::time::Timestamp;

/// What somebody did with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManualActionKind {
    /// Sent this one delivery again.
    Retry,
    /// Cancelled it.
    Cancel,
    /// Sent it again by the replay of an event, of a destination or of a list.
    Replay,
}

impl ManualActionKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Retry, Self::Cancel, Self::Replay];

    /// The word for this kind in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Replay => "replay",
        }
    }

    /// The number for this kind in the database.
    pub fn code(self) -> i64 {
        match self {
            Self::Retry => 0,
            Self::Cancel => 1,
            Self::Replay => 2,
        }
    }

    /// The kind with this number in the database.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

words!(ManualActionKind);

/// Something that was done manually with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManualAction {
    /// When it was done.
    pub at: Timestamp,
    /// What was done.
    pub action: ManualActionKind,
}
