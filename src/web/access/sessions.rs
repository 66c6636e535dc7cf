//! Open sessions, and login codes that were used. Both are kept only in memory. So a restart ends every session and
//! makes every earlier code invalid.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::login::{SessionToken, VerifiedCode};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;

/// How long a session lasts, whether it is used or not.
pub const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Sessions of the admin token and of login codes that may be open at once. One more ends the oldest of them.
const MAX_SESSIONS: usize = 100;

/// Sessions of one token with a role that may be open at once. One more ends the oldest of them, and no other: such a
/// token cannot log anybody else out.
const MAX_SESSIONS_OF_TOKEN: usize = 10;

/// Sessions of all tokens that may be open at once. One more ends the oldest of a token with a role.
const MAX_ALL_SESSIONS: usize = 2_000;

/// Used codes that are remembered at once. Only the owner can make more within a code's lifetime; further codes are
/// refused.
const MAX_USED_CODES: usize = 1_000;

/// Open sessions and used codes.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    open: VecDeque<Session>,
    used: Vec<VerifiedCode>,
}

#[derive(Debug)]
struct Session {
    digest: TokenDigest,
    /// The token with a role that it was opened with. `None` for the admin token and for a login code.
    opened_with: Option<TokenDigest>,
    ends: Timestamp,
    /// Dropped with the session, which wakes every [`SessionLifetime`] of the session.
    life: watch::Sender<()>,
}

/// How long a session lasts, for work that must end with the session.
#[derive(Debug, Clone)]
pub struct SessionLifetime {
    ends: Timestamp,
    life: watch::Receiver<()>,
}

impl SessionLifetime {
    /// Resolves when the session has ended, because of its age or for any other reason. `now` is the current time.
    pub async fn over(mut self, now: Timestamp) {
        // Nothing is ever sent on this channel; only its end is awaited.
        let ended = async { while self.life.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(self.ends.since(now), ended).await;
    }
}

impl Sessions {
    /// Marks a code as used. Returns false if the code was used already, or if too many used codes are remembered.
    pub fn redeem(&self, code: &VerifiedCode, now: Timestamp) -> bool {
        let mut state = self.state();
        state.used.retain(|used| now < used.ends);
        let fresh = state.used.len() < MAX_USED_CODES && !state.used.iter().any(|used| used.digest == code.digest);
        if fresh {
            state.used.push(code.clone());
        }
        fresh
    }

    /// Opens a session with the admin token or a login code, or with a token with a role.
    pub fn open(&self, opened_with: Option<TokenDigest>, now: Timestamp) -> SessionToken {
        let token = SessionToken::generate();
        let mut state = self.state();
        state.open.retain(|session| now < session.ends);
        let most = if opened_with.is_some() { MAX_SESSIONS_OF_TOKEN } else { MAX_SESSIONS };
        let is_like = |session: &Session| session.opened_with == opened_with;
        if state.open.iter().filter(|session| is_like(session)).count() >= most
            && let Some(oldest) = state.open.iter().position(is_like)
        {
            state.open.remove(oldest);
        }
        if state.open.len() >= MAX_ALL_SESSIONS
            && let Some(oldest) = state.open.iter().position(|session| session.opened_with.is_some())
        {
            state.open.remove(oldest);
        }
        let (life, _) = watch::channel(());
        state.open.push_back(Session { digest: token.digest(), opened_with, ends: now.plus(LIFETIME), life });
        token
    }

    /// The session of `token`, if it has not ended, and the token with a role that it was opened with.
    pub fn find(&self, token: &[u8], now: Timestamp) -> Option<(SessionLifetime, Option<TokenDigest>)> {
        // Digests are compared, so that the time of a comparison gives no help to guess a token.
        let digest = TokenDigest::of(token);
        let state = self.state();
        let session = state.open.iter().find(|session| session.digest == digest && now < session.ends)?;
        let life = SessionLifetime { ends: session.ends, life: session.life.subscribe() };
        Some((life, session.opened_with))
    }

    /// Ends the session of `token`.
    pub fn close(&self, token: &[u8]) {
        let digest = TokenDigest::of(token);
        self.state().open.retain(|session| session.digest != digest);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::login::LoginKey;

    #[tokio::test]
    async fn whoever_goes_on_with_a_session_learns_of_its_end() {
        let (sessions, now) = (Sessions::default(), Timestamp::from_millis(1_000));
        let token = sessions.open(None, now);
        let find = || sessions.find(token.reveal().as_bytes(), now).unwrap().0;
        let (logged_out, aged) = (find(), find());
        let over = tokio::spawn(aged.over(now.plus(LIFETIME - Duration::from_millis(50))));
        tokio::time::timeout(Duration::from_secs(20), over).await.unwrap().unwrap();
        let over = tokio::spawn(logged_out.over(now));
        sessions.close(token.reveal().as_bytes());
        tokio::time::timeout(Duration::from_secs(20), over).await.unwrap().unwrap();
    }

    #[test]
    fn sessions_and_used_codes_are_bounded() {
        let (sessions, key, now) = (Sessions::default(), LoginKey::generate(), Timestamp::from_millis(1_000));
        let tokens: Vec<SessionToken> = (0..=MAX_SESSIONS).map(|_| sessions.open(None, now)).collect();
        let open = |token: &SessionToken| sessions.find(token.reveal().as_bytes(), now).is_some();
        assert!(!open(&tokens[0]) && tokens[1..].iter().all(open));
        let role = |name: &[u8]| Some(TokenDigest::of(name));
        let other = sessions.open(role(b"other"), now);
        let with_role: Vec<SessionToken> =
            (0..=MAX_SESSIONS_OF_TOKEN).map(|_| sessions.open(role(b"one"), now)).collect();
        assert!(!open(&with_role[0]) && with_role[1..].iter().all(open));
        assert!(tokens[1..].iter().all(open) && open(&other), "others' sessions stay");
        let redeem = |at| sessions.redeem(&key.check(key.code(at).reveal(), at).unwrap(), at);
        assert!((0..MAX_USED_CODES).all(|_| redeem(now)));
        assert!(!redeem(now));
        assert!(redeem(now.plus(Duration::from_secs(700))));
    }
}
