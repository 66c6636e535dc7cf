//! What a refusal says to do, done as an operator would: pasted into a shell.

use std::process::Command;

/// Runs what begins with `word` in the line, as far as the last word that ends in `last`.
#[track_caller]
fn paste(line: &str, word: &str, last: &str) {
    let from = line.find(&format!(" {word} ")).unwrap_or_else(|| panic!("no {word} in: {line}")) + 1;
    let rest = &line[from..];
    let end = rest.rfind(last).unwrap_or_else(|| panic!("no end of {word} in: {line}")) + last.len();
    let quotes = rest[end..].find([' ', ';']).unwrap_or(rest.len() - end);
    let said = &rest[..end + quotes];
    let ran = Command::new("sh").arg("-c").arg(said).current_dir(std::env::temp_dir()).output().unwrap();
    assert!(ran.status.success(), "{said:?}: {ran:?}");
}

/// Moves a log or journal aside.
#[track_caller]
pub fn move_aside(line: &str) {
    paste(line, "mv", ".aside");
}

/// Says that there is no log.
#[track_caller]
pub fn touch(line: &str) {
    paste(line, "touch", "-wal");
}
