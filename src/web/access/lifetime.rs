//! How long a caller may go on: until its session or its token ends. What ends them is in `sessions` and in the store.

use std::sync::Arc;

use super::sessions::SessionLifetime;
use super::{EXPIRED, UNAUTHORIZED, WRONG};
use crate::domain::ports::{FindTokens, TokenLookup};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::web::problem::{ApiError, ApiResult};

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
            return Err(refused(UNAUTHORIZED));
        }
        match self.token.as_ref().map(|(tokens, digest)| tokens.look_up(digest, now)) {
            None | Some(TokenLookup::Works(_)) => Ok(()),
            Some(_) if self.session.is_some() => Err(refused(UNAUTHORIZED)),
            Some(TokenLookup::Expired) => Err(refused(EXPIRED)),
            Some(TokenLookup::Unknown) => Err(refused(WRONG)),
        }
    }

    /// The token with a role that the caller showed, or that its session was opened with.
    pub fn token(&self) -> Option<TokenDigest> {
        self.token.as_ref().map(|(_, digest)| *digest)
    }

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

/// The response to a caller whose token has ended while its request was on its way.
pub fn ended() -> ApiError {
    refused(WRONG)
}

fn refused(detail: &'static str) -> ApiError {
    ApiError::unauthorized("Bearer", "unauthorized", detail)
}
