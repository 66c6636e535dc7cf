//! What the server says when it is ready: a few lines on a terminal, log lines otherwise.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::logging::LogStyle;
use crate::process::output;

/// What people need to know of a server that has started.
pub struct Greeting<'a> {
    /// Where the server listens.
    pub address: SocketAddr,
    /// URL of the server for browsers.
    pub url: &'a str,
    /// Path of the database file.
    pub database: String,
    /// Name of this instance, if it has one.
    pub instance: Option<&'a str>,
    /// Whether the server runs under `--dev`.
    pub dev: bool,
    /// Opens a session once. `None` under `--dev`.
    pub link: Option<String>,
}

impl Greeting<'_> {
    /// Says it, in the style of the log.
    pub fn say(&self, style: LogStyle) {
        if style == LogStyle::Terminal {
            return output::log_line(self.banner().as_bytes());
        }
        tracing::info!(
            address = %self.address,
            dashboard = self.url,
            docs = format!("{}/docs", self.url),
            database = self.database,
            instance = self.instance,
            dev = self.dev,
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        let Some(link) = &self.link else { return };
        let what = "open this link to log in: it works once, within 10 minutes";
        if style == LogStyle::Json {
            tracing::info!(link, "{what}");
        } else {
            tracing::info!("{what}");
            // Alone on its line, so that a double click chooses all of it.
            output::log_line(format!("{link}\n").as_bytes());
        }
    }

    fn banner(&self) -> String {
        let mut text = format!("\nData Pusher {}\n\n", env!("CARGO_PKG_VERSION"));
        let mode = if self.dev {
            "--dev: no login, only for programs on this machine"
        } else {
            "asks for the admin token or a login"
        };
        let docs = format!("{}/docs", self.url);
        let lines = [
            ("Dashboard", self.url),
            ("API", &docs),
            ("Database", &self.database),
            ("Access", mode),
            ("Stop", "Ctrl-C"),
        ];
        let instance = self.instance.map(|name| ("Instance", name));
        for (name, value) in instance.into_iter().chain(lines) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<10} {value}");
        }
        if let Some(link) = &self.link {
            let _ = write!(text, "\nOpen this link to log in. It works once, within 10 minutes:\n{link}\n");
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(link: Option<&str>) -> Greeting<'static> {
        Greeting {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            url: "http://127.0.0.1:8080",
            database: "/tmp/a.db".to_owned(),
            instance: Some("eu"),
            dev: link.is_none(),
            link: link.map(str::to_owned),
        }
    }

    #[test]
    fn the_link_stands_alone_on_its_line() {
        let text = greeting(Some("http://127.0.0.1:8080/login#abc")).banner();
        assert!(text.lines().any(|line| line == "http://127.0.0.1:8080/login#abc"), "{text}");
        assert!(text.contains("  Instance   eu\n"), "{text}");
        assert!(text.contains("Data Pusher") && text.contains("/tmp/a.db") && text.contains("Ctrl-C"), "{text}");
    }

    #[test]
    fn under_dev_there_is_no_link() {
        let text = greeting(None).banner();
        assert!(text.contains("--dev") && !text.contains("login#"), "{text}");
    }
}
