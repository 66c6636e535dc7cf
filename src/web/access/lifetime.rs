//! How long a caller may go on: until its session or its token ends. What ends them is in `sessions` and in the store.

use std::sync::Arc;
use std::time::Duration;

use super::refusal::{EXPIRED, UNAUTHORIZED, WRONG, unauthorized};
use super::sessions::SessionLifetime;
use crate::domain::ports::{FindTokens, TokenLookup};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::web::problem::ApiResult;

/// Time between two looks at the wall clock. A timer alone counts neither the sleep of the machine nor a clock that is
/// set.
const LOOK: Duration = Duration::from_secs(1);

/// For work that must end when its caller may not do it any more, such as a stream.
#[derive(Debug, Clone, Default)]
pub struct Lifetime {
    /// The session of the caller, if it has one.
    pub(super) session: Option<SessionLifetime>,
    /// The token with a role that the caller showed, or that its session was opened with.
    pub(super) token: Option<(Arc<dyn FindTokens>, TokenDigest)>,
}

impl Lifetime {
    /// Asks again whether the caller may go on, for a request that took long to arrive. Costs memory only.
    ///
    /// # Errors
    /// 401 if its session or its token has ended.
    pub fn check(&self, now: Timestamp) -> ApiResult<()> {
        if self.session.as_ref().is_some_and(|session| session.is_over(now)) {
            return Err(unauthorized(UNAUTHORIZED));
        }
        match self.token.as_ref().map(|(tokens, digest)| tokens.look_up(digest, now)) {
            None | Some(TokenLookup::Works(_)) => Ok(()),
            Some(_) if self.session.is_some() => Err(unauthorized(UNAUTHORIZED)),
            Some(TokenLookup::Expired) => Err(unauthorized(EXPIRED)),
            Some(TokenLookup::Unknown) => Err(unauthorized(WRONG)),
        }
    }

    /// The token with a role that the caller showed, or that its session was opened with.
    pub fn token(&self) -> Option<TokenDigest> {
        self.token.as_ref().map(|(_, digest)| *digest)
    }

    /// Resolves when the session or the token has ended, for any reason: at the latest a second after `clock`, the wall
    /// clock, passes the end, also where it was set or the machine slept. Never resolves without both: the admin token
    /// does not end.
    pub async fn over(self, clock: fn() -> Timestamp) {
        if self.session.is_none() && self.token.is_none() {
            return std::future::pending().await;
        }
        while tokio::time::timeout(LOOK, self.clone().over_by_timer(clock())).await.is_err() {}
    }

    /// As [`over`](Self::over), if time passes as a timer counts it. `now` is the present time.
    async fn over_by_timer(self, now: Timestamp) {
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
