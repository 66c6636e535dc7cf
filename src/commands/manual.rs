//! `data-pusher completions` and `data-pusher man`: files for shells and for `man`, made of the flags.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::error::{Error, Result};

#[derive(Debug, Args)]
pub struct Completions {
    /// Shell to complete for
    shell: Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// Folder for the pages, such as /usr/local/share/man/man1; created if there is none
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Completions {
    /// The script that completes `command` in the shell.
    pub fn script(&self, mut command: Command) -> String {
        let (name, mut script) = (command.get_name().to_owned(), Vec::new());
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        String::from_utf8_lossy(&script).into_owned()
    }
}

impl Man {
    /// The folder.
    pub fn folder(self) -> PathBuf {
        self.folder
    }
}

/// Writes a page for `command` and one for each of its subcommands.
///
/// # Errors
/// One line that says what cannot be written.
pub fn write_pages(command: Command, folder: &Path) -> Result<()> {
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| Error::internal(format!("cannot write man pages to {}: {error}", folder.display())))
}
