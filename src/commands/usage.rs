//! A wrong command line in one line: what is wrong, without a value that may hold a secret, and whose help says more.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::hidden::may_hold_secret;
use crate::process::harmless::harmless;

/// What is shown for a secret.
const MASK: &str = "***";

/// clap's message in one line: what is wrong, its hints, and whose help says more. Where a variable had the wrong value
/// and no flag, the variable is named.
pub fn one_line(error: clap::Error, given: &[OsString], program: &Command) -> String {
    let invalid = context(&error, ContextKind::InvalidArg).unwrap_or_default().to_owned();
    let name = invalid.split_whitespace().next().unwrap_or_default();
    let (used, command) = used(given, program);
    let flag = find_flag(command, &used, name).or_else(|| find_flag(program, "", name));
    let is_unknown = error.kind() == ErrorKind::UnknownArgument;
    let text = without_secrets(error, flag.as_ref().map(|(_, flag)| flag));
    let sentence: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let mut line = sentence.join(" ").trim_start_matches("error: ").to_owned();
    let is_given = given.iter().any(|given| given.to_string_lossy().split('=').next() == Some(name));
    if !is_unknown
        && !is_given
        && let Some((_, flag)) = flag
        && let Some(variable) = flag.get_env()
    {
        line = line.replace(&format!("for '{invalid}'"), &format!("in the variable {}", variable.display()));
    }
    let first = given.get(1).map(|first| first.to_string_lossy()).unwrap_or_default();
    let hint = find_flag(program, "", &first).filter(|_| is_unknown);
    let hint = hint.map(|(command, _)| format!("did you mean data-pusher {command}, and the flag after it?"));
    let tips = text.lines().map(str::trim).filter_map(|line| line.strip_prefix("tip: ")).map(str::to_owned);
    // Where a value is wrong, clap does not say whose flag was given it.
    let help = format!("data-pusher {used}{}--help", if used.is_empty() { "" } else { " " });
    let parts: Vec<String> = std::iter::once(line).chain(tips).chain(hint).collect();
    harmless(&format!("{}; see {help}", parts.join("; ")))
}

/// The command that the first words name, such as `key rotate`; empty, and the whole program, if they name none.
fn used<'a>(given: &[OsString], program: &'a Command) -> (String, &'a Command) {
    let (mut names, mut command) = (Vec::new(), program);
    for word in given.iter().skip(1) {
        let Some(found) = word.to_str().and_then(|word| command.find_subcommand(word)) else { break };
        names.push(found.get_name());
        command = found;
    }
    (names.join(" "), command)
}

/// A flag by its name, such as `--listen`, and the names of the command that has it: `command`, whose own names are
/// `names`, or one below.
fn find_flag(command: &Command, names: &str, name: &str) -> Option<(String, Arg)> {
    let long = name.strip_prefix("--")?;
    if let Some(flag) = command.get_arguments().find(|flag| flag.get_long() == Some(long)) {
        return Some((names.to_owned(), flag.clone()));
    }
    command.get_subcommands().find_map(|below| {
        let names =
            if names.is_empty() { below.get_name().to_owned() } else { format!("{names} {}", below.get_name()) };
        find_flag(below, &names, name)
    })
}

fn names_a_file(flag: &Arg) -> bool {
    flag.get_value_names().is_some_and(|names| names.iter().any(|name| name == "FILE"))
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// clap's whole message. `***` stands for values of flags whose variable the help does not show either, unless they name
/// a file, and for all that looks like a secret: it may have come to the wrong place.
fn without_secrets(mut error: clap::Error, flag: Option<&Arg>) -> String {
    let is_hidden = flag.is_some_and(|flag| flag.is_hide_env_values_set() && !names_a_file(flag));
    let mut secrets = Vec::new();
    for kind in [ContextKind::InvalidValue, ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        let is_value = kind == ContextKind::InvalidValue;
        let secret = context(&error, kind).filter(|text| (is_value && is_hidden) || may_hold_secret(text));
        if let Some(secret) = secret.filter(|text| !text.is_empty()).map(str::to_owned) {
            error.insert(kind, ContextValue::String(MASK.to_owned()));
            secrets.push(secret);
        }
    }
    // A tip may repeat it.
    secrets.iter().fold(error.render().to_string(), |text, secret| text.replace(&format!("'{secret}'"), MASK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        let url = Arg::new("url").long("url").hide_env_values(true);
        let url = url.value_parser(|_: &str| Err::<String, _>("it is wrong, and not h".to_owned()));
        let file = Arg::new("file").long("file").value_name("FILE").env("TEST_FILE_OF_A_FLAG").hide_env_values(true);
        let file = file.value_parser(|_: &str| Err::<String, _>("there is no such file".to_owned()));
        let deep = Command::new("key").subcommand(Command::new("turn").arg(file));
        let ask = Command::new("ask").arg(url).arg(Arg::new("count").long("count"));
        Command::new("data-pusher").subcommand(ask).subcommand(deep)
    }

    fn refused(words: &[&str]) -> String {
        let given: Vec<OsString> =
            std::iter::once("data-pusher").chain(words.iter().copied()).map(Into::into).collect();
        let error = program().try_get_matches_from(&given).unwrap_err();
        one_line(error, &given, &program())
    }

    #[test]
    fn a_value_that_may_hold_a_secret_is_left_out() {
        for url in ["http://ada:canary@h/", "canary", "h", "h\n\ncanary", "can'ary", "canary\u{1b}[0m", ""] {
            let line = refused(&["ask", &format!("--url={url}")]);
            assert!(line.contains("--url <url>") && !line.contains("canary") && !line.contains('\n'), "{line}");
            assert!(line.ends_with("; see data-pusher ask --help"), "{line}");
        }
        for words in [&["ask", "cl_canary"][..], &["cl_canary"], &["ask", "--cuont=cl_canary"], &["ask", "-tcl_canary"]]
        {
            assert!(!refused(words).contains("canary"), "{}", refused(words));
        }
    }

    #[test]
    fn a_file_is_named_and_a_key_in_its_place_is_not() {
        let key = "k/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+/abcdef=";
        let line = refused(&["key", "turn", "--file", key]);
        assert!(line.contains("'***'") || line.contains("***"), "{line}");
        assert!(!line.contains("ABCDEF") && line.ends_with("; see data-pusher key turn --help"), "{line}");
        let line = refused(&["key", "turn", "--file=/etc/data-pusher/secrets-key"]);
        assert!(line.contains("'/etc/data-pusher/secrets-key'") && line.contains("--file <FILE>"), "{line}");
        let line = refused(&["key", "--file=a"]);
        assert!(line.ends_with("; see data-pusher key --help"), "{line}");
        assert!(refused(&["--file", "a"]).contains("did you mean data-pusher key turn"));
    }

    #[test]
    fn other_values_are_shown_and_cannot_control_the_terminal() {
        assert!(refused(&["ask", "stray"]).contains("'stray'"));
        let line = refused(&["ask", "a\u{1b}[2J\u{7}\u{9b}\u{202e}b"]);
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
}
