//! What sealed secrets cost: the same load with and without a key.

use std::path::Path;
use std::process::Command;

use super::compare::{Comparison, compare};
use super::sections::{Load, Run};
use super::support::Result;

/// Settings of a destination with secrets of all kinds.
const SETTINGS: &str = r#"{"headers": {"Authorization": "Bearer 0123456789abcdef0123456789abcdef"},
    "header_templates": {"X-Api-Key": "0123456789abcdef"}}"#;

/// Flags of a server that seals, with a new key in `folder`.
pub fn flags(binary: &Path, folder: &Path) -> Result<[String; 2]> {
    let key = folder.join("key");
    let made = Command::new(binary).args(["key", "new"]).arg(&key).output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    Ok(["--secrets-key-file".to_owned(), key.display().to_string()])
}

/// Measures the whole section.
pub fn measure(run: &mut Run) -> Result<()> {
    for (accounts, destinations, what) in [(1, 3, "3 destinations"), (1_000, 1, "1,000 accounts")] {
        let load = Load { accounts, destinations, settings: SETTINGS, ..Load::default() };
        let comparison = Comparison {
            plain: (&format!("plain, {what}"), load),
            other: (&format!("sealed, {what}"), Load { sealed: true, ..load }),
            of: "plain",
            least: 0.95,
            unit: ("events/s", 1.0),
        };
        compare(run, &comparison)?;
    }
    Ok(())
}
