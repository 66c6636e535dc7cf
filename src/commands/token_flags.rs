//! A token by a flag or by a file: two ways to give one thing, each with a flag and a variable.

use std::io::ErrorKind;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource::{CommandLine, EnvVariable};

use super::hidden::may_hold_secret;

/// The way that counts. Nothing else of the two may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The token itself.
    Token,
    /// The file that holds it.
    File,
    /// At most one is given, so it does not matter.
    Any,
}

/// Of the two ways, a flag wins over the other way's variable, as it does over its own. `token` and `file` are the names
/// of the arguments.
///
/// # Errors
/// Both are flags, or both are variables.
pub fn way(matches: &ArgMatches, token: &str, file: &str) -> Result<Way, String> {
    let flag = |name: &str| format!("--{}", name.replace('_', "-"));
    let variable = |name: &str| format!("DATA_PUSHER_{}", name.to_uppercase());
    match (matches.value_source(token), matches.value_source(file)) {
        (Some(CommandLine), Some(CommandLine)) => {
            Err(format!("{} and {} are both given; give one of them", flag(token), flag(file)))
        }
        (Some(EnvVariable), Some(EnvVariable)) => {
            Err(format!("{} and {} are both set; set one of them", variable(token), variable(file)))
        }
        (Some(CommandLine), _) => Ok(Way::Token),
        (_, Some(CommandLine)) => Ok(Way::File),
        _ => Ok(Way::Any),
    }
}

/// The text of a file that holds a token. `what` names the token.
///
/// # Errors
/// One line that says why it cannot be read. If the token itself was given instead of a file, the line does not repeat it.
pub fn read(file: &Path, what: &str) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| {
        // A token may also be too long for a name, or lead through a file as if that were a folder.
        if file.symlink_metadata().is_err() && may_hold_secret(&file.to_string_lossy()) {
            let why = if error.kind() == ErrorKind::NotFound {
                "there is no such file".to_owned()
            } else {
                error.to_string()
            };
            return format!("cannot read the {what}: {why}; give the name of a file, not the {what} itself");
        }
        format!("cannot read the {what} from {}: {error}", file.display())
    })
}
