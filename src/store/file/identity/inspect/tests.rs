//! Every kind of database file beside every kind of WAL.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::*;
use crate::domain::time::Timestamp;
use crate::store::file::held::HeldFile;
use crate::store::file::opening::tests::{close, open_at};
use crate::store::file::{migrations, opening, schema};

/// A folder with files of every kind, as one server's life makes them.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Copies the files of `from`, as they are now, to the name `to`. That is what a kill at this moment leaves, or a
    /// copy.
    fn copy(&self, from: &str, to: &str, endings: &[&str]) {
        for ending in endings {
            let [from, to] = [from, to].map(|name| sibling_path(&self.path(name), ending));
            if from.exists() {
                std::fs::copy(from, to).unwrap();
            }
        }
    }

    fn remove(&self, name: &str) {
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(sibling_path(&self.path(name), ending));
        }
    }

    /// Why the file is refused; `None` if it is not.
    fn refused(&self, name: &str) -> Option<String> {
        opening::hold(&self.path(name)).err().map(|error| error.detail().to_owned())
    }

    /// The notes in the file, once a server has opened it. Afterwards the server stops cleanly.
    #[track_caller]
    fn notes(&self, name: &str) -> Vec<i64> {
        let (held, file) = open_at(&self.path(name)).unwrap();
        let whole: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
        let notes = notes(&file);
        close(held, file);
        assert!(!sibling_path(&self.path(name), "-wal").exists() && !sibling_path(&self.path(name), "-shm").exists());
        notes
    }
}

/// Writes a row into a table that a server has and that refers to nothing.
fn note(file: &Connection, number: i64) {
    file.execute("INSERT INTO tally_recent (id, counts) VALUES (?1, zeroblob(3000))", [number]).unwrap();
}

