//! Where documents come from: a file or standard input, read into a run.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Seek as _};
use std::path::PathBuf;

use super::documents::{Documents, Item};
use super::keys::Keys;
use super::report::Report;
use super::run::{Pending, Run};
use super::sender::Fate;
use crate::domain::event_type::EventType;

/// An input that is open.
pub enum Input {
    /// Standard input.
    Standard,
    /// A file, and its path for messages.
    File(File, PathBuf),
}

/// What goes into the keys besides a document, its line and its type.
pub enum KeyChoice {
    /// The content of the input.
    Content,
    /// A name of the user's choice.
    Name(String),
    /// A random value.
    Fresh,
}

impl Input {
    /// Opens a file.
    ///
    /// # Errors
    /// One line that says why it cannot be read.
    pub fn open(path: PathBuf) -> Result<Self, String> {
        let cannot = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let file = File::open(&path).map_err(cannot)?;
        if file.metadata().map_err(cannot)?.is_dir() {
            return Err(format!("cannot read {}: it is a folder", path.display()));
        }
        Ok(Self::File(file, path))
    }

    /// Its length in bytes. `None` where that is not known, as of a pipe.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Standard => None,
            Self::File(file, _) => file.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len()),
        }
    }

    /// Whether somebody types it.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Standard) && io::stdin().is_terminal()
    }

    /// Reads it to its end, or to the run's.
    ///
    /// # Errors
    /// One line that says why it cannot be read.
    pub fn read(
        self,
        by_line: bool,
        keys: KeyChoice,
        event_type: Option<&EventType>,
        run: &Run,
        report: &Report,
    ) -> Result<(), String> {
        let name = match &self {
            Self::Standard => "standard input".to_owned(),
            Self::File(_, path) => path.display().to_string(),
        };
        let cannot = |error: io::Error| format!("cannot read {name}: {error}");
        let (keys, input) = self.with_keys(keys).map_err(cannot)?;
        let mut keys = keys.with_event_type(event_type.map(EventType::to_string));
        let mut documents = Documents::new(input, by_line);
        while let Some(item) = documents.read_next().map_err(cannot)? {
            match item {
                Item::TooLong(place) => report.settle(place, &Fate::TooLong),
                Item::Document(place, body) => {
                    let key = keys.make(place.line, &body);
                    if !run.put(Pending { place, body, key }) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The keys, and the input from its beginning. A file that can be read twice is read once for its keys.
    fn with_keys(mut self, choice: KeyChoice) -> io::Result<(Keys, Box<dyn Read + Send>)> {
        let can_be_read_twice = self.length().is_some();
        let keys = match (choice, &mut self) {
            (KeyChoice::Content, Self::File(file, _)) if can_be_read_twice => {
                let keys = Keys::of_file(file)?;
                file.rewind()?;
                keys
            }
            (KeyChoice::Content, _) => Keys::of_stream(),
            (KeyChoice::Name(name), _) => Keys::named(&name),
            (KeyChoice::Fresh, _) => Keys::fresh(),
        };
        let input: Box<dyn Read + Send> = match self {
            Self::File(file, _) => Box::new(file),
            Self::Standard => Box::new(io::stdin()),
        };
        Ok((keys, input))
    }
}
