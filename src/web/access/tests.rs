//! Tests of who is let in.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::*;
use crate::domain::access::{Role, Scope};
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
    let (token, cookie) = (AdminToken::parse(TOKEN).unwrap(), Cookie::new(8080, false));
    (AdminAuth::new(token, Arc::new(Played::default()), codes.clone(), cookie), codes)
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000)
}

/// The cookie that a browser sends after it got `set_cookie`.
fn kept(set_cookie: &HeaderValue) -> String {
    set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
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
    assert_eq!(told(&[("authorization", "Bearer cl_wrong")]).await, OF_ACCOUNT);
}

#[tokio::test]
async fn an_admin_token_may_begin_as_that_of_an_account() {
    let (admin, cookie) = (AdminToken::parse("cl_0123456789abcdef").unwrap(), Cookie::new(8080, false));
    let auth = AdminAuth::new(admin, Arc::new(Played::default()), LoginKey::generate(), cookie);
    let request = headers(&[("authorization", "Bearer cl_0123456789abcdef")]);
    assert!(auth.authenticate(&request, now()).await.is_ok());
}

#[tokio::test]
async fn a_code_opens_one_session_and_the_token_any_number() {
    let (auth, codes) = auth();
    let code = codes.code(now());
    let first = auth.log_in(Credential::Code(code.reveal()), &HeaderMap::new(), now()).await.unwrap();
    let error = auth.log_in(Credential::Code(code.reveal()), &HeaderMap::new(), now()).await.unwrap_err();
    assert_eq!((error.problem.status, error.problem.code.as_str()), (401, "login_refused"));
    let second = auth.log_in(Credential::Token(TOKEN), &HeaderMap::new(), now()).await.unwrap();
    for cookie in [kept(&first), kept(&second)] {
        assert!(auth.authenticate(&headers(&[("cookie", &cookie)]), now()).await.unwrap().by_session);
    }
    let late = now().plus(CODE_LIFETIME);
    assert!(auth.log_in(Credential::Code(codes.code(now()).reveal()), &HeaderMap::new(), late).await.is_err());
    assert!(
        auth.log_in(Credential::Code(LoginKey::generate().code(now()).reveal()), &HeaderMap::new(), now())
            .await
            .is_err()
    );
    assert!(auth.log_in(Credential::Token("0123456789abcdeF"), &HeaderMap::new(), now()).await.is_err());
}

#[tokio::test]
async fn a_session_ends_when_it_is_logged_out_of_and_after_a_week() {
    let (auth, _) = auth();
    let cookie = kept(&auth.log_in(Credential::Token(TOKEN), &HeaderMap::new(), now()).await.unwrap());
    let request = headers(&[("cookie", &format!("theme=dark; {cookie}; x=y"))]);
    assert!(auth.has_session(&request, now().plus(Duration::from_secs(7 * 24 * 3_600 - 1))));
    assert!(!auth.has_session(&request, now().plus(Duration::from_secs(7 * 24 * 3_600))));
    let other = kept(&auth.log_in(Credential::Token(TOKEN), &HeaderMap::new(), now()).await.unwrap());
    auth.log_out(&headers(&[("cookie", &other)]));
    assert!(!auth.has_session(&headers(&[("cookie", &other)]), now()));
    assert!(auth.has_session(&request, now()));
}

#[tokio::test]
async fn a_login_takes_the_place_of_the_session_of_its_browser_and_a_refused_one_of_none() {
    let (auth, codes) = auth();
    let open = async |given, request: &HeaderMap| auth.log_in(given, request, now()).await.map(|line| kept(&line));
    let (first, other) = (open(Credential::Token(TOKEN), &HeaderMap::new()).await.unwrap(), {
        open(Credential::Token(TOKEN), &HeaderMap::new()).await.unwrap()
    });
    let [with_first, with_other] = [&first, &other].map(|cookie| headers(&[("cookie", cookie)]));
    assert!(open(Credential::Token("wrong"), &with_first).await.is_err());
    assert!(open(Credential::Code("wrong"), &with_first).await.is_err());
    assert!(auth.has_session(&with_first, now()));
    let code = codes.code(now());
    let second = open(Credential::Code(code.reveal()), &with_first).await.unwrap();
    assert!(auth.has_session(&headers(&[("cookie", &second)]), now()) && !auth.has_session(&with_first, now()));
    assert!(auth.has_session(&with_other, now()));
    assert!(auth.has_cookie(&with_first), "a cookie says nothing of a session");
    assert!(!auth.has_cookie(&HeaderMap::new()) && !auth.has_cookie(&headers(&[("cookie", "data_pusher_8080=")])));
}

#[tokio::test]
async fn a_wrong_bearer_token_is_not_mended_by_a_session() {
    let (auth, _) = auth();
    let cookie = kept(&auth.log_in(Credential::Token(TOKEN), &HeaderMap::new(), now()).await.unwrap());
    let with = |authorization: &str| headers(&[("cookie", &cookie), ("authorization", authorization)]);
    assert!(auth.authenticate(&with("Bearer wrong"), now()).await.is_err());
    let good = auth.authenticate(&with(&format!("Bearer {TOKEN}")), now()).await.unwrap();
    assert!(!good.by_session && good.rights == Rights::OWNER);
    // A proxy in front of the server may ask for a password of its own.
    assert!(auth.authenticate(&with("Basic YTpi"), now()).await.unwrap().by_session);
}

