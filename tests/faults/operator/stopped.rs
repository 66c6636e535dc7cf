//! What the operator of a random sequence does while no server runs.

use std::os::unix::fs::symlink;

use rusqlite::Connection;

use super::acts::{NAMES, Operator};
use super::host::Start;
use super::keep::{self, Numbers, cp, mv, served};
use super::model::{Content, Expected};
use crate::file::with_ending;

impl Operator<'_> {
    fn free_name(&mut self) -> Option<String> {
        let free: Vec<String> =
            NAMES.iter().filter(|name| self.model.is_free(name)).map(|name| (*name).to_owned()).collect();
        self.choice(&free)
    }

    fn any_file(&mut self) -> Option<String> {
        let files: Vec<String> = self.model.files.keys().cloned().collect();
        self.choice(&files)
    }

    /// Puts a file in the place of another one, or in a free place.
    pub fn restore(&mut self) {
        let backups: Vec<String> = self.model.files.keys().cloned().collect();
        let Some(backup) = self.choice(&backups) else { return self.start() };
        let places: Vec<String> = NAMES.iter().map(|name| self.model.leads_to(name)).collect();
        let place = self.choice(&places).expect("a place");
        if self.model.files.get(&backup) == self.model.files.get(&place) {
            return self.start_on(&backup);
        }
        let moves = self.random.bool();
        let (act, with_log) = (if moves { mv } else { cp }, self.random.bool());
        let what = if moves { "mv" } else { "cp" };
        act(&self.path(&backup), &self.path(&place));
        let log = self.model.logs.get(&backup).copied().filter(|_| with_log);
        if let Some(log) = log {
            act(&with_ending(&self.path(&backup), "-wal"), &with_ending(&self.path(&place), "-wal"));
            self.model.logs.insert(place.clone(), log);
        }
        if moves {
            self.model.moved(&backup, &place);
            if log.is_some() {
                self.model.logs.remove(&backup);
            }
        } else {
            self.model.copied(&backup, &place);
        }
        let with = if log.is_some() { "with its log" } else { "alone" };
        self.says(format!("{what} {backup} {place}, {with}"));
        self.start_on(&place);
    }

    pub fn move_file(&mut self) {
        let (Some(from), Some(to)) = (self.any_file(), self.free_name()) else { return self.start() };
        let with_log = self.random.bool();
        mv(&self.path(&from), &self.path(&to));
        self.model.moved(&from, &to);
        if with_log && let Some(log) = self.model.logs.remove(&from) {
            mv(&with_ending(&self.path(&from), "-wal"), &with_ending(&self.path(&to), "-wal"));
            self.model.logs.insert(to.clone(), log);
        }
        self.says(format!("mv {from} {to}, {}", if with_log { "with its log" } else { "alone" }));
    }

    /// Copies a file and its log for later.
    pub fn copy_away(&mut self) {
        let Some(from) = self.any_file() else { return self.start() };
        let to = format!("copy-{}", self.model.fresh());
        cp(&self.path(&from), &self.path(&to));
        self.model.copied(&from, &to);
        if let Some(log) = self.model.logs.get(&from).copied() {
            cp(&with_ending(&self.path(&from), "-wal"), &with_ending(&self.path(&to), "-wal"));
            self.model.logs.insert(to.clone(), log);
        }
        self.says(format!("cp {from} {to}, with its log"));
        self.model.backups.push(to);
    }

    /// Another program opens a file, and SQLite then copies the log into the file.
    pub fn look(&mut self) {
        let looks = |name: &&String| self.model.expects(name) == Expected::Served;
        let files: Vec<String> = self.model.files.keys().filter(looks).cloned().collect();
        let Some(name) = self.choice(&files) else { return self.start() };
        self.says(format!("look into {name} with another program"));
        let file = Connection::open(self.path(&name)).unwrap();
        let count: usize = file.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap();
        drop(file);
        let id = self.model.files[&name];
        let content = self.model.contents.get_mut(&id).expect("it is there");
        assert_eq!(count, content.holds.len());
        if self.model.logs.remove(&name).is_some() {
            content.has_it = true;
        }
    }

    pub fn link_hard(&mut self) {
        let (Some(from), Some(to)) = (self.any_file(), self.free_name()) else { return self.start() };
        std::fs::hard_link(self.path(&from), self.path(&to)).unwrap();
        let file = self.model.files[&from];
        self.model.files.insert(to.clone(), file);
        self.says(format!("ln {from} {to}"));
    }

    /// The target of the link need not exist.
    pub fn link_soft(&mut self) {
        let Some(link) = self.free_name() else { return self.start() };
        let targets: Vec<String> =
            NAMES.iter().map(|name| (*name).to_owned()).filter(|to| self.model.leads_to(to) != link).collect();
        let to = self.choice(&targets).expect("a target");
        symlink(&to, self.path(&link)).unwrap();
        self.says(format!("ln -s {to} {link}"));
        self.model.links.insert(link, to);
    }

    pub fn put_old_version(&mut self) {
        let Some(name) = self.free_name() else { return self.start() };
        let first = 1_000_000 * self.model.fresh() as u64;
        let holds: Numbers = (first..first + 3).collect();
        let account = keep::of_version_3(&self.path(&name), &holds);
        self.model.put(&name, Content { account, holds, needs: None, has_it: false, is_old_version: true });
        self.says(format!("put a file of version 3 at {name}"));
        self.model.backups.push(name.clone());
        self.start_on(&name);
    }

    /// Starts the server where files cannot grow. Either the start is refused in one line, or the server serves what is
    /// there and accepts nothing else. No event is lost.
    pub fn start_with_a_full_disk(&mut self) {
        let served_ones = |name: &&String| {
            self.model.expects(name) == Expected::Served && !self.model.content(name).is_some_and(|c| c.is_old_version)
        };
        let files: Vec<String> = self.model.files.keys().filter(served_ones).cloned().collect();
        let Some(name) = self.choice(&files) else { return self.start() };
        // In blocks of 512 bytes. A file that is longer cannot be written beyond this length.
        let blocks = self.choice(&[0, 8, 64, 100, 130, 160, 200, 240, 300]).expect("a limit");
        self.says(format!("start on {name} where files have at most {blocks} blocks"));
        let limit = format!("ulimit -f {blocks}; exec \"$@\"");
        let wrapper = ["sh", "-c", &limit, "sh"];
        let file = self.model.files[&name];
        let content = self.model.contents.get_mut(&file).expect("it is there");
        match Start::on(self.folder.path(), &name).through(&wrapper).go() {
            Ok(host) => {
                let client = host.client();
                assert_eq!(served(&client, &content.account), content.holds, "{name}");
                let before = keep::numbers(&self.ledger);
                for _ in 0..10 {
                    assert!(self.ledger.send(&client, &content.account.token));
                }
                content.holds.extend(keep::numbers(&self.ledger).difference(&before));
                if self.random.bool() {
                    host.kill()
                } else {
                    host.terminate()
                }
                self.done.push("it was served, and ended".to_owned());
            }
            // With 0 blocks the line cannot be written either.
            Err(refusal) if blocks == 0 => assert_eq!(refusal.code, Some(1), "{refusal:?}"),
            Err(refusal) => self.done.push(refusal.line()),
        }
        // Either the file's log stands beside the file, or the file stands alone.
        let log = with_ending(&self.path(&name), "-wal");
        if log.exists() {
            self.model.killed(&name)
        } else {
            self.model.stopped(&name)
        }
        self.start_on(&name);
    }
}
