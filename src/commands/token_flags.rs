//! A token by a flag or by a file: two ways to give one thing, each with a flag and a variable.

use clap::ArgMatches;
use clap::parser::ValueSource::{CommandLine, EnvVariable};

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