fn notes(file: &Connection) -> Vec<i64> {
    let mut notes = file.prepare("SELECT id FROM tally_recent ORDER BY id").unwrap();
    notes.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Copies a database as `.backup` of the `sqlite3` shell does.
fn back_up(from: &Path, to: &Path) {
    use rusqlite::ffi;
    let (from, to) = (Connection::open(from).unwrap(), Connection::open(to).unwrap());
    // SAFETY: both connections outlive the copy, and `main` is a database of each.
    unsafe {
        let name = c"main".as_ptr();
        let copy = ffi::sqlite3_backup_init(to.handle(), name, from.handle(), name);
        assert_eq!(
            (ffi::sqlite3_backup_step(copy, -1), ffi::sqlite3_backup_finish(copy)),
            (ffi::SQLITE_DONE, ffi::SQLITE_OK)
        );
    }
}

fn move_log(file: &Connection) {
    file.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
}

/// Commits a note as the write thread does.
fn commit(held: &HeldFile, file: &Connection, marker: &mut crate::store::file::identity::marker::Marker, number: i64) {
    marker.prepare(file, held).unwrap();
    note(file, number);
}

/// Makes `stopped.db`, which is `live.db` after a clean stop with note 1. Then a server writes notes 2 to 20 to
/// `live.db`, and copies some of the WAL into the file. Before note 20, `how` makes a backup. What a kill leaves at the
/// end is `x.db` and its WAL.
fn killed(world: &World, how: Backup) {
    let (held, connection) = open_at(&world.path("live.db")).unwrap();
    note(&connection, 1);
    close(held, connection);
    world.copy("live.db", "stopped.db", &[""]);
    let held = opening::hold(&world.path("live.db")).unwrap();
    let (connection, mut marker) = opening::open(&held, Timestamp::EPOCH).unwrap();
    for number in 2..20 {
        commit(&held, &connection, &mut marker, number);
        if number % 5 == 0 {
            move_log(&connection);
        }
    }
    how(world);
    commit(&held, &connection, &mut marker, 20);
    world.copy("live.db", "x.db", &["", "-wal"]);
    close(held, connection);
}

/// How a backup is made.
type Backup = fn(&World);

fn nothing(_: &World) {}

#[test]
fn after_a_kill_the_log_is_played_over_its_own_file() {
    let world = World::new();
    killed(&world, nothing);
    assert_eq!(world.refused("x.db"), None);
    assert_eq!(world.notes("x.db"), (1..=20).collect::<Vec<_>>());
}

#[test]
fn at_every_moment_of_a_start_and_of_a_log_that_begins_anew_the_log_belongs_to_the_file() {
    let world = World::new();
    let held = opening::hold(&world.path("live.db")).unwrap();
    let (connection, mut marker) = opening::open(&held, Timestamp::EPOCH).unwrap();
    for number in 1..=12 {
        marker.prepare(&connection, &held).unwrap();
        world.copy("live.db", "x.db", &["", "-wal"]);
        assert_eq!(world.notes("x.db"), (1..number).collect::<Vec<_>>());
        world.remove("x.db");
        note(&connection, number);
        if number % 3 != 0 {
            move_log(&connection);
        }
        world.copy("live.db", "x.db", &["", "-wal"]);
        assert_eq!(world.notes("x.db"), (1..=number).collect::<Vec<_>>());
        world.remove("x.db");
    }
    close(held, connection);
}

#[test]
fn a_log_is_not_played_over_a_backup_that_was_restored() {
    let backups: [(&str, Backup); 4] = [
        ("a plain copy after a clean stop", |world| world.copy("stopped.db", "backup.db", &[""])),
        ("VACUUM INTO while it ran", |world| {
            let into = world.path("backup.db").display().to_string();
            Connection::open(world.path("live.db")).unwrap().execute("VACUUM INTO ?1", [into]).unwrap();
        }),
        (".backup while it ran", |world| {
            back_up(&world.path("live.db"), &world.path("backup.db"));
        }),
        ("the file of another server", |world| {
            let (held, file) = open_at(&world.path("backup.db")).unwrap();
            note(&file, 77);
            close(held, file);
        }),
    ];
    for (how, make) in backups {
        let world = World::new();
        killed(&world, make);
        let before = world.notes("backup.db");
        let log = std::fs::read(world.path("x.db-wal")).unwrap();
        std::fs::copy(world.path("backup.db"), world.path("x.db")).unwrap();
        let file = std::fs::read(world.path("x.db")).unwrap();
        let why = world.refused("x.db").unwrap_or_else(|| panic!("{how}: taken"));
        assert!(why.contains("belongs to another file") && why.contains("mv ") && !why.contains('\n'), "{how}: {why}");
        assert!(
            std::fs::read(world.path("x.db")).unwrap() == file && std::fs::read(world.path("x.db-wal")).unwrap() == log
        );
        // What the error says to do.
        std::fs::rename(world.path("x.db-wal"), world.path("x.db-wal.aside")).unwrap();
        assert_eq!(world.notes("x.db"), before, "{how}");
    }
}

#[test]
fn a_log_that_holds_nothing_but_its_mark_is_not_played_over_a_copy_either() {
    for vacuum in [false, true] {
        let world = World::new();
        let (held, live) = open_at(&world.path("live.db")).unwrap();
        if vacuum {
            let into = world.path("backup.db").display().to_string();
            live.execute("VACUUM INTO ?1", [into]).unwrap();
        } else {
            back_up(&world.path("live.db"), &world.path("backup.db"));
        }
        world.copy("live.db", "x.db", &["", "-wal"]);
        world.copy("backup.db", "x.db", &[""]);
        assert!(world.refused("x.db").unwrap().contains("belongs to another file"));
        close(held, live);
    }
}

#[test]
fn a_copy_of_a_copy_that_is_written_over_it_is_noticed() {
    let world = World::new();
    let (held, live) = open_at(&world.path("live.db")).unwrap();
    back_up(&world.path("live.db"), &world.path("copy.db"));
    close(held, live);
    let (held, copy) = open_at(&world.path("copy.db")).unwrap();
    back_up(&world.path("copy.db"), &world.path("second.db"));
    held.check_content(|| false).unwrap();
    world.copy("second.db", "copy.db", &[""]);
    assert!(held.check_content(|| false).unwrap_err().detail().contains("written over"));
    std::mem::forget(copy);
}

#[test]
fn a_plain_copy_made_while_it_ran_goes_with_the_log_that_goes_on() {
    let world = World::new();
    killed(&world, |world| world.copy("live.db", "backup.db", &[""]));
    std::fs::copy(world.path("backup.db"), world.path("x.db")).unwrap();
    assert_eq!(world.notes("x.db"), (1..=20).collect::<Vec<_>>(), "the log has all that came since");
}

#[test]
fn a_copy_of_an_upgrade_is_not_given_the_log_of_what_came_of_it() {
    let world = World::new();
    drop(of_version_3(&world));
    std::fs::rename(world.path("live.db"), world.path("x.db")).unwrap();
    let held = opening::hold(&world.path("x.db")).unwrap();
    let (connection, mut marker) = opening::open(&held, Timestamp::EPOCH).unwrap();
    commit(&held, &connection, &mut marker, 2);
    for name in ["y.db", "z.db"] {
        world.copy("x.db", name, &["", "-wal"]);
    }
    close(held, connection);
    let copy = world.path("x.db.v3-19700101T000000.000Z");
    std::fs::copy(&copy, world.path("y.db")).unwrap();
    assert!(world.refused("y.db").unwrap().contains("belongs to another file"));
    assert_eq!(world.notes("z.db"), [1, 2]);
}

#[test]
fn what_other_programs_do_to_the_schema_of_a_running_server_s_file_is_no_loss() {
    let world = World::new();
    let held = opening::hold(&world.path("live.db")).unwrap();
    let (connection, mut marker) = opening::open(&held, Timestamp::EPOCH).unwrap();
    commit(&held, &connection, &mut marker, 1);
    let shell = Connection::open(world.path("live.db")).unwrap();
    for (number, what) in
        ["ANALYZE", "VACUUM", "CREATE TABLE other (a)", "PRAGMA wal_checkpoint(TRUNCATE)"].iter().enumerate()
    {
        shell.execute_batch(what).unwrap();
        if number % 2 == 1 {
            move_log(&shell);
        }
        // As the check that runs at intervals does.
        let _ = held.watch_content();
        let number = i64::try_from(number).unwrap() + 2;
        commit(&held, &connection, &mut marker, number);
        assert_eq!(held.watch_content().map_err(|error| error.detail().to_owned()), Ok(()), "{what}");
        world.copy("live.db", "x.db", &["", "-wal"]);
        assert_eq!(world.notes("x.db"), (1..=number).collect::<Vec<_>>(), "{what}");
        world.remove("x.db");
    }
    drop(shell);
    close(held, connection);
}

#[test]
fn a_log_that_another_program_has_begun_is_not_taken_for_one_of_ours() {
    let world = World::new();
    let (held, connection) = open_at(&world.path("live.db")).unwrap();
    close(held, connection);
    let shell = Connection::open(world.path("live.db")).unwrap();
    note(&shell, 5);
    world.copy("live.db", "x.db", &["", "-wal"]);
    assert!(world.refused("x.db").unwrap().contains("wal_checkpoint"));
    // What the error says to do.
    let again = Connection::open(world.path("x.db")).unwrap();
    again.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(again);
    assert_eq!(world.notes("x.db"), [5]);
}

#[test]
fn a_file_that_was_moved_without_its_log_is_refused_until_the_log_is_there() {
    let world = World::new();
    killed(&world, nothing);
    std::fs::rename(world.path("x.db"), world.path("y.db")).unwrap();
    let why = world.refused("y.db").unwrap();
    assert!(why.contains("y.db-wal") && why.contains("touch") && !why.contains('\n'), "{why}");
    std::fs::rename(world.path("x.db-wal"), world.path("y.db-wal")).unwrap();
    assert_eq!(world.notes("y.db"), (1..=20).collect::<Vec<_>>());
}

#[test]
fn who_says_that_there_is_no_log_goes_on_without() {
    let world = World::new();
    killed(&world, nothing);
    std::fs::write(world.path("x.db-wal"), "").unwrap();
    assert_eq!(world.refused("x.db"), None);
}

#[test]
fn a_file_whose_log_another_program_has_moved_into_it_goes_on_once_somebody_says_so() {
    let world = World::new();
    killed(&world, nothing);
    // As the `sqlite3` shell does when somebody looks at what a crash left.
    let shell = Connection::open(world.path("x.db")).unwrap();
    assert_eq!(notes(&shell).len(), 20);
    drop(shell);
    assert!(world.refused("x.db").unwrap().contains("touch"));
    std::fs::write(world.path("x.db-wal"), "").unwrap();
    assert_eq!(world.notes("x.db"), (1..=20).collect::<Vec<_>>());
}

#[test]
fn copies_that_sqlite_made_while_it_ran_need_no_log() {
    let world = World::new();
    killed(&world, |world| {
        let into = world.path("backup.db").display().to_string();
        let file = Connection::open(world.path("live.db")).unwrap();
        file.execute("VACUUM INTO ?1", [into]).unwrap();
        back_up(&world.path("live.db"), &world.path("second.db"));
    });
    for name in ["backup.db", "second.db"] {
        assert_eq!(world.notes(name), (1..20).collect::<Vec<_>>());
    }
}

#[test]
fn the_first_log_of_a_copy_that_sqlite_made_is_its_own_before_the_copy_has_the_mark() {
    for made_by in [".backup", "VACUUM INTO"] {
        let world = World::new();
        let (held, live) = open_at(&world.path("live.db")).unwrap();
        note(&live, 1);
        match made_by {
            ".backup" => back_up(&world.path("live.db"), &world.path("copy.db")),
            _ => _ = live.execute("VACUUM INTO ?1", [world.path("copy.db").display().to_string()]).unwrap(),
        }
        close(held, live);
        let copy = opening::connect(&world.path("copy.db")).unwrap();
        let held = opening::hold(&world.path("copy.db")).unwrap();
        let before = std::fs::read(world.path("copy.db")).unwrap();
        crate::store::file::identity::marker::Marker::new(&copy).unwrap().commit(&copy, &held, true).unwrap();
        // With the mark in the file, and without it.
        world.copy("copy.db", "y.db", &["", "-wal"]);
        world.copy("copy.db", "x.db", &["-wal"]);
        std::fs::write(world.path("x.db"), before).unwrap();
        for name in ["x.db", "y.db"] {
            assert_eq!(world.refused(name), None, "{made_by}");
            assert_eq!(world.notes(name), [1]);
        }
    }
}

#[test]
fn a_copy_of_a_copy_is_told_from_it() {
    let world = World::new();
    let (held, live) = open_at(&world.path("live.db")).unwrap();
    back_up(&world.path("live.db"), &world.path("copy.db"));
    close(held, live);
    let (_held, copy) = open_at(&world.path("copy.db")).unwrap();
    note(&copy, 1);
    back_up(&world.path("copy.db"), &world.path("second.db"));
    assert_eq!(world.notes("second.db"), [1]);
}

#[test]
fn a_log_without_its_file_is_not_thrown_away() {
    let world = World::new();
    killed(&world, nothing);
    std::fs::remove_file(world.path("x.db")).unwrap();
    let log = std::fs::read(world.path("x.db-wal")).unwrap();
    for empty in [false, true] {
        if empty {
            std::fs::write(world.path("x.db"), "").unwrap();
        }
        let why = world.refused("x.db").unwrap();
        assert!(why.contains("missing or empty"), "{why}");
        assert_eq!(world.path("x.db").exists(), empty);
        assert!(std::fs::read(world.path("x.db-wal")).unwrap() == log);
    }
}

#[test]
fn a_server_that_was_killed_before_it_had_made_its_tables_begins_again() {
    let world = World::new();
    std::fs::write(world.path("live.db"), "").unwrap();
    drop(opening::connect(&world.path("live.db")).unwrap());
    let file = Connection::open(world.path("live.db")).unwrap();
    world.copy("live.db", "x.db", &["", "-wal"]);
    assert!(world.notes("x.db").is_empty());
    world.remove("x.db");
    let transaction = file.unchecked_transaction().unwrap();
    transaction.execute_batch(schema::SCHEMA).unwrap();
    migrations::make_ours(&transaction).unwrap();
    transaction.commit().unwrap();
    world.copy("live.db", "x.db", &["", "-wal"]);
    note(&file, 1);
    world.copy("live.db", "y.db", &["", "-wal"]);
    assert_eq!((world.notes("x.db"), world.notes("y.db")), (vec![], vec![1]));
}

#[test]
fn a_foreign_file_whose_owner_crashed_is_refused_and_left_as_it_was() {
    let world = World::new();
    for marked in [false, true] {
        let live = Connection::open(world.path("live.db")).unwrap();
        live.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a)").unwrap();
        if marked {
            live.execute_batch("PRAGMA application_id = 7; PRAGMA wal_checkpoint").unwrap();
        }
        live.execute_batch("INSERT INTO t VALUES (zeroblob(9000))").unwrap();
        world.copy("live.db", "x.db", &["", "-wal"]);
        let files = ["x.db", "x.db-wal"].map(|name| std::fs::read(world.path(name)).unwrap());
        assert!(world.refused("x.db").unwrap().contains("another program"));
        assert!(["x.db", "x.db-wal"].map(|name| std::fs::read(world.path(name)).unwrap()) == files);
        assert!(!world.path("x.db-shm").exists());
        drop(live);
        world.remove("x.db");
        world.remove("live.db");
    }
}

