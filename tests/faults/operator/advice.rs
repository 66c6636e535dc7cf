//! What a refusal says to do, done as an operator would: pasted into a shell.

use std::process::Command;

/// Runs what follows `word` in the line, as far as `last` ends a word of the shell.
#[track_caller]
fn paste(line: &str, word: &str, last: &str) {
    let from = line.find(&format!(" {word} ")).unwrap_or_else(|| panic!("no {word} in: {line}")) + 1;
    let rest = &line[from..];
    let ends = rest.match_indices(last).map(|(at, _)| at + last.len());
    let whole = |end: &usize| {
        let after = &rest[*end..];
        let quotes = rest[..*end].matches('\'').count();
        // The closing quote is of the word.
        if quotes % 2 == 1 { after.starts_with('\'') } else { after.is_empty() || after.starts_with([' ', ';', '.']) }
    };
    let end = ends.filter(whole).last().unwrap_or_else(|| panic!("no end of {word} in: {line}"));
    let end = if rest[..end].matches('\'').count() % 2 == 1 { end + 1 } else { end };
    let ran = Command::new("sh").arg("-c").arg(&rest[..end]).output().unwrap();
    assert!(ran.status.success(), "{:?}: {ran:?}", &rest[..end]);
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
