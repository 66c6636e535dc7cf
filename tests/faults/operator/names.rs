//! One file under many names: links, detours, names that SQLite would read as something else, and characters that a
//! shell would interpret. A second server is refused under every name. What was acknowledged is in one file.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::advice;
use super::host::Start;
use super::keep::{self, mv, numbers, served, stands_alone, stored};
use crate::campaign::Report;
use crate::file::with_ending;
use crate::ledger::Ledger;

/// Names of new files as they are given. Each must create a file in the folder.
const NAMES: [&str; 16] = [
    "plain.db",
    "./dot.db",
    "sub/../detour.db",
    "sub/inner.db",
    "file:uri.db",
    "file:memory.db?mode=memory",
    ":memory:",
    "with a space.db",
    "question?.db",
    "per%20cent.db",
    "hash#.db",
    "it's \"quoted\".db",
    "Größe-資料庫-🗄.db",
    "$HOME;`id`&|<>*\\.db",
    "-leading.db",
    "tab\tand\nline.db",
];

pub fn each_name_is_that_of_a_file_and_each_refusal_can_be_pasted(report: &mut Report) {
    let names = NAMES.iter().map(OsString::from).chain([OsStr::from_bytes(b"not-\xff-utf8.db").to_owned()]);
    let mut count = 0;
    for name in names {
        let result = std::panic::catch_unwind(|| by_name(&name));
        result.unwrap_or_else(|panic| {
            eprintln!("this fell: {name:?}");
            std::panic::resume_unwind(panic)
        });
        count += 1;
    }
    report.figure("names", count);
}

fn by_name(name: &OsStr) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let ledger = Ledger::default();
    let start = Start::on(folder.path(), name);
    let host = start.served();
    let account = host.client().create_account("ada");
    keep::push(&host, &ledger, &account, 3);
    let path = folder.path().join(name);
    assert!(path.metadata().is_ok_and(|file| file.is_file()), "there is no such file");
    let absolute = Start::on(folder.path(), path.canonicalize().unwrap());
    for second in [&start, &absolute] {
        let line = second.refused();
        assert!(line.contains("another data-pusher server is using it"), "{line}");
    }
    host.kill();
    assert_eq!(stored(&path), numbers(&ledger));

    // Only the file and its log are there: no part of the name was read as something else.
    let log = with_ending(&path, "-wal");
    mv(&log, &folder.path().join("log"));
    let missing = start.refused();
    mv(&folder.path().join("log"), &log);
    let host = absolute.served();
    assert_eq!(served(&host.client(), &account), numbers(&ledger));
    keep::push(&host, &ledger, &account, 1);
    host.kill();
    // The command in the line creates a file of exactly that name.
    mv(&log, &folder.path().join("log"));
    advice::touch(&missing);
    assert_eq!(log.metadata().unwrap().len(), 0, "{missing}");
    mv(&folder.path().join("log"), &log);

    let host = start.served();
    assert_eq!(served(&host.client(), &account), numbers(&ledger));
    host.terminate();
    assert!(["-wal", "-shm"].iter().all(|ending| !with_ending(&path, ending).exists()));
    // A log of another file, and the advice of the line.
    let other = Start::on(folder.path(), "another.db").served();
    other.client().create_account("bob");
    other.kill();
    mv(&folder.path().join("another.db-wal"), &log);
    let foreign = start.refused();
    advice::move_aside(&foreign);
    assert!(with_ending(&path, "-wal.aside").exists(), "{foreign}");
    let host = start.served();
    assert_eq!(served(&host.client(), &account), numbers(&ledger));
    host.terminate();
}

