//! Access to the API and the pages: the admin token and tokens with a role for programs, sessions for browsers. Tokens of
//! accounts are not checked here, and which tokens with a role there are is known to the store.

pub mod cookie;
mod credentials;
pub mod lifetime;
pub mod login_attempts;
mod refusal;
pub mod sessions;

use std::sync::Arc;

use poem::http::header::AUTHORIZATION;
use poem::http::{HeaderMap, HeaderValue, StatusCode};

use self::credentials::{bearer, login_code};
use self::login_attempts::FailedLoginLimiter;
use self::refusal::{EXPIRED, NO_BEARER, OF_ACCOUNT, WRONG, unauthorized};
use self::sessions::{OpenedWith, Sessions};
use super::problem::{ApiError, ApiResult};
use crate::domain::access::Rights;
use crate::domain::login::LoginKey;
use crate::domain::ports::{FindTokens, TokenLookup};
use crate::domain::secret::{AdminToken, TokenDigest};
use crate::domain::time::Timestamp;
use crate::domain::token_kind::TokenKind;
pub use cookie::Cookie;
pub use lifetime::Lifetime;
pub use refusal::{UNAUTHORIZED, ended};

/// What a browser sends once, to get a session.
pub enum Credential<'a> {
    /// The code of a login link.
    Code(&'a str),
    /// The admin token, or a token with a role.
    Token(&'a str),
}

/// A caller that was let in.
#[derive(Debug)]
pub struct Authenticated {
    /// What it may do.
    pub rights: Rights,
    /// Whether a session let it in. The cookie of a session is sent with every request that a page makes, so the origin
    /// must be checked too. No browser sends a token by itself.
    pub by_session: bool,
    /// How long it may go on.
    pub life: Lifetime,
}

/// An open session.
#[derive(Debug)]
pub struct OpenSession {
    /// Those of the token that the session was opened with, as they are now.
    pub rights: Rights,
    /// How long it lasts.
    pub life: Lifetime,
}

/// Who may use the admin API.
#[derive(Debug)]
pub enum AdminAccess {
    /// `--dev`: everybody on this machine. An `Authorization` header is ignored.
    Dev,
    /// Those who show a token or have a session.
    Token(Box<AdminAuth>),
}

impl AdminAccess {
    /// Lets in a program that can read the login file: it shows a new login code as `Authorization: Login CODE`. A code
    /// works once.
    ///
    /// # Errors
    /// 401, after a pause; 429 as for [`AdminAuth::authenticate`]. 409 under `--dev`, where there are no codes.
    pub async fn authenticate_by_code(&self, headers: &HeaderMap, now: Timestamp) -> ApiResult<()> {
        match self {
            Self::Token(auth) => auth.redeem(headers, now).await,
            Self::Dev => {
                let detail = "Under --dev there are no login codes: stop the server first.";
                Err(ApiError::new(StatusCode::CONFLICT, "no_login", detail))
            }
        }
    }

    /// The answer to the challenge of a program that has read the login file: it wants to know whether this is the server
    /// that wrote the file. `None` if it is no challenge, and under `--dev`.
    pub fn answer(&self, challenge: &str) -> Option<String> {
        match self {
            Self::Token(auth) => auth.codes.answer(challenge),
            Self::Dev => None,
        }
    }

    /// How many requests had a wrong token, login link or code. 0 under `--dev`.
    pub fn failed_logins(&self) -> u64 {
        match self {
            Self::Dev => 0,
            Self::Token(auth) => auth.failed_logins.count(),
        }
    }
}

/// Authentication: accepts the admin token, tokens with a role, and sessions. A session is opened with a token or with a
/// login code.
#[derive(Debug)]
pub struct AdminAuth {
    token: AdminToken,
    tokens: Arc<dyn FindTokens>,
    codes: LoginKey,
    sessions: Sessions,
    failed_logins: FailedLoginLimiter,
    cookie: Cookie,
}

/// What a text is that somebody gave as a token.
enum Given {
    /// The admin token.
    Owner,
    /// A token with a role.
    Role(TokenDigest, Rights),
    Expired,
    /// None of these, but it begins as the token of an account does.
    OfAccount,
    Wrong,
}

impl AdminAuth {
    /// Accepts `token`, those of `tokens`, and login codes that `codes` has signed.
    pub fn new(token: AdminToken, tokens: Arc<dyn FindTokens>, codes: LoginKey, cookie: Cookie) -> Self {
        let (sessions, failed_logins) = (Sessions::default(), FailedLoginLimiter::default());
        Self { token, tokens, codes, sessions, failed_logins, cookie }
    }

    /// Authenticates a request. Where there is a bearer token, the token decides. A session counts only without one.
    ///
    /// # Errors
    /// 401, after a pause where the token is wrong. 429 where too many requests with a wrong token wait already.
    pub async fn authenticate(&self, headers: &HeaderMap, now: Timestamp) -> ApiResult<Authenticated> {
        if let Some(given) = bearer(headers) {
            let detail = match self.given(given, now) {
                Given::Owner => {
                    let life = Lifetime::default();
                    return Ok(Authenticated { rights: Rights::OWNER, by_session: false, life });
                }
                Given::Role(digest, rights) => {
                    let life = Lifetime { session: None, token: Some((Arc::clone(&self.tokens), digest)) };
                    return Ok(Authenticated { rights, by_session: false, life });
                }
                Given::Expired => EXPIRED,
                Given::OfAccount => OF_ACCOUNT,
                Given::Wrong => WRONG,
            };
            return Err(self.failed_logins.refuse(unauthorized(detail)).await);
        }
        match self.session(headers, now) {
            Some(OpenSession { rights, life }) => Ok(Authenticated { rights, by_session: true, life }),
            None if headers.contains_key(AUTHORIZATION) => Err(unauthorized(NO_BEARER)),
            None => Err(unauthorized(UNAUTHORIZED)),
        }
    }

    fn given(&self, token: &[u8], now: Timestamp) -> Given {
        if self.token.matches(token) {
            return Given::Owner;
        }
        let digest = TokenDigest::of(token);
        match self.tokens.look_up(&digest, now) {
            TokenLookup::Works(rights) => Given::Role(digest, rights),
            TokenLookup::Expired => Given::Expired,
            TokenLookup::Unknown if TokenKind::of_beginning(token) == Some(TokenKind::Account) => Given::OfAccount,
            TokenLookup::Unknown => Given::Wrong,
        }
    }

    async fn redeem(&self, headers: &HeaderMap, now: Timestamp) -> ApiResult<()> {
        let good = login_code(headers).and_then(|code| self.codes.check(code, now));
        if good.is_some_and(|good| self.sessions.redeem(&good, now)) {
            return Ok(());
        }
        let detail = "Only `data-pusher import` on this machine may do this.";
        Err(self.failed_logins.refuse(ApiError::unauthorized("Login", "login_refused", detail)).await)
    }

    /// Whether the request has a session cookie, whatever is in it.
    pub fn has_cookie(&self, headers: &HeaderMap) -> bool {
        self.cookie.values(headers).any(|value| !value.is_empty())
    }

    /// Whether the request has the cookie of an open session.
    pub fn has_session(&self, headers: &HeaderMap, now: Timestamp) -> bool {
        self.session(headers, now).is_some()
    }

    /// The open session whose cookie the request has. The token that it was opened with is looked up each time, so a
    /// session ends with its token.
    pub fn session(&self, headers: &HeaderMap, now: Timestamp) -> Option<OpenSession> {
        self.cookie.values(headers).find_map(|cookie| {
            let (session, opened_with) = self.sessions.find(cookie, now)?;
            let Some(digest) = opened_with else {
                let life = Lifetime { session: Some(session), token: None };
                return Some(OpenSession { rights: Rights::OWNER, life });
            };
            let TokenLookup::Works(rights) = self.tokens.look_up(&digest, now) else {
                self.sessions.close(cookie);
                return None;
            };
            let life = Lifetime { session: Some(session), token: Some((Arc::clone(&self.tokens), digest)) };
            Some(OpenSession { rights, life })
        })
    }

    /// Opens a session and returns the value of `Set-Cookie`. It takes the place of the session that the request has, if
    /// any: the browser forgets that one, so nobody could end it any more.
    ///
    /// # Errors
    /// 401 for a wrong token, and for a code that was used, has expired or is from an earlier start of the server. 429
    /// as for [`authenticate`](Self::authenticate).
    pub async fn log_in(&self, given: Credential<'_>, headers: &HeaderMap, now: Timestamp) -> ApiResult<HeaderValue> {
        let opened_with = match given {
            Credential::Code(code) => {
                let good = self.codes.check(code, now).is_some_and(|good| self.sessions.redeem(&good, now));
                good.then_some(None).ok_or(
                    "This link was used already, is older than 10 minutes, or is from before the server's last \
                     start. `data-pusher login-link` prints another.",
                )
            }
            Credential::Token(token) => match self.given(token.as_bytes(), now) {
                Given::Owner => Ok(None),
                Given::Role(token, rights) => {
                    let account = rights.scope.account().map(|(_, key)| key);
                    Ok(Some(OpenedWith { token, account }))
                }
                Given::Expired => Err("This token has expired."),
                Given::OfAccount => Err(
                    "This token begins as the app secret token of an account does, which only sends events. Log in with \
                     the admin token or a token with a role.",
                ),
                Given::Wrong => Err("This token is wrong: it is neither the admin token nor a token with a role."),
            },
        };
        match opened_with {
            Ok(opened_with) => {
                self.cookie.values(headers).for_each(|former| self.sessions.close(former));
                let works = |token: &TokenDigest| self.tokens.works(token, now);
                Ok(self.cookie.set(&self.sessions.open(opened_with, works, now)))
            }
            Err(detail) => {
                Err(self.failed_logins.refuse(ApiError::unauthorized("Bearer", "login_refused", detail)).await)
            }
        }
    }

    /// Ends the session that the request has, if any, and returns the value of `Set-Cookie`.
    pub fn log_out(&self, headers: &HeaderMap) -> HeaderValue {
        self.cookie.values(headers).for_each(|token| self.sessions.close(token));
        self.cookie.cleared()
    }
}

#[cfg(test)]
mod tests;
