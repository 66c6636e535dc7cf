//! How to send an event from a terminal.

use crate::domain::event::SAMPLE;

/// Stands for a token that only its owner knows.
const PLACEHOLDER: &str = "TOKEN";

/// How to send an event.
pub struct Send {
    /// The token, where the page may show it.
    pub token: Option<String>,
    /// A command for a terminal.
    pub command: String,
}

/// The command that sends [`SAMPLE`] to the server at `url`. Without a token the command has a placeholder.
pub fn curl(url: &str, token: Option<&str>) -> Send {
    let shown = token.unwrap_or(PLACEHOLDER);
    let command = format!(
        "curl -s {url}/server/incoming_data \\\n  -H 'CL-XTOKEN: {shown}' -H 'Content-Type: application/json' \\\n  \
         -d '{SAMPLE}'"
    );
    Send { token: token.map(str::to_owned), command }
}
