//! The login file and login links: how `data-pusher login-link` makes a link that the running server accepts, and how
//! other commands find that server.
//!
//! While the server runs, the file `DATABASE.login` (mode 0600) holds the server's address and the key that signs its
//! login codes. Each start makes a new key, so a file that was left behind by a crash is useless. Who takes the lock of
//! the database removes it.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::delivery::clock;
use crate::domain::login::{LoginCode, LoginKey};
use crate::domain::origin::Origin;
use crate::error::{Error, Kind, Result};
use crate::store;

/// How long `login-link` waits at most for the server on this machine to accept a connection.
const ALIVE_WITHIN: Duration = Duration::from_secs(2);

/// Content of the login file.
#[derive(Serialize, Deserialize)]
struct Note {
    /// Where the server listens.
    address: SocketAddr,
    /// Where browsers reach the server.
    url: String,
    /// The key that signs login codes.
    key: String,
}

/// The login file of a running server. Dropping this value removes the file.
pub struct LoginFile(PathBuf);

/// URL of the server for browsers: its public URL, or else `address` as seen from this machine.
pub fn base(address: SocketAddr, public: Option<&Origin>) -> String {
    public.map_or_else(|| format!("http://{}", reachable(address)), Origin::to_string)
}

/// An address that clients can connect to. A server that listens on all addresses is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The server that has written the login file, if it still runs.
pub struct RunningServer {
    /// Where the server listens on this machine. After a crash another program may listen there.
    pub address: SocketAddr,
    /// The key that only this server has.
    pub key: LoginKey,
}

impl RunningServer {
    /// A code that the server accepts once.
    pub fn code(&self) -> LoginCode {
        self.key.code(clock::wall())
    }
}

/// A new login link.
pub fn link(base: &str, key: &LoginKey) -> String {
    format!("{base}/login#{}", key.code(clock::wall()).reveal())
}

/// Writes the login file of a server.
///
/// # Errors
/// One line that says why the file cannot be written.
pub fn write(database: &Path, address: SocketAddr, url: &str, key: &LoginKey) -> Result<LoginFile> {
    let path = path(database);
    let note = Note { address: reachable(address), url: url.to_owned(), key: key.reveal() };
    let written = serde_json::to_vec(&note).map_err(std::io::Error::other);
    let written = written.and_then(|text| store::write_whole(&path, &text));
    match written {
        Ok(()) => Ok(LoginFile(path)),
        Err(error) => {
            let detail = format!("cannot write {}: {error}", path.display());
            Err(Error::new(Kind::Internal, "cannot_write_login_file", detail))
        }
    }
}

/// Makes a login link for the server that runs on `database`.
///
/// # Errors
/// One line that says why there is no link. Usually no server runs on the database.
pub fn new_link(database: &Path) -> Result<String> {
    let failed = |why: &str| Error::new(Kind::Internal, "no_login_link", format!("no login link: {why}"));
    let read = read(database).map_err(|error| failed(error.detail()))?;
    let (note, key) = read.ok_or_else(|| {
        let database = database.display();
        failed(&format!("no server that asks for a login runs on {database}; start it, or name its --database"))
    })?;
    Ok(link(&note.url, &key))
}

/// Finds the server that runs on `database`. `None` if it has no login file, as under `--dev`.
///
/// # Errors
/// One line that says why it is not found.
pub fn running_server(database: &Path) -> Result<Option<RunningServer>> {
    let read = read(database)?;
    Ok(read.map(|(note, key)| RunningServer { address: note.address, key }))
}

/// Reads the file of a server that answers. `None` if there is no such file.
fn read(database: &Path) -> Result<Option<(Note, LoginKey)>> {
    let failed = |why: &str| Error::new(Kind::Internal, "no_login_file", why);
    let path = path(database);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&format!("cannot read {}: {error}", path.display()))),
    };
    let damaged = || failed(&format!("{} is damaged; restart the server", path.display()));
    let note: Note = serde_json::from_slice(&text).map_err(|_| damaged())?;
    let key = LoginKey::parse(&note.key).ok_or_else(damaged)?;
    TcpStream::connect_timeout(&note.address, ALIVE_WITHIN)
        .map_err(|error| failed(&format!("the server does not answer at {}: {error}; start it", note.address)))?;
    Ok(Some((note, key)))
}

/// Path of the login file. The path is the same whatever name or link leads to the database.
fn path(database: &Path) -> PathBuf {
    let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    store::sibling_path(&database, ".login")
}

impl Drop for LoginFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove the login file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_where_a_browser_can_go() {
        let base = |address: &str, public: Option<&str>| {
            base(address.parse().unwrap(), public.map(|url| Origin::parse(url).unwrap()).as_ref())
        };
        assert_eq!(base("127.0.0.1:8080", None), "http://127.0.0.1:8080");
        assert_eq!(base("0.0.0.0:80", None), "http://127.0.0.1:80");
        assert_eq!(base("[::]:8080", None), "http://[::1]:8080");
        assert_eq!(base("10.0.0.5:8080", Some("https://push.example.com/")), "https://push.example.com");
        let link = link("https://push.example.com", &LoginKey::generate());
        assert!(link.starts_with("https://push.example.com/login#") && !link.contains('?'));
    }

    #[test]
    fn the_file_is_gone_with_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let posted = write(&database, "127.0.0.1:1".parse().unwrap(), "http://x", &LoginKey::generate()).unwrap();
        assert!(path(&database).exists());
        drop(posted);
        assert!(!path(&database).exists());
        assert!(new_link(&database).unwrap_err().detail().contains("--database"));
    }
}
