//! What the operator of a random sequence does while a server runs.

use super::acts::Operator;
use super::keep::{self, cp, mv, stands_alone};
use super::model::Content;

const SIGNALS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

impl Operator<'_> {
    pub fn stop(&mut self) {
        let signal = self.choice(&SIGNALS).expect("a signal");
        let (host, name) = self.running.take().expect("it runs");
        self.says(format!("stop by {signal}"));
        let said = host.stop(signal);
        self.says(said);
        stands_alone(&self.path(&name));
        self.done.pop();
        self.model.stopped(&name);
    }

    pub fn kill(&mut self) {
        let (host, name) = self.running.take().expect("it runs");
        self.says("kill -9".to_owned());
        host.kill();
        self.model.killed(&name);
    }

    /// Events that were sent and not answered may be stored or not. What the file holds after the kill must stay.
    pub fn kill_under_load(&mut self) {
        let (host, name) = self.running.take().expect("it runs");
        self.says("kill -9 under load".to_owned());
        let account = self.model.content(&name).expect("it is there").account.clone();
        let before = keep::numbers(&self.ledger);
        let client = host.client();
        let sent = self.ledger.sent();
        self.ledger.under_load(&client, &account.token, 3, || {
            self.ledger.wait_for_more(10);
            host.kill();
        });
        let has = keep::stored(&self.path(&name));
        let file = self.model.files[&name];
        let content = self.model.contents.get_mut(&file).expect("it is there");
        content.holds.extend(keep::numbers(&self.ledger).difference(&before));
        assert!(has.is_superset(&content.holds), "lost: {:?}", content.holds.difference(&has));
        assert!(has.difference(&content.holds).all(|number| *number >= sent), "{has:?} is more than was sent");
        content.holds = has;
        self.model.killed(&name);
    }

    /// Makes a backup with SQLite.
    pub fn back_up(&mut self) {
        let backup = format!("backup-{}", self.model.fresh());
        let (_, name) = self.running.as_ref().expect("it runs");
        let (from, to) = (self.path(name), self.path(&backup));
        let content = self.model.content(name).expect("it is there").clone();
        let way = if self.random.bool() { "VACUUM INTO" } else { ".backup" };
        if way == ".backup" {
            keep::back_up(&from, &to)
        } else {
            keep::vacuum_into(&from, &to)
        }
        self.says(format!("{way} {backup}"));
        self.model.put(&backup, Content { needs: None, ..content });
        self.model.backups.push(backup);
    }

    pub fn start_a_second(&mut self) {
        let (_, name) = self.running.as_ref().expect("it runs");
        let file = self.model.files[name];
        let is_it = |other: &String| self.model.files.get(&self.model.leads_to(other)) == Some(&file);
        let all = self.model.files.keys().chain(self.model.links.keys());
        let names: Vec<String> = all.filter(|other| is_it(other)).cloned().collect();
        let by = self.choice(&names).expect("its own name");
        self.says(format!("start a second one on {by}"));
        let line = super::host::Start::on(self.folder.path(), &by).refused();
        assert!(line.contains("another data-pusher server is using it"), "{line}");
        self.counts.refused += 1;
    }

    /// Moves the file of the running server away, and waits until the server notices.
    fn move_away(&mut self) -> String {
        let away = format!("away-{}", self.model.fresh());
        let (host, name) = self.running.as_ref().expect("it runs");
        mv(&self.path(name), &self.path(&away));
        keep::is_ready(&host.client(), false);
        self.says(format!("move the file to {away}"));
        away
    }

    pub fn move_and_move_back(&mut self) {
        let away = self.move_away();
        let (host, name) = self.running.as_ref().expect("it runs");
        mv(&self.path(&away), &self.path(name));
        keep::is_ready(&host.client(), true);
        self.says("move it back".to_owned());
        self.push();
    }

    pub fn move_and_stop(&mut self) {
        let away = self.move_away();
        let (host, name) = self.running.take().expect("it runs");
        self.says("stop".to_owned());
        host.terminate();
        self.model.killed(&name);
        self.model.moved(&name, &away);
    }

    /// Writes a backup over the file of the running server. The operator wants the backup, and gives up what came after
    /// it.
    pub fn write_over(&mut self) {
        let (_, name) = self.running.as_ref().expect("it runs");
        let name = name.clone();
        let file = self.model.files[&name];
        let others: Vec<String> =
            self.model.backups.iter().filter(|backup| self.model.files.get(*backup) != Some(&file)).cloned().collect();
        let Some(backup) = self.choice(&others) else { return self.push() };
        self.says(format!("cp {backup} over {name} while it runs, and stop"));
        cp(&self.path(&backup), &self.path(&name));
        let (host, _) = self.running.take().expect("it runs");
        keep::is_ready(&host.client(), false);
        host.terminate();
        assert!(
            std::fs::read(self.path(&backup)).unwrap() == std::fs::read(self.path(&name)).unwrap(),
            "it is changed"
        );
        self.model.killed(&name);
        self.model.copied(&backup, &name);
    }

    /// Removes log or index under the running server, which saves what they hold when it stops.
    pub fn lose_the_log(&mut self) {
        let (host, name) = self.running.take().expect("it runs");
        let gone = self.choice(&["-wal", "-shm"]).expect("one of them");
        self.says(format!("remove {gone}, and stop"));
        std::fs::remove_file(crate::file::with_ending(&self.path(&name), gone)).unwrap();
        keep::is_ready(&host.client(), false);
        host.terminate();
        stands_alone(&self.path(&name));
        self.model.stopped(&name);
    }
}
