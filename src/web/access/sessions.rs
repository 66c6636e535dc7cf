//! Open sessions, and login codes that were used. Both are kept only in memory. So a restart ends every session and
//! makes every earlier code invalid.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::ids::AccountKey;
use crate::domain::login::{SessionToken, VerifiedCode};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;

/// How long a session lasts, whether it is used or not.
pub const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Sessions of the admin token and of login codes that may be open at once. One more ends the oldest of them.
const MAX_SESSIONS: usize = 100;

/// Sessions of one token with a role that may be open at once. One more ends the oldest of them.
const MAX_SESSIONS_OF_TOKEN: usize = 10;

/// Sessions of the tokens for one account that may be open at once. One more ends the oldest of them.
const MAX_SESSIONS_OF_ACCOUNT: usize = 100;

/// Sessions of the tokens for all accounts that may be open at once. One more ends the oldest of them.
const MAX_SESSIONS_FOR_ALL: usize = 1_000;

/// Sessions of the tokens for one account, of all accounts together. One more ends the oldest of the account that has
/// most, so nobody can log out somebody of an account with fewer sessions than their own.
const MAX_SESSIONS_OF_ACCOUNTS: usize = 2_000;

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

/// The token with a role that a session is opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedWith {
    /// The token.
    pub token: TokenDigest,
    /// The one account that it reaches. `None` for all.
    pub account: Option<AccountKey>,
}