pub fn links_lead_to_one_file_with_one_log_and_one_server(_: &mut Report) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let on = |name: &str| Start::on(folder.path(), name);
    std::fs::create_dir(path("sub")).unwrap();
    // The first link leads nowhere until the first start. There are also links to links and to folders.
    symlink("x.db", path("soft.db")).unwrap();
    symlink(path("soft.db"), path("sub/softer.db")).unwrap();
    symlink(".", path("here")).unwrap();
    let ledger = Ledger::default();
    let host = on("sub/softer.db").served();
    let account = host.client().create_account("ada");
    std::fs::hard_link(path("x.db"), path("hard.db")).unwrap();
    let names = ["x.db", "soft.db", "sub/softer.db", "here/x.db", "here/here/soft.db", "hard.db", "sub/../hard.db"];
    for name in names {
        let line = on(name).refused();
        assert!(line.contains("another data-pusher server is using it"), "{line}");
    }
    keep::push(&host, &ledger, &account, 3);
    host.kill();
    for name in names.iter().filter(|name| !name.contains("hard")) {
        let host = on(name).served();
        assert_eq!(served(&host.client(), &account), numbers(&ledger), "{name}");
        keep::push(&host, &ledger, &account, 3);
        host.kill();
        assert!(path("x.db-wal").exists() && !path("soft.db-wal").exists() && !path("sub/softer.db-wal").exists());
    }
    // Under its other name the file has no log beside it.
    let line = on("hard.db").refused();
    assert!(line.contains("move the log there"), "{line}");
    mv(&path("x.db-wal"), &path("hard.db-wal"));
    let line = on("x.db").refused();
    assert!(line.contains("move the log there"), "{line}");
    let host = on("hard.db").served();
    assert_eq!(served(&host.client(), &account), numbers(&ledger));
    assert!(on("soft.db").refused().contains("another data-pusher server"));
    keep::push(&host, &ledger, &account, 3);
    host.terminate();
    stands_alone(&path("hard.db"));
    assert_eq!(stored(&path("x.db")), numbers(&ledger));
    // Links that lead nowhere or to themselves, and names that are not files.
    symlink("no/such/folder/y.db", path("lost.db")).unwrap();
    symlink("loop.db", path("loop.db")).unwrap();
    for name in ["lost.db", "loop.db", "sub", "no/folder/x.db", "/dev/null"] {
        on(name).refused();
    }
    assert!(!path("no").exists());
    // After a link is changed to another file, the next start follows it.
    std::fs::remove_file(path("soft.db")).unwrap();
    symlink("z.db", path("soft.db")).unwrap();
    let host = on("soft.db").served();
    assert!(host.client().all("/v1/accounts").is_empty() && path("z.db").exists());
    host.terminate();
}

pub fn a_mount_of_the_file_at_another_place_has_the_same_lock(report: &mut Report) {
    let probe = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !probe.as_ref().is_ok_and(|ended| ended.status.success()) {
        return report.skip(format!("nothing can be mounted: {probe:?}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("real")).unwrap();
    std::fs::create_dir_all(path("mounted")).unwrap();
    std::fs::write(path("mounted.db"), "").unwrap();
    let ledger = Ledger::default();
    let first = Start::on(folder.path(), "real/x.db");
    let host = first.served();
    let account = host.client().create_account("ada");
    keep::push(&host, &ledger, &account, 3);
    let through = |what: &str, place: &str, name: &str| {
        let mount = format!("mount --bind {what} {place} && exec \"$@\"");
        Start::on(folder.path(), name).through(&["unshare", "-rm", "sh", "-c", &mount, "sh"])
    };
    let of_folder = through("real", "mounted", "mounted/x.db");
    let of_file = through("real/x.db", "mounted.db", "mounted.db");
    for second in [&of_folder, &of_file] {
        let line = second.refused();
        assert!(line.contains("another data-pusher server is using it"), "{line}");
    }
    host.kill();
    assert!(of_file.refused().contains("move the log there"));
    let host = of_folder.served();
    assert_eq!(served(&host.client(), &account), numbers(&ledger));
    assert!(first.refused().contains("another data-pusher server"));
    keep::push(&host, &ledger, &account, 3);
    host.kill();
    let host = first.served();
    assert_eq!(served(&host.client(), &account), numbers(&ledger));
    host.terminate();
    stands_alone(&path("real/x.db"));
    let host = of_file.served();
    assert_eq!(served(&host.client(), &account), numbers(&ledger));
    keep::push(&host, &ledger, &account, 3);
    host.terminate();
    stands_alone(&path("mounted.db"));
    assert_eq!(stored(&path("real/x.db")), numbers(&ledger));
}
