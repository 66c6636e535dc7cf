//! The operator of a random sequence: acts on the program and its files, and updates the model.

use std::path::PathBuf;

use serde_json::json;

use super::advice;
use super::host::{Host, Start};
use super::keep::{self, cp, mv, served, stored};
use super::model::{Content, Expected, Model};
use super::sequences::Counts;
use crate::file::with_ending;
use crate::harness::{Receiver, wait_until};
use crate::ledger::Ledger;

/// Names that files and links get.
pub const NAMES: [&str; 7] = ["x.db", "y.db", "with a space.db", "Größe.db", "it's.db", "soft.db", "softer.db"];

/// Redirections of the shell. With the first two, standard error can be read.
const STREAMS: [&str; 6] = ["", "", "2>&-", "2>/dev/full", ">&- 2>&-", "2>/dev/null"];

pub struct Operator<'a> {
    pub folder: tempfile::TempDir,
    pub random: fastrand::Rng,
    receiver: &'a Receiver,
    pub ledger: Ledger,
    pub model: Model,
    /// The server that runs, and the real name of its file.
    pub running: Option<(Host, String)>,
    /// What was done, for people to read.
    pub done: Vec<String>,
    pub counts: Counts,
}

impl<'a> Operator<'a> {
    pub fn new(random: fastrand::Rng, receiver: &'a Receiver) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            random,
            receiver,
            ledger: Ledger::default(),
            model: Model::default(),
            running: None,
            done: Vec::new(),
            counts: Counts::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn says(&mut self, what: String) {
        self.done.push(what);
    }

    pub fn choice<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.random.usize(..from.len())].clone()) }
    }

    /// Does one act of those that are possible now.
    pub fn acts(&mut self) {
        self.counts.acts += 1;
        match (self.running.is_some(), self.random.u8(..24)) {
            (true, 0..=5) => self.push(),
            (true, 6..=8) => self.stop(),
            (true, 9..=12) => self.kill(),
            (true, 13) => self.kill_under_load(),
            (true, 14..=16) => self.back_up(),
            (true, 17) => self.start_a_second(),
            (true, 18) => self.move_and_move_back(),
            (true, 19) => self.move_and_stop(),
            (true, 20) => self.write_over(),
            (true, 21) => self.lose_the_log(),
            (true, _) => self.push(),
            (false, 0..=9) => self.start(),
            (false, 10..=15) => self.restore(),
            (false, 16 | 17) => self.move_file(),
            (false, 18) => self.look(),
            (false, 19) => self.link_hard(),
            (false, 20) => self.link_soft(),
            (false, 21) => self.put_old_version(),
            (false, 22) => self.copy_away(),
            (false, _) => self.start_with_a_full_disk(),
        }
    }

    /// Checks that every file is whole and holds what the model says.
    pub fn ends(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
        self.counts.events = self.ledger.count();
        for (name, file) in &self.model.files {
            let content = &self.model.contents[file];
            let log = self.model.logs.get(name).copied();
            if content.needs.is_some() && content.needs != log && !content.has_it {
                continue;
            }
            // A file's log is played only with the file that it belongs to.
            let alone = self.path("alone.db");
            cp(&self.path(name), &alone);
            if content.needs.is_some() && !content.has_it {
                cp(&with_ending(&self.path(name), "-wal"), &with_ending(&alone, "-wal"));
            }
            assert_eq!(stored(&alone), content.holds, "{name}");
            let _ = std::fs::remove_file(with_ending(&alone, "-wal"));
        }
    }

    pub fn start(&mut self) {
        let mut names: Vec<String> = self.model.files.keys().chain(self.model.links.keys()).cloned().collect();
        names.extend(self.model.logs.keys().cloned());
        names.push(NAMES[0].to_owned());
        let name = self.choice(&names).expect("a name");
        self.start_on(&name);
    }

    /// Starts the server on `name`. If a start is refused, does what the line says, until a start is served or nothing
    /// helps.
    pub fn start_on(&mut self, name: &str) {
        for _ in 0..6 {
            let to = self.model.leads_to(name);
            let expected = self.model.expects(&to);
            let given = match self.random.u8(..4) {
                0 => self.path(name).into_os_string(),
                1 => format!("./{name}").into(),
                _ => name.into(),
            };
            let start = Start::on(self.folder.path(), given);
            let Some(says) = expected.says() else {
                let streams = self.choice(&STREAMS).expect("streams");
                self.says(format!("start on {name} {streams}: {expected:?}"));
                let before = self.copies_of_upgrades(&to);
                let host = Self::served(&start.redirected(streams));
                return self.started(host, to, &before);
            };
            self.says(format!("start on {name}: {expected:?}"));
            let line = start.refused();
            assert!(line.contains(says), "{line}");
            self.counts.refused += 1;
            if !self.follows(expected, &to, &line) {
                return;
            }
        }
        panic!("what the lines say does not help");
    }

    /// Starts the server, and retries while the refusal cannot be read: another process may have taken its port.
    #[track_caller]
    fn served(start: &Start) -> Host {
        wait_until("it has a port", || match start.go() {
            Ok(host) => Some(host),
            Err(refusal) if refusal.said.is_empty() => None,
            Err(refusal) => panic!("it is refused: {refusal:?}"),
        })
    }

    fn started(&mut self, host: Host, name: String, before: &[String]) {
        self.counts.served += 1;
        let client = host.client();
        if self.model.content(&name).is_none() {
            let account = client.create_account("ada");
            client.create_destination(&account, &self.receiver.url("/in"), "POST", json!({}));
            let holds = keep::Numbers::new();
            self.model.put(&name, Content { account, holds, needs: None, has_it: false, is_old_version: false });
        }
        let file = self.model.files[&name];
        let content = self.model.contents.get_mut(&file).expect("it is there");
        assert_eq!(served(&client, &content.account), content.holds, "{name}");
        if std::mem::take(&mut content.is_old_version) {
            let copy = Content { is_old_version: true, needs: None, ..content.clone() };
            let new: Vec<String> =
                self.copies_of_upgrades(&name).into_iter().filter(|copy| !before.contains(copy)).collect();
            assert_eq!(new.len(), 1, "an upgrade leaves one copy");
            self.model.put(&new[0], copy);
            self.model.backups.push(new[0].clone());
        }
        // From now on the log belongs to the running server.
        self.model.logs.remove(&name);
        self.running = Some((host, name));
    }

    fn copies_of_upgrades(&self, name: &str) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|other| other.starts_with(&format!("{name}.v3-"))).collect()
    }

    /// Does what a refusal says. Returns whether there was something to do.
    fn follows(&mut self, refused: Expected, name: &str, line: &str) -> bool {
        let log = with_ending(&self.path(name), "-wal");
        match refused {
            Expected::ForeignLog => self.moves_aside(name, line),
            Expected::NoFile => {
                let id = self.model.logs[name];
                let needs_it =
                    |model: &Model, other: &String| model.content(other).is_some_and(|c| c.needs == Some(id));
                match self.model.files.keys().find(|other| needs_it(&self.model, other)).cloned() {
                    Some(other) => {
                        self.says(format!("put back {other}"));
                        mv(&self.path(&other), &self.path(name));
                        self.model.moved(&other, name);
                    }
                    None => self.moves_aside(name, line),
                }
            }
            Expected::NoLog => {
                let content = self.model.content(name).expect("it is there");
                let (needs, has_it) = (content.needs.expect("it needs one"), content.has_it);
                match self.model.where_is(needs) {
                    _ if has_it => {
                        self.says("touch".to_owned());
                        advice::touch(line);
                        let file = self.model.files[name];
                        self.model.contents.get_mut(&file).expect("it is there").needs = None;
                    }
                    Some((place, _)) => {
                        self.says(format!("copy the log there from {place}"));
                        cp(&self.path(&place), &log);
                        self.model.logs.insert(name.to_owned(), needs);
                    }
                    None => {
                        self.says("give it up".to_owned());
                        return false;
                    }
                }
            }
            Expected::Served | Expected::New => unreachable!("it is not refused"),
        }
        true
    }

    fn moves_aside(&mut self, name: &str, line: &str) {
        self.says("move the log aside".to_owned());
        let aside = line.split("-wal.aside").nth(1).map(|rest| rest.split(['\'', ';', ' ']).next().unwrap_or_default());
        let aside = format!("{name}-wal.aside{}", aside.unwrap_or_default());
        assert!(!self.path(&aside).exists(), "it would be written over");
        advice::move_aside(line);
        assert!(self.path(&aside).exists(), "{line}");
        let log = self.model.logs.remove(name).expect("it is there");
        self.model.asides.push((log, aside));
    }

    pub fn push(&mut self) {
        let Some((host, name)) = &self.running else { return };
        let count = self.random.usize(1..6);
        let file = self.model.files[name];
        let content = self.model.contents.get_mut(&file).expect("it is there");
        let new = keep::push(host, &self.ledger, &content.account, count);
        content.holds.extend(new);
        self.done.push(format!("push {count}"));
    }
}
