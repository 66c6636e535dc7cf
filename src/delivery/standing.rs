//! How destinations stand, as `/metrics` tells. Which standing a lane has is decided in `scheduler/lane/standing.rs`.

/// How a destination stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Paused, so nothing is sent.
    Paused,
    /// Held back because of `Retry-After`.
    Held,
    /// Only failures lately.
    Failing,
    /// An attempt takes unusually long.
    Suspect,
    /// Nothing is known yet.
    New,
    /// It answers.
    Good,
}

/// Every standing.
pub const STANDINGS: [Standing; 6] =
    [Standing::Paused, Standing::Held, Standing::Failing, Standing::Suspect, Standing::New, Standing::Good];

impl Standing {
    /// The word for this standing in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Held => "held",
            Self::Failing => "failing",
            Self::Suspect => "suspect",
            Self::New => "new",
            Self::Good => "good",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_is_counted_in_its_own_place() {
        for (place, standing) in STANDINGS.into_iter().enumerate() {
            assert_eq!(standing as usize, place, "{}", standing.as_str());
        }
    }
}
