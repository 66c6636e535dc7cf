//! The URL of a destination: an `http` or `https` URL that all readers understand in the same way.
//!
//! What only a lenient parser accepts is refused, so the URL that a person reads is the URL that is called. The parsed
//! form (WHATWG) is stored, in which an address has one spelling. Messages and `Debug` never show path or query, which
//! contain secrets at many receivers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

use super::network::NetworkPolicy;
use super::text::check_address;

/// Longest URL in bytes, as given and as stored.
pub const MAX_URL_BYTES: usize = 2_048;

/// A checked URL, in the form that is stored and sent.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetUrl(String);

impl TargetUrl {
    /// Parses and checks a URL that a client gave. Names are not resolved here: each attempt checks the address that it
    /// connects to.
    ///
    /// # Errors
    /// What is wrong, for people. Where the policy refuses an address, the text names the flag that allows it.
    pub fn parse(text: &str, policy: &NetworkPolicy) -> Result<Self, String> {
        check_text(text)?;
        check_authority(authority(text))?;
        let url = Url::parse(text).map_err(|error| format!("is not a valid URL: {error}"))?;
        match url.host() {
            Some(Host::Ipv4(address)) => policy.check(IpAddr::V4(address)).map_err(|refused| refused.to_string())?,
            Some(Host::Ipv6(address)) => policy.check(IpAddr::V6(address)).map_err(|refused| refused.to_string())?,
            Some(Host::Domain(name)) => check_name(name, policy)?,
            None => return Err(NO_HOST.to_owned()),
        }
        check_own(&url, policy)?;
        let parsed = String::from(url);
        if parsed.len() > MAX_URL_BYTES {
            return Err(format!("must be at most {MAX_URL_BYTES} bytes long once it is percent-encoded"));
        }
        Ok(Self(parsed))
    }

    /// A text from the database, which was parsed when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Whether a stored text is still a URL that requests can go to. Rules that may have changed since are not applied.
    pub fn is_readable(text: &str) -> bool {
        Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host in lower case. An IPv6 address has brackets, as in the URL.
    pub fn host(&self) -> &str {
        split_port(authority(&self.0)).0
    }

    /// The port in the URL, or the scheme's default.
    pub fn port_or_default(&self) -> u16 {
        let given = split_port(authority(&self.0)).1.and_then(|port| port.parse().ok());
        given.unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Whether requests go over TLS.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Scheme, host, and the port if it is not the scheme's default. This part may be logged.
    pub fn origin(&self) -> &str {
        let start = self.0.find("://").map_or(0, |at| at + 3);
        &self.0[..start + authority(&self.0).len()]
    }

    /// Whether there is a `?`, even with nothing after it.
    pub fn has_query(&self) -> bool {
        self.0.contains('?')
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetUrl({}/***)", self.origin())
    }
}

const NO_HOST: &str = "must have a host after http:// or https://";

/// The part between `://` and the path, query or fragment.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end])
}

/// Splits host and port. The colons of an IPv6 address belong to the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let host_end = authority.find(']').unwrap_or(0);
    match authority[host_end..].find(':') {
        Some(at) => (&authority[..host_end + at], Some(&authority[host_end + at + 1..])),
        None => (authority, None),
    }
}

/// Refuses what the parser would silently correct or drop.
fn check_text(text: &str) -> Result<(), String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("must be at most {MAX_URL_BYTES} bytes long"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must have no spaces, tabs, line breaks or control characters; a space is written %20".to_owned());
    }
    check_address(text)?;
    if text.contains('\\') {
        return Err("must have no backslash; it is / between the parts, and %5C within one".to_owned());
    }
    let begins = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !begins("http://") && !begins("https://") {
        return Err("must begin with http:// or https://".to_owned());
    }
    if text.contains('#') {
        return Err("must have no fragment (from # on): it is never sent; a # that is meant is written %23".to_owned());
    }
    Ok(())
}

fn check_authority(authority: &str) -> Result<(), String> {
    if authority.contains('@') {
        return Err("must have no user name or password before the host; use the header Authorization".to_owned());
    }
    let (host, port) = split_port(authority);
    if host.is_empty() {
        return Err(NO_HOST.to_owned());
    }
    match port {
        None => Ok(()),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(())
        }
        Some(_) => Err("must have a port from 1 to 65535 after the colon, or no colon".to_owned()),
    }
}

/// Checks a host that is a name, in the parsed form. The parser accepts many names that no resolver or client accepts.
fn check_name(name: &str, policy: &NetworkPolicy) -> Result<(), String> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if bare.len() > 253 || !bare.split('.').all(label_fits) {
        return Err("must have a host name of letters, digits, - and _ between dots (at most 63 bytes each, 253 in \
             all) or an IP address"
            .to_owned());
    }
    if is_local(name) && policy.check(IpAddr::V4(Ipv4Addr::LOCALHOST)).is_err() {
        return Err("localhost is a loopback address; start the server with --allow-network 127.0.0.1/32 (and \
             --allow-network ::1/128 where the name has that address as well) to allow it"
            .to_owned());
    }
    Ok(())
}

/// Refuses the address that the server listens on, where the address is known without name resolution.
fn check_own(url: &Url, policy: &NetworkPolicy) -> Result<(), String> {
    let addresses = match url.host() {
        Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
        Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
        Some(Host::Domain(name)) if is_local(name) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        _ => Vec::new(),
    };
    let port = url.port_or_known_default().unwrap_or_default();
    if addresses.into_iter().any(|address| policy.is_own(SocketAddr::new(address, port))) {
        return Err("must not be this server itself: its deliveries would come back to it".to_owned());
    }
    Ok(())
}

/// Whether the name is `localhost` or ends in `.localhost`.
fn is_local(name: &str) -> bool {
    let bare = name.strip_suffix('.').unwrap_or(name);
    bare == "localhost" || bare.ends_with(".localhost")
}

#[cfg(test)]
mod tests;