/// A file of version 3, which had no marks, with its WAL.
fn of_version_3(world: &World) -> Connection {
    std::fs::write(world.path("live.db"), "").unwrap();
    let file = opening::connect(&world.path("live.db")).unwrap();
    file.execute_batch(include_str!("../../../../../tests/schemas/3.sql")).unwrap();
    file.execute_batch(&format!("PRAGMA application_id = {}; PRAGMA user_version = 3", schema::APPLICATION_ID))
        .unwrap();
    move_log(&file);
    file.execute_batch("PRAGMA user_version = 3").unwrap();
    note(&file, 1);
    file
}

#[test]
fn a_file_of_the_version_before_marks_goes_with_its_log_and_not_with_one_that_cannot_be_its_own() {
    let world = World::new();
    let file = of_version_3(&world);
    for name in ["x.db", "y.db"] {
        world.copy("live.db", name, &["", "-wal"]);
    }
    assert_eq!(world.notes("x.db"), [1]);
    // The first page of this file has been written more often than that of the WAL.
    world.copy("live.db", "other.db", &[""]);
    let other = Connection::open(world.path("other.db")).unwrap();
    other.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    for _ in 0..5 {
        other.execute_batch("PRAGMA user_version = 3").unwrap();
    }
    other.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    drop((other, file));
    world.copy("other.db", "y.db", &[""]);
    assert!(world.refused("y.db").unwrap().contains("belongs to another file"));
}

