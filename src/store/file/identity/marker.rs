//! Commits marks: the write thread's part of what ties a WAL to its file. What a mark is made of is in [`super::mark`].

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::mark::{Mark, random};
use crate::error::{Error, Result, Unavailable};
use crate::store::error::sql;
use crate::store::file::held::{HeldFile, Lost};
use crate::store::file::schema::new_cookie;
use crate::store::file::wal;

/// Begins each WAL with a mark, and makes sure that the file has that mark too.
#[derive(Debug)]
pub struct Marker {
    last: Mark,
    /// Salt of the WAL whose mark the file has.
    carried: Option<wal::Salt>,
    /// `PRAGMA data_version` when the last mark was made. Another program's commit changes that value.
    data_version: i64,
    /// Whether the file has another schema cookie than its mark. It is a copy that SQLite made, or was migrated. It
    /// gets a schema cookie of its own with its first mark, which distinguishes it from copies of the copy.
    is_copy: bool,
}

impl Marker {
    /// Continues from the mark that the file has.
    ///
    /// # Errors
    /// The file cannot be read, or its mark is damaged.
    pub fn new(connection: &Connection) -> Result<Self> {
        let bytes: Vec<u8> = connection.query_row("SELECT mark FROM log_mark", [], |row| row.get(0)).map_err(sql)?;
        let last = Mark::parse(&bytes).ok_or_else(|| Error::internal("the mark is damaged"))?;
        let cookie: u32 = connection.query_row("PRAGMA schema_version", [], |row| row.get(0)).map_err(sql)?;
        Ok(Self { last, carried: None, data_version: 0, is_copy: cookie != last.cookie })
    }

    /// A migration has changed the schema, and so the cookie of the file. As in a copy, the next mark is made for a new
    /// cookie.
    pub fn schema_changed(&mut self) {
        self.is_copy = true;
    }

    /// Begins a write transaction. Before that, commits a mark if the transaction could be the first of a WAL, or the
    /// WAL is another program's.
    ///
    /// # Errors
    /// Unavailable: the mark cannot be written, or the file is not the one that it was.
    pub fn begin(&mut self, connection: &Connection, file: &HeldFile) -> Result<()> {
        for _ in 0..TRIES {
            connection.execute_batch("BEGIN IMMEDIATE").map_err(sql)?;
            let needed = self.is_needed(connection, file);
            if matches!(needed, Ok(false)) {
                return Ok(());
            }
            connection.execute_batch("ROLLBACK").map_err(sql)?;
            needed?;
            self.commit(connection, file, true)?;
        }
        Err(Error::unavailable(Unavailable::Io, "The database's log begins anew again and again."))
    }

    /// Commits a mark ahead, so that the next transaction need not. If another program holds the file's lock, the next
    /// transaction makes the mark: an event that comes meanwhile must not wait for the lock twice.
    ///
    /// # Errors
    /// As for [`Marker::begin`].
    pub fn prepare(&mut self, connection: &Connection, file: &HeldFile) -> Result<()> {
        if !self.is_needed(connection, file)? {
            return Ok(());
        }
        let made =
            wal::with_lock_timeout(connection, Duration::ZERO, || self.commit(connection, file, true)).map_err(sql)?;
        made.or_else(|error| if error.is_unavailable(Unavailable::Locked) { Ok(()) } else { Err(error) })
    }

    /// Whether a mark is needed first. Inside a write transaction, the answer holds until its end.
    fn is_needed(&self, connection: &Connection, file: &HeldFile) -> Result<bool> {
        let log = wal::state(connection)?;
        // SQLite starts the WAL again if all of it was copied before the transaction began.
        Ok(self.carried != Some(log.salt) || log.frames == log.checkpointed || file.wants_mark_of_others())
    }

    /// Checks that the file is still the one that it was.
    ///
    /// # Errors
    /// Unavailable: what is wrong, and what to do.
    pub fn check_content(&self, connection: &Connection, file: &HeldFile) -> Result<()> {
        file.check_content(|| self.others_have_written(connection))
    }

    /// Whether nothing is in the WAL except what [`Marker::prepare`] writes.
    ///
    /// # Errors
    /// The WAL index cannot be read.
    pub fn is_alone(&self, connection: &Connection) -> Result<bool> {
        let log = wal::state(connection)?;
        Ok(self.carried == Some(log.salt) && log.frames <= FRAMES && log.checkpointed < log.frames)
    }

