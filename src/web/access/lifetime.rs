//! How long a caller may go on: until its session or its token ends. What ends them is in `sessions` and in the store.

use std::sync::Arc;

use super::sessions::SessionLifetime;
use crate::domain::ports::FindTokens;
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;

/// For work that must end when its caller may not do it any more, such as a stream.
#[derive(Debug, Clone, Default)]
pub struct Lifetime {
    /// The session of the caller, if it has one.
    pub(super) session: Option<SessionLifetime>,
    /// The token with a role that the caller showed, or that its session was opened with.
    pub(super) token: Option<(Arc<dyn FindTokens>, TokenDigest)>,
}

impl Lifetime {
    /// Resolves when the session or the token has ended, for any reason. Never resolves without both: the admin token
    /// does not end. `now` is the time at which the caller was let in.
    pub async fn over(self, now: Timestamp) {
        let session = async {
            match self.session {
                Some(session) => session.over(now).await,
                None => std::future::pending().await,
            }
        };
        let token = async {
            match self.token {
                Some((tokens, digest)) => tokens.over(&digest, now).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = session => {}
            () = token => {}
        }
    }
}