#[test]
fn a_journal_of_another_program_is_not_played_over_the_file() {
    let world = World::new();
    let (held, file) = open_at(&world.path("x.db")).unwrap();
    close(held, file);
    std::fs::write(world.path("x.db-journal"), [&JOURNAL_MAGIC[..], &[0; 600]].concat()).unwrap();
    assert!(world.refused("x.db").unwrap().contains("x.db-journal"));
    // SQLite leaves a journal without its magic if nothing is to be undone.
    std::fs::write(world.path("x.db-journal"), [0; 600]).unwrap();
    assert_eq!(world.refused("x.db"), None);
    // Such a journal belongs to a file that somebody took out of WAL mode.
    let shell = Connection::open(world.path("x.db")).unwrap();
    shell.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    drop(shell);
    std::fs::write(world.path("x.db-journal"), [&JOURNAL_MAGIC[..], &[0; 600]].concat()).unwrap();
    assert_eq!(world.refused("x.db"), None);
}

/// One file under many names.
#[cfg(target_os = "linux")]
#[test]
fn a_second_server_is_refused_by_whatever_name_it_comes() {
    let world = World::new();
    let link = world.path("link.db");
    // The target of the link does not exist yet.
    std::os::unix::fs::symlink(world.path("x.db"), &link).unwrap();
    let held = opening::hold(&link).unwrap();
    assert_eq!(held.path(), world.0.path().canonicalize().unwrap().join("x.db"));
    std::fs::hard_link(world.path("x.db"), world.path("hard.db")).unwrap();
    for name in ["x.db", "link.db", "hard.db", "../".to_owned().as_str()] {
        let path: &Path = &world.path(name);
        if path.is_dir() {
            continue;
        }
        assert!(world.refused(name).unwrap().contains("another data-pusher server"), "{name}");
    }
    drop(held);
    assert_eq!(world.refused("hard.db"), None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_of_an_earlier_version_is_not_joined() {
    let world = World::new();
    let lock = world.path("x.db.lock");
    let earlier = std::fs::File::create(&lock).unwrap();
    earlier.try_lock().unwrap();
    assert!(world.refused("x.db").unwrap().contains("another data-pusher server"));
    drop(earlier);
    assert_eq!(world.refused("x.db"), None);
    assert!(!lock.exists(), "what it left is taken away");
}

#[test]
fn a_file_that_is_moved_replaced_or_removed_is_noticed_and_one_that_comes_back_too() {
    let world = World::new();
    let (held, file) = open_at(&world.path("x.db")).unwrap();
    let check = || held.check_content(|| false).map_err(|error| error.detail().to_owned());
    assert_eq!(check(), Ok(()));
    std::fs::rename(world.path("x.db"), world.path("y.db")).unwrap();
    assert!(check().unwrap_err().contains("moved"));
    std::fs::write(world.path("x.db"), "another").unwrap();
    assert!(check().unwrap_err().contains("moved"));
    std::fs::rename(world.path("y.db"), world.path("x.db")).unwrap();
    assert_eq!(check(), Ok(()));
    for ending in ["-wal", "-shm"] {
        let companion = sibling_path(&world.path("x.db"), ending);
        std::fs::rename(&companion, world.path("away")).unwrap();
        assert!(check().unwrap_err().contains("log"), "{ending}");
        std::fs::rename(world.path("away"), &companion).unwrap();
        assert_eq!(check(), Ok(()));
    }
    drop(file);
}

#[test]
fn a_file_that_is_written_over_is_noticed() {
    let world = World::new();
    killed(&world, |world| {
        let into = world.path("backup.db").display().to_string();
        Connection::open(world.path("live.db")).unwrap().execute("VACUUM INTO ?1", [into]).unwrap();
    });
    for backup in ["backup.db", "stopped.db", "x.db-wal"] {
        world.remove("live.db");
        world.copy("stopped.db", "live.db", &[""]);
        let (held, file) = open_at(&world.path("live.db")).unwrap();
        held.check_content(|| false).unwrap();
        world.copy(backup, "live.db", &[""]);
        assert!(held.check_content(|| false).unwrap_err().detail().contains("written over"), "{backup}");
        // SQLite must not copy its WAL over that.
        std::mem::forget(file);
    }
}