#[derive(Debug)]
struct Session {
    digest: TokenDigest,
    /// `None` for the admin token and for a login code.
    opened_with: Option<OpenedWith>,
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
    /// Whether the session has ended, for any reason.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ends <= now || self.life.has_changed().is_err()
    }

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

    /// Opens a session with the admin token or a login code, or with a token with a role. Sessions of tokens that do not
    /// work any more are dropped first: they take nobody's place.
    pub fn open(
        &self,
        opened_with: Option<OpenedWith>,
        works: impl Fn(&TokenDigest) -> bool,
        now: Timestamp,
    ) -> SessionToken {
        let token = SessionToken::generate();
        let mut state = self.state();
        state.open.retain(|session| now < session.ends && session.opened_with.is_none_or(|with| works(&with.token)));
        state.make_room(opened_with);
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
        Some((life, session.opened_with.map(|with| with.token)))
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

impl State {
    /// Ends sessions until one more may be opened.
    fn make_room(&mut self, opened_with: Option<OpenedWith>) {
        let Some(OpenedWith { account, .. }) = opened_with else {
            return self.keep_below(MAX_SESSIONS, |session| session.opened_with.is_none());
        };
        self.keep_below(MAX_SESSIONS_OF_TOKEN, |session| session.opened_with == opened_with);
        let Some(account) = account else {
            return self.keep_below(MAX_SESSIONS_FOR_ALL, |session| {
                session.opened_with.is_some_and(|with| with.account.is_none())
            });
        };
        self.keep_below(MAX_SESSIONS_OF_ACCOUNT, |session| session.account() == Some(account));
        let mut sessions: HashMap<AccountKey, usize> = HashMap::new();
        self.open.iter().filter_map(Session::account).for_each(|key| *sessions.entry(key).or_default() += 1);
        // Of accounts with equally many, the one that asks gives way.
        let largest = sessions.iter().max_by_key(|(key, count)| (**count, **key == account));
        if let Some(largest) = largest.map(|(key, _)| *key)
            && sessions.values().sum::<usize>() >= MAX_SESSIONS_OF_ACCOUNTS
        {
            self.end_oldest(|session| session.account() == Some(largest));
        }
    }

    fn keep_below(&mut self, most: usize, counts: impl Fn(&Session) -> bool) {
        if self.open.iter().filter(|session| counts(session)).count() >= most {
            self.end_oldest(counts);
        }
    }

    fn end_oldest(&mut self, counts: impl Fn(&Session) -> bool) {
        if let Some(oldest) = self.open.iter().position(counts) {
            self.open.remove(oldest);
        }
    }
}

impl Session {
    /// The one account that the token of this session reaches.
    fn account(&self) -> Option<AccountKey> {
        self.opened_with.and_then(|with| with.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::login::LoginKey;

    #[tokio::test]
    async fn whoever_goes_on_with_a_session_learns_of_its_end() {
        let (sessions, now) = (Sessions::default(), Timestamp::from_millis(1_000));
        let token = sessions.open(None, |_| true, now);
        let find = || sessions.find(token.reveal().as_bytes(), now).unwrap().0;
        let (logged_out, aged) = (find(), find());
        let over = tokio::spawn(aged.over(now.plus(LIFETIME - Duration::from_millis(50))));
        tokio::time::timeout(Duration::from_secs(20), over).await.unwrap().unwrap();
        let (over, known) = (tokio::spawn(logged_out.clone().over(now)), logged_out);
        assert!(!known.is_over(now) && known.is_over(now.plus(LIFETIME)));
        sessions.close(token.reveal().as_bytes());
        assert!(known.is_over(now));
        tokio::time::timeout(Duration::from_secs(20), over).await.unwrap().unwrap();
    }

    #[test]
    fn sessions_and_used_codes_are_bounded() {
        let (sessions, key, now) = (Sessions::default(), LoginKey::generate(), Timestamp::from_millis(1_000));
        let tokens: Vec<SessionToken> = (0..=MAX_SESSIONS).map(|_| sessions.open(None, |_| true, now)).collect();
        let open = |token: &SessionToken| sessions.find(token.reveal().as_bytes(), now).is_some();
        assert!(!open(&tokens[0]) && tokens[1..].iter().all(open));
        let other = sessions.open(role("other", None), |_| true, now);
        let with_role: Vec<SessionToken> =
            (0..=MAX_SESSIONS_OF_TOKEN).map(|_| sessions.open(role("one", None), |_| true, now)).collect();
        assert!(!open(&with_role[0]) && with_role[1..].iter().all(open));
        assert!(tokens[1..].iter().all(open) && open(&other), "others' sessions stay");
        let redeem = |at| sessions.redeem(&key.check(key.code(at).reveal(), at).unwrap(), at);
        assert!((0..MAX_USED_CODES).all(|_| redeem(now)));
        assert!(!redeem(now));
        assert!(redeem(now.plus(Duration::from_secs(700))));
    }

    fn role(token: &str, account: Option<i64>) -> Option<OpenedWith> {
        Some(OpenedWith { token: TokenDigest::of(token.as_bytes()), account: account.map(AccountKey) })
    }

    #[test]
    fn tokens_of_one_account_share_their_places_and_take_none_of_others() {
        let (sessions, now) = (Sessions::default(), Timestamp::from_millis(1_000));
        let is_open = |token: &SessionToken| sessions.find(token.reveal().as_bytes(), now).is_some();
        let victims: Vec<_> =
            [None, role("all", None), role("b", Some(2))].map(|with| sessions.open(with, |_| true, now)).into();
        let open = |number: usize| sessions.open(role(&format!("a{number}"), Some(1)), |_| true, now);
        let own: Vec<_> = (0..=MAX_SESSIONS_OF_ACCOUNT).map(open).collect();
        assert!(!is_open(&own[0]) && own[1..].iter().all(is_open) && victims.iter().all(is_open));
        let for_all: Vec<_> = (0..MAX_SESSIONS_FOR_ALL)
            .map(|number| sessions.open(role(&format!("all{number}"), None), |_| true, now))
            .collect();
        assert!(!is_open(&victims[1]) && for_all.iter().all(is_open), "tokens for all accounts have places too");
        assert!(own[1..].iter().all(is_open) && is_open(&victims[0]) && is_open(&victims[2]));
    }

    #[test]
    fn where_all_places_are_taken_the_account_with_most_sessions_gives_way() {
        let (sessions, now) = (Sessions::default(), Timestamp::from_millis(1_000));
        let is_open = |token: &SessionToken| sessions.find(token.reveal().as_bytes(), now).is_some();
        let victim = sessions.open(role("victim", Some(0)), |_| true, now);
        let mut all = Vec::new();
        for account in 1..=21 {
            for number in 0..MAX_SESSIONS_OF_ACCOUNT {
                all.push(sessions.open(role(&format!("{account} {number}"), Some(account)), |_| true, now));
            }
        }
        assert!(is_open(&victim), "it has the fewest");
        assert_eq!(all.iter().filter(|token| is_open(token)).count(), MAX_SESSIONS_OF_ACCOUNTS - 1);
    }

    #[test]
    fn sessions_of_tokens_that_have_ended_take_no_place() {
        let (sessions, now) = (Sessions::default(), Timestamp::from_millis(1_000));
        let first = sessions.open(role("works", Some(1)), |_| true, now);
        for number in 0..MAX_SESSIONS_OF_ACCOUNT * 2 {
            let (ended, works) = (format!("ended{number}"), TokenDigest::of(b"works"));
            sessions.open(role(&ended, Some(1)), |token| *token == works, now);
        }
        assert!(sessions.find(first.reveal().as_bytes(), now).is_some());
    }
}
