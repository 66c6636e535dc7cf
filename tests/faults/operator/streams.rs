//! Standard streams of every kind. The reader may be gone, slow or stopped, and the disk behind the stream may be full.
//! In every case the server accepts events, delivers them, and stops in time.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::host::{Host, Start, free_address, shell};
use super::keep::{self, mv, numbers, served, stands_alone, stored};
use crate::campaign::{Durations, Report, either};
use crate::harness::{Receiver, wait_until};
use crate::ledger::{Arrivals, Ledger};

/// Mounts a small file system for the database and the log lines. The lines use all the space that the database leaves.
const LOG_ON_THE_SAME_DISK: &str = "mount -t tmpfs -o size=24m tmpfs \"$0\" && exec \"$@\" 2>\"$0\"/log";

/// Shutdown grace for attempts in progress. The rest of a stop takes little time.
const GRACE: Duration = Duration::from_secs(3);

/// Redirections of the shell, for both streams.
const REDIRECTIONS: [(&str, &str); 7] = [
    ("standard error is closed", "2>&-"),
    ("standard error is full", "2>/dev/full"),
    ("standard output is closed", ">&-"),
    ("standard output is full", ">/dev/full"),
    ("both are closed", ">&- 2>&-"),
    ("all three are closed", "<&- >&- 2>&-"),
    ("standard error can only be read", "2</dev/null"),
];

pub fn no_sort_of_standard_stream_keeps_it_from_its_work(report: &mut Report) {
    let mut stops = Durations::default();
    for (what, redirection) in REDIRECTIONS {
        stops.add(works(what, |start| start.redirected(redirection).go().expect("it listens")));
    }
    stops.add(works("a reader that goes away", |start| with_pipe(&start, Reader::GoesAway)));
    stops.add(works("a pipe that nobody reads", |start| with_pipe(&start, Reader::Stopped)));
    report.figure("sorts of streams", REDIRECTIONS.len() + 2);
    report.figure("a stop takes", stops);
}

pub fn lines_on_the_database_s_own_full_disk_cost_no_event(report: &mut Report) {
    let probe = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !probe.as_ref().is_ok_and(|ended| ended.status.success()) {
        return report.skip(format!("no small disk can be mounted: {probe:?}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let place = disk.display().to_string();
    let start = Start::on(folder.path(), disk.join("x.db"));
    let host = start.through(&["unshare", "-rm", "sh", "-c", LOG_ON_THE_SAME_DISK, &place]).served();
    let inside = format!("/proc/{}/root{place}", host.id());
    let (client, receiver, ledger) = (host.client(), Receiver::start(), Ledger::default());
    let account = client.create_account("ada");
    client.create_destination(&account, &receiver.url("/in"), "POST", json!({}));
    keep::push(&host, &ledger, &account, 20);
    let filler = Path::new(&inside).join("filler");
    let mut file = File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4_096]).is_ok() {}
    wait_until("it refuses what it cannot keep", || {
        assert!(ledger.send(&client, &account.token));
        (ledger.refused().len() >= 10).then_some(())
    });
    let lines = || std::fs::metadata(format!("{inside}/log")).unwrap().len();
    let seen = Path::new(&inside).join("x.db");
    // More lines than fit into the free rest of a page.
    for _ in 0..20 {
        mv(&seen, &seen.with_extension("moved"));
        keep::is_ready(&client, false);
        mv(&seen.with_extension("moved"), &seen);
        keep::is_ready(&client, false);
    }
    let full = lines();
    drop(file);
    std::fs::remove_file(filler).unwrap();
    wait_until("it takes events again", || {
        let before = ledger.count();
        assert!(ledger.send(&client, &account.token));
        (ledger.count() > before).then_some(())
    });
    keep::chatter(&client, &seen, 2);
    wait_until("its lines are written again", || (lines() > full).then_some(()));
    Arrivals::default().wait_for_all(&receiver, &ledger, &["/in"]);
    assert_eq!(served(&client, &account), numbers(&ledger));
    report.figure("refused with 503", ledger.refused().len());
    host.terminate();
}

/// How the log is read.
#[derive(Clone, Copy, PartialEq)]
enum Reader {
    /// The reader goes away after the first bytes.
    GoesAway,
    /// Nobody reads, like a `less` that was stopped.
    Stopped,
}

/// Starts the server with standard error in a pipe.
fn with_pipe(start: &Start, reader: Reader) -> Host {
    let mut host = start.go_with(|command| _ = command.stderr(Stdio::piped())).expect("it listens");
    let mut pipe = host.child.stderr.take().expect("a pipe");
    // SAFETY: only makes the pipe's buffer small.
    assert!(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 4_096) } > 0);
    if reader == Reader::GoesAway {
        let mut some = [0; 64];
        assert!(pipe.read(&mut some).unwrap() > 0);
    } else {
        // Nobody reads, and the pipe stays open until the end.
        host.child.stderr = Some(pipe);
    }
    host
}

