//! Memory and open files of the server's process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::harness::Server;

/// Resident memory, in KiB.
pub fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("resident memory");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Number of open files.
pub fn open_files(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.process_id())).unwrap().count()
}

/// Waits until the process has at most `most` open files. Kept connections end after a minute.
#[track_caller]
pub fn wait_for_few_files(server: &Server, most: usize) {
    let end = Instant::now() + Duration::from_secs(100);
    while open_files(server) > most {
        assert!(Instant::now() < end, "more than {most} files stay open: {:?}", kinds(server));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Number of open files of each kind.
fn kinds(server: &Server) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{}/fd", server.process_id())).unwrap().flatten() {
        let target = std::fs::read_link(entry.path()).map(|path| path.display().to_string()).unwrap_or_default();
        let kind = target.split(':').next().unwrap_or_default().to_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// KiB as text in MiB.
pub fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1} MiB", kibibytes as f64 / 1024.0)
}
