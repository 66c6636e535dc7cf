//! Files after many random changes: what is not used goes, and nothing else.

use std::fs::OpenOptions;
use std::path::Path;

use rusqlite::Connection;

use super::*;

fn roots(connection: &Connection) -> Vec<u32> {
    let mut roots = connection.prepare("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0").unwrap();
    roots.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn number_of(bytes: &[u8], token: &[u8]) -> usize {
    bytes.windows(token.len()).filter(|part| *part == token).count()
}

/// All rows, as text.
fn content(connection: &Connection) -> Vec<String> {
    let query = "SELECT id || ':' || hex(v) FROM t UNION ALL SELECT k || ':' || hex(v) FROM w
        UNION ALL SELECT name || sql FROM sqlite_schema WHERE sql IS NOT NULL";
    let mut rows = connection.prepare(query).unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A file after many random changes. Values that were overwritten or deleted are `old`, others `new`.
fn changed(path: &Path, page_size: u32, vacuum: &str, seed: u64) -> Connection {
    let mut random = fastrand::Rng::with_seed(seed);
    let file = Connection::open(path).unwrap();
    file.execute_batch(&format!(
        "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = {vacuum}; PRAGMA secure_delete = OFF;
         PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
         CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE w (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID;
         CREATE INDEX t_by_v ON t (v)"
    ))
    .unwrap();
    let mut value = |word: &str| {
        let most = if random.u8(..) < 40 { 4 * page_size as usize } else { 200 };
        let length = random.usize(word.len()..most);
        (word.bytes().cycle().take(length).collect::<Vec<u8>>(), random.i64(0..400))
    };
    for step in 0..3_000 {
        let (table, key) = if step % 2 == 0 { ("t", "id") } else { ("w", "k") };
        let (old, id) = value("oldold--");
        file.execute(&format!("INSERT OR REPLACE INTO {table} ({key}, v) VALUES (?1, ?2)"), (id, old)).unwrap();
        if step % 3 == 0 {
            let (_, from) = value("oldold--");
            file.execute(&format!("DELETE FROM {table} WHERE {key} BETWEEN ?1 AND ?1 + 20"), [from]).unwrap();
        }
        if step % 500 == 499 {
            file.execute_batch("PRAGMA incremental_vacuum(3)").unwrap();
        }
    }
    for (table, key) in [("t", "id"), ("w", "k")] {
        let query = format!("SELECT {key} FROM {table}");
        let mut keys = file.prepare(&query).unwrap();
        let keys: Vec<rusqlite::types::Value> =
            keys.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for one in keys {
            let (new, _) = value("newnew--");
            file.execute(&format!("UPDATE {table} SET v = ?2 WHERE {key} = ?1"), (one, new)).unwrap();
        }
    }
    file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE").unwrap();
    file
}

#[test]
fn nothing_that_is_not_used_is_left_and_everything_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    for (seed, (page_size, vacuum)) in
        [(512, "NONE"), (1_024, "INCREMENTAL"), (4_096, "INCREMENTAL"), (4_096, "NONE"), (65_536, "INCREMENTAL")]
            .into_iter()
            .enumerate()
    {
        let path = folder.path().join(format!("{seed}.db"));
        let connection = changed(&path, page_size, vacuum, seed as u64);
        let (before, roots) = (content(&connection), roots(&connection));
        drop(connection);
        let old = number_of(&std::fs::read(&path).unwrap(), b"oldold--");
        assert!(old > 20, "{page_size} {vacuum}: {old}");
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let written = zero_unused(&file, &roots, || Ok(())).unwrap();
        assert!(written.is_some_and(|pages| pages > 0), "{page_size} {vacuum}: {written:?}");
        assert_eq!(zero_unused(&file, &roots, || Ok(())).unwrap(), Some(0), "it is done");
        assert_eq!(number_of(&std::fs::read(&path).unwrap(), b"oldold--"), 0, "{page_size} {vacuum}");
        let connection = Connection::open(&path).unwrap();
        let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok", "{page_size} {vacuum}");
        assert!(content(&connection) == before, "{page_size} {vacuum}");
        connection.execute_batch("DELETE FROM t; DELETE FROM w; VACUUM").unwrap();
    }
}

#[test]
fn a_file_with_pages_that_nobody_knows_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let connection = changed(&path, 1_024, "INCREMENTAL", 7);
    let roots = roots(&connection);
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    assert_eq!(zero_unused(&file, &roots[1..], || Ok(())).unwrap(), None);
    assert!(zero_unused(&file, &roots, || Err(io::ErrorKind::Interrupted.into())).is_err());
    // A page whose kind no b-tree has, and a cell outside of its page.
    let page = (roots[0] as usize - 1) * 1_024;
    for (at, byte) in [(page, 7), (page + 12, 0xff), (page + 8, 0xff)] {
        let mut damaged = before.clone();
        damaged[at] = byte;
        file.write_all_at(&damaged, 0).unwrap();
        assert_eq!(zero_unused(&file, &roots, || Ok(())).unwrap(), None, "{at}");
        assert!(std::fs::read(&path).unwrap() == damaged, "{at}");
    }
}

#[test]
fn work_that_breaks_off_anywhere_harms_nothing_and_can_be_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let connection = changed(&path, 1_024, "INCREMENTAL", 8);
    let (before, roots) = (content(&connection), roots(&connection));
    drop(connection);
    let whole = std::fs::read(&path).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut ended = 0;
    for looks in 0.. {
        file.write_all_at(&whole, 0).unwrap();
        let mut left = looks;
        let done = zero_unused(&file, &roots, || {
            left -= 1;
            if left < 0 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        });
        let connection = Connection::open(&path).unwrap();
        let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert!(sound == "ok" && content(&connection) == before, "{looks}: {sound}");
        if done.is_ok() {
            break;
        }
        ended += usize::from(std::fs::read(&path).unwrap() != whole);
    }
    assert!(ended > 3, "it was ended {ended} times in the middle");
}

#[test]
fn no_damage_makes_it_panic_or_go_on_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let connection = changed(&path, 512, "INCREMENTAL", 9);
    let roots = roots(&connection);
    drop(connection);
    let whole = std::fs::read(&path).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut random = fastrand::Rng::with_seed(10);
    let mut unknown = 0;
    for _ in 0..150 {
        let mut damaged = whole.clone();
        for _ in 0..random.usize(1..40) {
            // Beginnings of pages say most.
            let at = random.usize(0..whole.len() / 512) * 512 + random.usize(0..32);
            damaged[at] = random.u8(..);
        }
        file.write_all_at(&damaged, 0).unwrap();
        unknown += usize::from(matches!(zero_unused(&file, &roots, || Ok(())), Ok(None)));
    }
    assert!(unknown > 50, "{unknown}");
}
