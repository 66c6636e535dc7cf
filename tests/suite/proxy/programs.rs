//! nginx and HAProxy before two instances, with the configurations of `examples/proxy` as they are there, but for
//! addresses and paths.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::client::NewAccount;
use crate::harness::{Client, Server, Setup, wait_until};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Nginx,
    HaProxy,
}

/// A proxy before two instances, ended on drop.
pub struct Proxy {
    kind: Kind,
    child: Child,
    pub address: SocketAddr,
    folder: TempDir,
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// An instance at an address that it has again after a restart.
pub fn instance(name: &str, flags: &[&str]) -> Server {
    let address = free_address().to_string();
    let own = ["--instance", name, "--listen", &address, "--allow-network", "127.0.0.1/32"];
    Setup::guarded().flags(&own).flags(flags).start()
}

impl Proxy {
    pub fn start(kind: Kind, eu: &Server, us: &Server) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
        let at = |name: &str| folder.path().join(name).display().to_string();
        let example = match kind {
            Kind::Nginx => include_str!("../../../examples/proxy/nginx.conf"),
            Kind::HaProxy => include_str!("../../../examples/proxy/haproxy.cfg"),
        };
        let mut text = example.to_owned();
        for (from, to) in [
            ("127.0.0.1:8080", address.to_string()),
            ("127.0.0.1:8081", eu.address.to_string()),
            ("127.0.0.1:8082", us.address.to_string()),
            ("/etc/nginx/data-pusher/", at("")),
            ("/etc/haproxy/data-pusher-moved.map", at("moved.map")),
            // Lines are added to the map while it runs.
            ("global\n", format!("global\n    stats socket {} level admin\n", at("admin"))),
        ] {
            let is_of_the_other = !example.contains(from);
            assert!(!is_of_the_other || from.starts_with("/etc/") || from == "global\n", "{from}");
            text = text.replace(from, &to);
        }
        std::fs::write(at("example"), text).unwrap();
        std::fs::write(at("moved.map"), "").unwrap();
        let mut command = match kind {
            Kind::Nginx => {
                // SAFETY: only reads a number.
                let user = if unsafe { libc::geteuid() } == 0 { "user root;\n" } else { "" };
                let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(|name| format!("{name}_temp_path {};\n", at(name)))
                    .concat();
                let main = format!(
                    "{user}daemon off;\npid {};\nworker_processes 2;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}include {};\n}}\n",
                    at("pid"),
                    at("example")
                );
                std::fs::write(at("main"), main).unwrap();
                let mut command = Command::new("nginx");
                command.args(["-p", &at(""), "-e", &at("log"), "-c", &at("main")]);
                command
            }
            Kind::HaProxy => {
                let mut command = Command::new("haproxy");
                command.args(["-db", "-f", &at("example")]);
                command
            }
        };
        let paths = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap());
        let child = command.env("PATH", paths).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{kind:?} is not installed: {error}"));
        let proxy = Self { kind, child, address, folder };
        wait_until("the proxy answers", || {
            proxy
                .client()
                .try_send("GET", "/", &[("host", "push.example.com")], None)
                .ok()
                .map(|answer| answer.expect(404))
        });
        proxy
    }

    pub fn client(&self) -> Client {
        Client::new(self.address, None)
    }

    /// Sends one event; the answer's status.
    pub fn push(&self, account: &NewAccount, number: usize) -> u16 {
        let body = json!({"number": number}).to_string();
        let headers = [("host", "push.example.com")];
        self.client().try_push(&account.token, &headers, body.as_bytes()).unwrap().status
    }

    /// From now on events of the account go to `instance`.
    pub fn moved(&self, account: &NewAccount, digest: &str, instance: &str) {
        match self.kind {
            Kind::Nginx => {
                let line = format!("{} data_pusher_{instance};\n", account.token);
                std::fs::write(self.folder.path().join("moved.map"), line).unwrap();
                self.signal(libc::SIGHUP);
            }
            Kind::HaProxy => {
                let mut admin = UnixStream::connect(self.folder.path().join("admin")).unwrap();
                let map = self.folder.path().join("moved.map");
                writeln!(admin, "add map {} {digest} data_pusher_{instance}", map.display()).unwrap();
                let mut said = String::new();
                admin.read_to_string(&mut said).unwrap();
                assert_eq!(said.trim(), "");
            }
        }
    }

    fn signal(&self, signal: i32) {
        let id = i32::try_from(self.child.id()).unwrap();
        // SAFETY: only sends a signal. The child was not waited for, so its process id is not used again.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // By SIGKILL the master of nginx would leave its workers behind.
        self.signal(libc::SIGTERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("log of the proxy: {log}");
        }
    }
}
