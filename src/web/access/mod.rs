//! Access to the admin API: the admin token for programs, sessions for browsers. Tokens of accounts are not checked
//! here.

pub mod cookie;
pub mod login_attempts;
pub mod sessions;

use poem::http::header::AUTHORIZATION;
use poem::http::{HeaderMap, HeaderValue, StatusCode};

use super::problem::{ApiError, ApiResult};
use crate::domain::access::Rights;
use crate::domain::login::LoginKey;
use crate::domain::secret::AdminToken;
use crate::domain::time::Timestamp;
pub use cookie::Cookie;
use login_attempts::FailedLoginLimiter;
pub use sessions::SessionLifetime;
use sessions::Sessions;

/// Detail of the 401 response to a request without a token and without a session.
pub const UNAUTHORIZED: &str = "Send the admin token as `Authorization: Bearer TOKEN`, or log in with a browser at /.";

/// Detail of the 401 response to an `Authorization` header that is not one bearer token.
const NO_BEARER: &str = "The Authorization header must be one `Bearer TOKEN`, with the admin token.";

/// Detail of the 401 response to a wrong bearer token.
const WRONG: &str = "The token in the Authorization header is wrong: it is not the admin token.";

/// What a browser sends once, to get a session.
pub enum Credential<'a> {
    /// The code of a login link.
    Code(&'a str),
    /// The admin token.
    Token(&'a str),
}

/// A caller that was let in.
#[derive(Debug)]
pub struct Authenticated {
    /// What it may do.
    pub rights: Rights,
    /// The session that let it in. `None` for a token in the request, which no browser sends by itself. The cookie of a
    /// session is sent with every request that a page makes, so the origin must be checked too.
    pub session: Option<SessionLifetime>,
}

/// An open session.
#[derive(Debug)]
pub struct OpenSession {
    /// Those of the token that the session was opened with.
    pub rights: Rights,
    /// How long it lasts.
    pub life: SessionLifetime,
}

/// Who may use the admin API.
#[derive(Debug)]
pub enum AdminAccess {
    /// `--dev`: everybody on this machine. An `Authorization` header is ignored.
    Dev,
    /// Those who show the admin token or have a session.
    Token(AdminAuth),
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
}

/// Admin authentication: accepts the admin token, or a session. A session is opened with the token or with a login
/// code.
#[derive(Debug)]
pub struct AdminAuth {
    token: AdminToken,
    codes: LoginKey,
    sessions: Sessions,
    failed_logins: FailedLoginLimiter,
    cookie: Cookie,
}

impl AdminAccess {
    /// How many requests had a wrong admin token, login link or code. 0 under `--dev`.
    pub fn failed_logins(&self) -> u64 {
        match self {
            Self::Dev => 0,
            Self::Token(auth) => auth.failed_logins.count(),
        }
    }
}

impl AdminAuth {
    /// Accepts `token`, and login codes that `codes` has signed.
    pub fn new(token: AdminToken, codes: LoginKey, cookie: Cookie) -> Self {
        Self { token, codes, sessions: Sessions::default(), failed_logins: FailedLoginLimiter::default(), cookie }
    }

    /// Authenticates a request. Where there is a bearer token, the token decides. A session counts only without one.
    ///
    /// # Errors
    /// 401, after a pause where the token is wrong. 429 where too many requests with a wrong token wait already.
    pub async fn authenticate(&self, headers: &HeaderMap, now: Timestamp) -> ApiResult<Authenticated> {
        let refused = |detail| ApiError::unauthorized("Bearer", "unauthorized", detail);
        match bearer(headers) {
            Some(given) if self.token.matches(given) => {
                return Ok(Authenticated { rights: Rights::OWNER, session: None });
            }
            Some(_) => return Err(self.failed_logins.refuse(refused(WRONG)).await),
            None => {}
        }
        match self.session(headers, now) {
            Some(OpenSession { rights, life }) => Ok(Authenticated { rights, session: Some(life) }),
            None if headers.contains_key(AUTHORIZATION) => Err(refused(NO_BEARER)),
            None => Err(refused(UNAUTHORIZED)),
        }
    }

    async fn redeem(&self, headers: &HeaderMap, now: Timestamp) -> ApiResult<()> {
        let code = credentials(headers, b"login ").and_then(|code| std::str::from_utf8(code).ok());
        let good = code.and_then(|code| self.codes.check(code, now));
        if good.is_some_and(|good| self.sessions.redeem(&good, now)) {
            return Ok(());
        }
        let detail = "Only `data-pusher import` on this machine may do this.";
        Err(self.failed_logins.refuse(ApiError::unauthorized("Login", "login_refused", detail)).await)
    }

    /// Whether the request has the cookie of an open session.
    pub fn has_session(&self, headers: &HeaderMap, now: Timestamp) -> bool {
        self.session(headers, now).is_some()
    }

    /// The open session whose cookie the request has.
    pub fn session(&self, headers: &HeaderMap, now: Timestamp) -> Option<OpenSession> {
        let life = self.cookie.values(headers).find_map(|token| self.sessions.find(token, now))?;
        Some(OpenSession { rights: Rights::OWNER, life })
    }

    /// Opens a session and returns the value of `Set-Cookie`.
    ///
    /// # Errors
    /// 401 for a wrong token, and for a code that was used, has expired or is from an earlier start of the server. 429
    /// as for [`authenticate`](Self::authenticate).
    pub async fn log_in(&self, given: Credential<'_>, now: Timestamp) -> ApiResult<HeaderValue> {
        let (opens, detail) = match given {
            Credential::Code(code) => (
                self.codes.check(code, now).is_some_and(|good| self.sessions.redeem(&good, now)),
                "This link was used already, is older than 10 minutes, or is from before the server's last start. \
                 `data-pusher login-link` prints another.",
            ),
            Credential::Token(token) => (self.token.matches(token.as_bytes()), "This is not the admin token."),
        };
        if opens {
            return Ok(self.cookie.set(&self.sessions.open(now)));
        }
        Err(self.failed_logins.refuse(ApiError::unauthorized("Bearer", "login_refused", detail)).await)
    }

    /// Ends the session that the request has, if any, and returns the value of `Set-Cookie`.
    pub fn log_out(&self, headers: &HeaderMap) -> HeaderValue {
        self.cookie.values(headers).for_each(|token| self.sessions.close(token));
        self.cookie.cleared()
    }
}

/// The token of the `Authorization: Bearer` header. `None` where there is no such header, more than one, or an empty
/// token. Other schemes are ignored: a proxy may use them.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    credentials(headers, b"bearer ")
}