/// Checks that the server works after such a start. Returns how long the stop took.
fn works(what: &str, go: impl FnOnce(Start) -> Host + std::panic::UnwindSafe) -> Duration {
    let result = std::panic::catch_unwind(|| {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let grace = format!("{}s", GRACE.as_secs());
        let host =
            go(Start::on(folder.path(), &database).variable("RUST_LOG", "trace").flags(&["--shutdown-grace", &grace]));
        let (client, receiver, ledger) = (host.client(), Receiver::start(), Ledger::default());
        let account = client.create_account("ada");
        client.create_destination(&account, &receiver.url("/a"), "POST", json!({}));
        // More lines than the pipe holds; in the long form, more than the server keeps for the pipe.
        keep::chatter(&client, &database, either(60, 2_500));
        let mut arrivals = Arrivals::default();
        ledger.under_load(&client, &account.token, 4, || ledger.wait_for_more(either(100, 2_000)));
        arrivals.wait_for_all(&receiver, &ledger, &["/a"]);
        let before = ledger.count();
        client.create_destination(&account, &receiver.url("/late"), "POST", json!({}));
        let new = keep::push(&host, &ledger, &account, 20);
        arrivals.wait_for_all(&receiver, &ledger, &["/a"]);
        wait_until("the destination that came later has got its events", || {
            arrivals.read(&receiver);
            new.iter().all(|number| arrivals.of("/late", *number) > 0).then_some(())
        });
        assert!(ledger.refused().is_empty() && ledger.unanswered() == 0 && ledger.count() == before + 20);
        assert_eq!(served(&client, &account), numbers(&ledger));
        let told = Instant::now();
        host.terminate();
        let took = told.elapsed();
        assert!(took < GRACE, "it stops after {took:?}");
        stands_alone(&database);
        assert_eq!(stored(&database), numbers(&ledger));
        took
    });
    result.unwrap_or_else(|panic| {
        eprintln!("this fell: {what}");
        std::panic::resume_unwind(panic)
    })
}

pub fn commands_end_with_a_sensible_code_whatever_becomes_of_what_they_say(report: &mut Report) {
    let folder = tempfile::tempdir().unwrap();
    let host = Start::on(folder.path(), "x.db").served();
    let mut count = 0;
    let commands: [&[&str]; 8] = [
        &["openapi"],
        &["openapi", "--yaml"],
        &["--help"],
        &["serve", "--help"],
        &["--version"],
        &["login-link", "--database", "nowhere.db"],
        &["no-such-command"],
        &["serve", "--listen", "nowhere"],
    ];
    for arguments in commands {
        let usual = ran("", arguments, folder.path());
        let fine = usual == 0;
        for (redirection, full) in [
            (">&-", false),
            (">/dev/full", true),
            ("2>&-", false),
            ("2>/dev/full", false),
            (">&- 2>&-", false),
            (">/dev/full 2>/dev/full", true),
            ("| head -c 10", false),
            ("2>&1 | head -c 10", false),
            ("| true", false),
        ] {
            let code = ran(redirection, arguments, folder.path());
            let expected = if full && fine { 1 } else { usual };
            assert_eq!(code, expected, "{arguments:?} {redirection}");
            count += 1;
        }
    }
    // A start that is refused, for several targets of its line.
    for redirection in ["2>&-", "2>/dev/full", ">&- 2>&-"] {
        let mut child = Start::on(folder.path(), "x.db").redirected(redirection).spawn(free_address(), |_| {});
        let ended = wait_until("it is refused", || child.try_wait().unwrap());
        assert_eq!(ended.code(), Some(1), "{redirection}");
        count += 1;
    }
    host.terminate();
    report.figure("commands", count);
}

/// The exit code of the program itself. Fails if the program panics.
#[track_caller]
fn ran(redirection: &str, arguments: &[&str], folder: &Path) -> i32 {
    let (code, said) = (folder.join("code"), folder.join("said"));
    // The code of a pipe would be that of its last command.
    let line = format!("{{ \"$@\"; echo $? >{}; }} {redirection}", code.display());
    let of_program = shell("", &[]);
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).arg("sh").arg(super::host::PROGRAM).args(arguments).current_dir(folder);
    for (name, value) in of_program.get_envs().filter(|(_, value)| value.is_none()) {
        assert!(value.is_none());
        command.env_remove(name);
    }
    let out = File::create(&said).unwrap();
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).status().unwrap();
    let text = String::from_utf8_lossy(&std::fs::read(&said).unwrap()).into_owned();
    assert!(!text.contains("panicked"), "{arguments:?} {redirection}: {text}");
    let code =
        wait_until("its code is known", || std::fs::read_to_string(&code).ok().filter(|code| code.ends_with('\n')));
    std::fs::remove_file(folder.join("code")).unwrap();
    code.trim().parse().unwrap()
}
