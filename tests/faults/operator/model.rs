//! A model of the folder: which file has which name, what each file holds, and which log it needs. So the model knows
//! whether a start is served or refused. The model follows the acts and never reads the files.

use std::collections::BTreeMap;

use super::keep::Numbers;
use crate::harness::client::NewAccount;

/// A file, whatever names it has.
pub type FileId = usize;

/// The log that one server has left.
pub type LogId = usize;

/// The events in a file together with the log that the file needs.
#[derive(Debug, Clone)]
pub struct Content {
    pub account: NewAccount,
    pub holds: Numbers,
    /// The log that the file needs to be whole. After a clean stop there is none.
    pub needs: Option<LogId>,
    /// Another program has copied that log into the file and removed the log.
    pub has_it: bool,
    pub is_old_version: bool,
}

/// What a start on a file must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Served,
    /// A new file is created.
    New,
    /// The log beside the file belongs to another file.
    ForeignLog,
    /// The log that the file needs is not beside it.
    NoLog,
    /// There is a log, but no file.
    NoFile,
}

impl Expected {
    /// Text that the refusal must contain; `None` if the start is served.
    pub fn says(self) -> Option<&'static str> {
        match self {
            Self::Served | Self::New => None,
            Self::ForeignLog => Some("belongs to another file"),
            Self::NoLog => Some("move the log there"),
            Self::NoFile => Some("missing or empty"),
        }
    }
}

/// The folder. A name leads to a file, a soft link leads to a name.
#[derive(Debug, Default)]
pub struct Model {
    pub files: BTreeMap<String, FileId>,
    pub contents: BTreeMap<FileId, Content>,
    /// Logs, by the name of the file that each stands beside.
    pub logs: BTreeMap<String, LogId>,
    pub links: BTreeMap<String, String>,
    /// Logs that were moved aside because a line said so, with their names.
    pub asides: Vec<(LogId, String)>,
    /// Names of copies and backups.
    pub backups: Vec<String>,
    next: usize,
}

impl Model {
    /// A number that was not used before.
    pub fn fresh(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    /// The name at the end of the soft links.
    pub fn leads_to(&self, name: &str) -> String {
        self.links.get(name).map_or_else(|| name.to_owned(), |target| self.leads_to(target))
    }

    pub fn content(&self, name: &str) -> Option<&Content> {
        self.files.get(name).and_then(|file| self.contents.get(file))
    }

    pub fn expects(&self, name: &str) -> Expected {
        let log = self.logs.get(name);
        match (self.content(name).map(|content| content.needs), log) {
            (None, None) => Expected::New,
            (None, Some(_)) => Expected::NoFile,
            (Some(None), None) => Expected::Served,
            (Some(Some(_)), None) => Expected::NoLog,
            (Some(needs), Some(log)) if needs == Some(*log) => Expected::Served,
            (Some(_), Some(_)) => Expected::ForeignLog,
        }
    }

    /// Whether neither a file, a log nor a link has this name.
    pub fn is_free(&self, name: &str) -> bool {
        !self.files.contains_key(name) && !self.logs.contains_key(name) && !self.links.contains_key(name)
    }

    /// Adds a new file.
    pub fn put(&mut self, name: &str, content: Content) {
        let file = self.fresh();
        self.files.insert(name.to_owned(), file);
        self.contents.insert(file, content);
    }

    /// `cp` of the file without its log. A file that is overwritten keeps its other names.
    pub fn copied(&mut self, from: &str, to: &str) {
        let content = self.content(from).expect("it is there").clone();
        match self.files.get(to) {
            Some(file) => _ = self.contents.insert(*file, content),
            None => self.put(to, content),
        }
    }

    /// `mv` of the file without its log.
    pub fn moved(&mut self, from: &str, to: &str) {
        let file = self.files.remove(from).expect("it is there");
        self.files.insert(to.to_owned(), file);
        self.backups.retain(|name| name != from);
    }

    /// A server on this file was killed and left its log.
    pub fn killed(&mut self, name: &str) {
        let log = self.fresh();
        self.logs.insert(name.to_owned(), log);
        let file = self.files[name];
        let content = self.contents.get_mut(&file).expect("it is there");
        (content.needs, content.has_it) = (Some(log), false);
    }

    /// A server on this file stopped and left no log.
    pub fn stopped(&mut self, name: &str) {
        self.logs.remove(name);
        let file = self.files[name];
        let content = self.contents.get_mut(&file).expect("it is there");
        (content.needs, content.has_it) = (None, false);
    }

    /// A name of this log, and whether the log stands beside a file. If not, it was moved aside.
    pub fn where_is(&self, log: LogId) -> Option<(String, bool)> {
        let of_file = self.logs.iter().find(|(_, id)| **id == log).map(|(name, _)| (format!("{name}-wal"), true));
        of_file.or_else(|| self.asides.iter().find(|(id, _)| *id == log).map(|(_, name)| (name.clone(), false)))
    }
}
