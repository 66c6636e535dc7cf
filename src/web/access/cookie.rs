//! The cookie that keeps a browser's session token (RFC 6265bis). This file writes and reads the header values. Which
//! sessions are open belongs in `sessions`.

use std::time::Duration;

use poem::http::header::COOKIE;
use poem::http::{HeaderMap, HeaderValue};

use super::sessions::LIFETIME;
use crate::domain::login::SessionToken;

/// How long a browser keeps the cookie after its session has ended by its age. The server lets nobody in with it then; it
/// only tells somebody who comes back that a session has ended, and leads them back to the page that they were on.
const KEPT_AFTER: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How many values of the session cookie are read from one request. Further ones are ignored: honest browsers do not
/// send that many.
const MAX_COOKIE_VALUES: usize = 8;

/// Name of the session cookie, and whether browsers send the cookie only over https.
#[derive(Debug)]
pub struct Cookie {
    name: String,
    secure: bool,
}

impl Cookie {
    /// The name holds the port, because browsers share cookies between all ports of a host. So two servers on one
    /// machine do not log each other out.
    ///
    /// Behind https the name has the prefix `__Host-`, so that other hosts of the domain cannot set the cookie.
    pub fn new(port: u16, behind_https: bool) -> Self {
        let prefix = if behind_https { "__Host-" } else { "" };
        Self { name: format!("{prefix}data_pusher_{port}"), secure: behind_https }
    }

    /// Value of `Set-Cookie` that starts a session.
    pub fn set(&self, token: &SessionToken) -> HeaderValue {
        self.line(token.reveal(), (LIFETIME + KEPT_AFTER).as_secs())
    }

    /// Value of `Set-Cookie` that makes a browser delete the cookie.
    pub fn cleared(&self) -> HeaderValue {
        self.line("", 0)
    }

    fn line(&self, value: &str, max_age: u64) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let line = format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}", self.name);
        let mut line = HeaderValue::try_from(line).expect("name and token are visible ASCII");
        line.set_sensitive(true);
        line
    }

    /// The values that a request has for this cookie, at most `MAX_COOKIE_VALUES`.
    pub fn values<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a [u8]> {
        let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(self.name.as_bytes())?.strip_prefix(b"="));
        values.take(MAX_COOKIE_VALUES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_other_sites_and_plain_http_do_not_get_it() {
        let token = SessionToken::generate();
        let line = Cookie::new(8080, true).set(&token);
        let expected = format!(
            "__Host-data_pusher_8080={}; Path=/; Max-Age=3196800; HttpOnly; SameSite=Strict; Secure",
            token.reveal()
        );
        assert_eq!(line, expected);
        assert!(line.is_sensitive());
        let line = Cookie::new(8080, false).cleared();
        assert_eq!(line, "data_pusher_8080=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    }

    #[test]
    fn it_is_found_among_others_and_only_under_its_own_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=b;data_pusher_8080=one ; xdata_pusher_8080=no"));
        headers
            .append(COOKIE, HeaderValue::from_static("data_pusher_80801=no; data_pusher_8080=two; data_pusher_8080"));
        let cookie = Cookie::new(8080, false);
        assert_eq!(cookie.values(&headers).collect::<Vec<_>>(), [b"one", b"two"]);
    }
}
