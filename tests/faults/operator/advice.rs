//! Does what a refusal advises, as an operator would: the command is pasted into a shell.

use std::process::Command;

/// Runs the command in the line that begins with `word`, up to the last word that ends in `last`.
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

/// Runs the `mv` of the line, which moves a log or journal aside.
#[track_caller]
pub fn move_aside(line: &str) {
    paste(line, "mv", ".aside");
}

/// Runs the `touch` of the line, which tells the server that there is no log.
#[track_caller]
pub fn touch(line: &str) {
    paste(line, "touch", "-wal");
}