    /// Commits a mark, and makes sure that the file has it. If all of the WAL was copied, this commit starts the WAL
    /// again. `open` is false at a clean stop.
    ///
    /// # Errors
    /// Unavailable: the mark cannot be written, or the file is not the one that it was.
    pub fn commit(&mut self, connection: &Connection, file: &HeldFile, open: bool) -> Result<()> {
        // A WAL must not be tied to a file that somebody put there. A removed WAL still belongs to its file.
        if let Err(error) = self.check_content(connection, file)
            && file.lost() != Some(Lost::Log)
        {
            return Err(error);
        }
        connection.execute_batch("BEGIN IMMEDIATE").map_err(sql)?;
        let committed = self.write(connection, open);
        if committed.is_err() && !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").map_err(sql)?;
        }
        let before = std::mem::replace(&mut self.last, committed?);
        self.is_copy = false;
        self.data_version = data_version(connection)?;
        // Until the new mark is in the file, the file has the one before.
        file.expect(before);
        file.expect(self.last);
        file.write_mark(&self.last)?;
        let salt = wal::state(connection)?.salt;
        let is_anew = match self.carried {
            Some(before) => before != salt,
            None => !file.checkpoints().are_external(),
        };
        file.carries(self.last, salt, is_anew);
        self.carried = Some(salt);
        Ok(())
    }

    /// Commits the mark and the first page. What the WAL has of the first page distinguishes copies from the file.
    fn write(&self, connection: &Connection, open: bool) -> Result<Mark> {
        let number = |query: &str| connection.query_row(query, [], |row| row.get::<_, u32>(0)).map_err(sql);
        let cookie_before = number("PRAGMA schema_version")?;
        if self.is_copy {
            connection.pragma_update(None, "schema_version", new_cookie()).map_err(sql)?;
        }
        let (cookie, version) = (number("PRAGMA schema_version")?, number("PRAGMA user_version")?);
        let mark = Mark { before: self.last.own, own: random(), cookie, cookie_before, open };
        connection.execute("UPDATE log_mark SET mark = ?1 WHERE id = 1", [mark.bytes()]).map_err(sql)?;
        connection.pragma_update(None, "user_version", version).map_err(sql)?;
        connection.execute_batch("COMMIT").map_err(sql)?;
        Ok(mark)
    }

    /// Writes only into the file that no WAL is needed. For a stop if all of the WAL could be copied, but another
    /// program holds the write lock, so that the last mark cannot be committed.
    ///
    /// # Errors
    /// Unavailable: the file cannot be written.
    pub fn close_in_file(&self, file: &HeldFile) -> Result<()> {
        file.write_mark(&Mark { open: false, ..self.last })
    }

    /// Whether another program has written since the last mark, so that the schema may have changed.
    fn others_have_written(&self, connection: &Connection) -> bool {
        data_version(connection).is_ok_and(|version| version != self.data_version)
    }
}

/// Gives a copy of a file a mark and a schema cookie of its own. So no WAL of the original, or of another copy, is taken
/// for the copy's own, and the copy needs no WAL.
///
/// # Errors
/// Those of SQLite.
pub fn mark_copy(copy: &Connection) -> rusqlite::Result<()> {
    let has_mark = "SELECT count(*) FROM sqlite_schema WHERE name = 'log_mark'";
    if copy.query_row(has_mark, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(());
    }
    let bytes = copy.query_row("SELECT mark FROM log_mark", [], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    // A damaged mark is left for the check.
    let Some(of_original) = bytes.and_then(|bytes| Mark::parse(&bytes)) else { return Ok(()) };
    let cookie = new_cookie();
    // No mark comes before it, so it follows none of the original's.
    let mark = Mark { before: random(), own: random(), cookie, cookie_before: of_original.cookie, open: false };
    copy.execute_batch("BEGIN IMMEDIATE")?;
    copy.pragma_update(None, "schema_version", cookie)?;
    copy.execute("UPDATE log_mark SET mark = ?1", [mark.bytes()])?;
    copy.execute_batch("COMMIT")
}

/// Maximum number of tries in [`Marker::begin`]: another program may copy each mark into the file as soon as it is
/// there.
const TRIES: usize = 16;

/// Pages of the commit of a mark: the page of the mark, and the first page.
const FRAMES: u32 = 2;

fn data_version(connection: &Connection) -> Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0)).map_err(sql)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::store::file::opening;

    #[test]
    fn a_mark_made_ahead_waits_for_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let held = opening::hold(&path).unwrap();
        let (connection, mut marker) = opening::open(&held, Timestamp::EPOCH).unwrap();
        // With this handler, a wait for the lock would never end.
        connection.busy_handler(Some(|_| true)).unwrap();
        let other = Connection::open(&path).unwrap();
        wal::checkpoint(&connection).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        marker.prepare(&connection, &held).unwrap();
        assert!(marker.is_needed(&connection, &held).unwrap());
        other.execute_batch("ROLLBACK").unwrap();
        marker.prepare(&connection, &held).unwrap();
        assert!(!marker.is_needed(&connection, &held).unwrap());
    }
}