/// A table of tokens.
#[derive(Debug, Default)]
struct Played(Mutex<HashMap<TokenDigest, TokenLookup>>);

impl FindTokens for Played {
    fn look_up(&self, token: &TokenDigest, _: Timestamp) -> TokenLookup {
        self.0.lock().unwrap().get(token).cloned().unwrap_or(TokenLookup::Unknown)
    }

    fn works(&self, token: &TokenDigest, now: Timestamp) -> bool {
        matches!(self.look_up(token, now), TokenLookup::Works(_))
    }

    fn over(&self, token: &TokenDigest, now: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let is_over = self.look_up(token, now) == TokenLookup::Unknown;
        Box::pin(async move {
            if is_over {
            } else {
                std::future::pending().await
            }
        })
    }
}

#[tokio::test]
async fn a_token_with_a_role_gives_its_rights_to_its_sessions_and_ends_them() {
    let tokens = Arc::new(Played::default());
    let is = |lookup| drop(tokens.0.lock().unwrap().insert(TokenDigest::of(b"dpt_one"), lookup));
    let viewer = Rights { role: Role::Viewer, scope: Scope::All };
    is(TokenLookup::Works(viewer.clone()));
    let (admin, cookie) = (AdminToken::parse(TOKEN).unwrap(), Cookie::new(8080, false));
    let auth = AdminAuth::new(admin, Arc::clone(&tokens) as Arc<dyn FindTokens>, LoginKey::generate(), cookie);
    let by_token = headers(&[("authorization", "Bearer dpt_one")]);
    let shown = auth.authenticate(&by_token, now()).await.unwrap();
    assert!(shown.rights == viewer && !shown.by_session);
    let cookie = kept(&auth.log_in(Credential::Token("dpt_one"), &HeaderMap::new(), now()).await.unwrap());
    let by_session = headers(&[("cookie", &cookie)]);
    let opened = auth.authenticate(&by_session, now()).await.unwrap();
    assert!(opened.rights == viewer && opened.by_session);
    assert!(shown.life.check(now()).is_ok() && opened.life.check(now()).is_ok());
    is(TokenLookup::Expired);
    assert_eq!(auth.authenticate(&by_token, now()).await.unwrap_err().problem.detail, EXPIRED);
    assert!(
        auth.log_in(Credential::Token("dpt_one"), &HeaderMap::new(), now())
            .await
            .unwrap_err()
            .problem
            .detail
            .contains("expired")
    );
    let detail = |life: &Lifetime| life.check(now()).unwrap_err().problem.detail;
    assert_eq!((detail(&shown.life).as_str(), detail(&opened.life).as_str()), (EXPIRED, UNAUTHORIZED));
    assert!(auth.authenticate(&by_session, now()).await.is_err());
    is(TokenLookup::Unknown);
    assert_eq!((detail(&shown.life).as_str(), detail(&opened.life).as_str()), (WRONG, UNAUTHORIZED));
    assert_eq!(auth.authenticate(&by_token, now()).await.unwrap_err().problem.detail, WRONG);
    for life in [shown.life.clone(), opened.life.clone()] {
        tokio::time::timeout(Duration::from_secs(20), life.over(now)).await.unwrap();
    }
    // What has ended does not come back.
    is(TokenLookup::Works(viewer));
    assert!(opened.life.check(now()).is_err());
    assert!(auth.authenticate(&by_session, now()).await.is_err());
}

/// A table in which every token works as a viewer until this time.
#[derive(Debug)]
struct Expiring(Timestamp);

impl FindTokens for Expiring {
    fn look_up(&self, token: &TokenDigest, now: Timestamp) -> TokenLookup {
        let viewer = Rights { role: Role::Viewer, scope: Scope::All };
        if self.works(token, now) { TokenLookup::Works(viewer) } else { TokenLookup::Expired }
    }

    fn works(&self, _: &TokenDigest, now: Timestamp) -> bool {
        now < self.0
    }

    fn over(&self, _: &TokenDigest, now: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(self.0.since(now)))
    }
}

/// A wall clock that a test sets, in milliseconds after [`now`].
static SET: AtomicI64 = AtomicI64::new(0);

fn settable() -> Timestamp {
    Timestamp::from_millis(now().millis() + SET.load(Ordering::Relaxed))
}

#[tokio::test]
async fn what_goes_on_ends_when_the_wall_clock_passes_the_end_also_if_it_jumps() {
    // Far away for every timer.
    const YEAR: i64 = 365 * 24 * 3_600_000;
    let table = Expiring(now().plus(Duration::from_secs(24 * 3_600)));
    let (admin, cookie) = (AdminToken::parse(TOKEN).unwrap(), Cookie::new(8080, false));
    let auth = AdminAuth::new(admin, Arc::new(table), LoginKey::generate(), cookie);
    let session = async |token| kept(&auth.log_in(Credential::Token(token), &HeaderMap::new(), now()).await.unwrap());
    let lines = [
        ("authorization", "Bearer dpt_one".to_owned()),
        ("cookie", session("dpt_one").await),
        ("cookie", session(TOKEN).await),
    ];
    let mut waits = Vec::new();
    for (name, value) in lines {
        let life = auth.authenticate(&headers(&[(name, &value)]), now()).await.unwrap().life;
        waits.push(tokio::spawn(life.over(settable)));
    }
    tokio::task::yield_now().await;
    assert!(waits.iter().all(|wait| !wait.is_finished()));
    SET.store(YEAR, Ordering::Relaxed);
    for wait in waits {
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap().unwrap();
    }
}