/// What stands behind the scheme in the one `Authorization` header.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &[u8]) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (line, None) = (lines.next()?.as_bytes(), lines.next()) else { return None };
    let (given, token) = line.split_at_checked(scheme.len())?;
    given.eq_ignore_ascii_case(scheme).then(|| token.trim_ascii()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::login::CODE_LIFETIME;

    const TOKEN: &str = "0123456789abcdef";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn auth() -> (AdminAuth, LoginKey) {
        let codes = LoginKey::generate();
        (AdminAuth::new(AdminToken::parse(TOKEN).unwrap(), codes.clone(), Cookie::new(8080, false)), codes)
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000)
    }

    /// The cookie that a browser sends after it got `set_cookie`.
    fn kept(set_cookie: &HeaderValue) -> String {
        set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    #[test]
    fn the_bearer_scheme_is_read_case_aside_and_only_once() {
        assert_eq!(bearer(&headers(&[("authorization", "bEaReR abc")])), Some(&b"abc"[..]));
        assert_eq!(bearer(&headers(&[("authorization", "Basic abc")])), None);
        assert_eq!(bearer(&headers(&[("authorization", "Bearer abc"), ("authorization", "Bearer abd")])), None);
        assert_eq!(bearer(&headers(&[("authorization", "Bear")])), None);
    }

    #[tokio::test]
    async fn what_does_not_open_is_told_apart() {
        let (auth, _) = auth();
        let told = async |lines: &[(&'static str, &str)]| {
            let error = auth.authenticate(&headers(lines), now()).await.unwrap_err();
            assert_eq!((error.problem.status, error.problem.code.as_str()), (401, "unauthorized"));
            error.problem.detail
        };
        assert_eq!(told(&[]).await, UNAUTHORIZED);
        assert_eq!(told(&[("cookie", "a=b")]).await, UNAUTHORIZED);
        for value in ["Basic YTpi", "Bearer", "Bearer ", TOKEN, ""] {
            assert_eq!(told(&[("authorization", value)]).await, NO_BEARER, "{value}");
        }
        let bearer = format!("Bearer {TOKEN}");
        assert_eq!(told(&[("authorization", &bearer), ("authorization", &bearer)]).await, NO_BEARER);
        assert_eq!(told(&[("authorization", "Bearer wrong")]).await, WRONG);
    }

    #[tokio::test]
    async fn a_code_opens_one_session_and_the_token_any_number() {
        let (auth, codes) = auth();
        let code = codes.code(now());
        let first = auth.log_in(Credential::Code(code.reveal()), now()).await.unwrap();
        let error = auth.log_in(Credential::Code(code.reveal()), now()).await.unwrap_err();
        assert_eq!((error.problem.status, error.problem.code.as_str()), (401, "login_refused"));
        let second = auth.log_in(Credential::Token(TOKEN), now()).await.unwrap();
        for cookie in [kept(&first), kept(&second)] {
            assert!(auth.authenticate(&headers(&[("cookie", &cookie)]), now()).await.unwrap().session.is_some());
        }
        let late = now().plus(CODE_LIFETIME);
        assert!(auth.log_in(Credential::Code(codes.code(now()).reveal()), late).await.is_err());
        assert!(auth.log_in(Credential::Code(LoginKey::generate().code(now()).reveal()), now()).await.is_err());
        assert!(auth.log_in(Credential::Token("0123456789abcdeF"), now()).await.is_err());
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_logged_out_of_and_after_a_week() {
        let (auth, _) = auth();
        let cookie = kept(&auth.log_in(Credential::Token(TOKEN), now()).await.unwrap());
        let request = headers(&[("cookie", &format!("theme=dark; {cookie}; x=y"))]);
        assert!(auth.has_session(&request, now().plus(Duration::from_secs(7 * 24 * 3_600 - 1))));
        assert!(!auth.has_session(&request, now().plus(Duration::from_secs(7 * 24 * 3_600))));
        let other = kept(&auth.log_in(Credential::Token(TOKEN), now()).await.unwrap());
        auth.log_out(&headers(&[("cookie", &other)]));
        assert!(!auth.has_session(&headers(&[("cookie", &other)]), now()));
        assert!(auth.has_session(&request, now()));
    }

    #[tokio::test]
    async fn a_wrong_bearer_token_is_not_mended_by_a_session() {
        let (auth, _) = auth();
        let cookie = kept(&auth.log_in(Credential::Token(TOKEN), now()).await.unwrap());
        let with = |authorization: &str| headers(&[("cookie", &cookie), ("authorization", authorization)]);
        assert!(auth.authenticate(&with("Bearer wrong"), now()).await.is_err());
        let good = auth.authenticate(&with(&format!("Bearer {TOKEN}")), now()).await.unwrap();
        assert!(good.session.is_none() && good.rights == Rights::OWNER);
        // A proxy in front of the server may ask for a password of its own.
        assert!(auth.authenticate(&with("Basic YTpi"), now()).await.unwrap().session.is_some());
    }
}
