//! What must be where: which file stands under which name, what it holds, which log it needs, and so whether a start is
//! served or refused. It changes as the files do, and never asks them.

use std::collections::BTreeMap;

use super::keep::Numbers;
use crate::harness::client::NewAccount;

/// A file, whatever names it has.
pub type FileId = usize;

/// What one server has left in its log.
pub type LogId = usize;

/// What is in a file together with the log that it needs.
#[derive(Debug, Clone)]
pub struct Content {
    pub account: NewAccount,
    pub holds: Numbers,
    /// The log without which it is not whole. A clean stop leaves none.
    pub needs: Option<LogId>,
    /// Somebody else has moved that log into it, and removed it.
    pub has_it: bool,
    pub is_old_version: bool,
}

/// What a start on a file comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Served,
    /// A new file is made.
    New,
    /// The log beside it is another file's.
    ForeignLog,
    /// The log that it needs is not beside it.
    NoLog,
    /// There is a log, and no file.
    NoFile,
}

impl Expected {
    /// What the line says, where it is refused.
    pub fn says(self) -> Option<&'static str> {
        match self {
            Self::Served | Self::New => None,
            Self::ForeignLog => Some("belongs to another file"),
            Self::NoLog => Some("move the log there"),
            Self::NoFile => Some("missing or empty"),
        }
    }
}

/// The folder. Names are of files in it; soft links are names of names.
#[derive(Debug, Default)]
pub struct Model {
    pub files: BTreeMap<String, FileId>,
    pub contents: BTreeMap<FileId, Content>,
    /// By the name of the file that they stand beside.
    pub logs: BTreeMap<String, LogId>,
    pub links: BTreeMap<String, String>,
    /// Logs that a line had somebody move aside, and their names.
    pub asides: Vec<(LogId, String)>,
    /// Copies and backups of any sort.
    pub backups: Vec<String>,
    next: usize,
}

impl Model {
    /// A number that none had.
    pub fn fresh(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    /// The name that a name leads to.
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

    /// Whether nothing has this name.
    pub fn is_free(&self, name: &str) -> bool {
        !self.files.contains_key(name) && !self.logs.contains_key(name) && !self.links.contains_key(name)
    }

    /// A new file.
    pub fn put(&mut self, name: &str, content: Content) {
        let file = self.fresh();
        self.files.insert(name.to_owned(), file);
        self.contents.insert(file, content);
    }

    /// `cp` of the file alone: over the one that stands there, which keeps its other names.
    pub fn copied(&mut self, from: &str, to: &str) {
        let content = self.content(from).expect("it is there").clone();
        match self.files.get(to) {
            Some(file) => _ = self.contents.insert(*file, content),
            None => self.put(to, content),
        }
    }

    /// `mv` of the file alone.
    pub fn moved(&mut self, from: &str, to: &str) {
        let file = self.files.remove(from).expect("it is there");
        self.files.insert(to.to_owned(), file);
        self.backups.retain(|name| name != from);
    }

    /// A server has ended on it and left its log.
    pub fn killed(&mut self, name: &str) {
        let log = self.fresh();
        self.logs.insert(name.to_owned(), log);
        let file = self.files[name];
        let content = self.contents.get_mut(&file).expect("it is there");
        (content.needs, content.has_it) = (Some(log), false);
    }

    /// A server has ended on it and left it alone.
    pub fn stopped(&mut self, name: &str) {
        self.logs.remove(name);
        let file = self.files[name];
        let content = self.contents.get_mut(&file).expect("it is there");
        (content.needs, content.has_it) = (None, false);
    }

    /// A name under which this log can be found, and whether it is of a file's log, rather than of one that was moved aside.
    pub fn where_is(&self, log: LogId) -> Option<(String, bool)> {
        let beside = self.logs.iter().find(|(_, id)| **id == log).map(|(name, _)| (format!("{name}-wal"), true));
        beside.or_else(|| self.asides.iter().find(|(id, _)| *id == log).map(|(_, name)| (name.clone(), false)))
    }
}
