//! Runs the server under strace and reads the record. The record shows what the server does to its files, and when it
//! answers. strace can also make system calls fail.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::wait_until;

/// System calls in the record: all that change files or names, and all that can answer a client.
const CALLS: &str = "trace=openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,ftruncate,truncate,fallocate,\
    copy_file_range,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2,link,linkat";

/// One thing that happened. Steps are in the order in which they happened.
#[derive(Debug)]
pub enum Step {
    /// A file got this name.
    Created(String),
    Unlinked(String),
    Written {
        name: String,
        offset: usize,
        data: Vec<u8>,
    },
    Resized {
        name: String,
        size: usize,
    },
    /// An fsync of a file succeeded.
    Synced(String),
    /// An fsync of a file failed: what was not on disk before may never get there.
    NotSynced(String),
    /// An fsync of the folder succeeded.
    FolderSynced,
    FolderNotSynced,
    /// A client was answered 202 for this event, which must not be lost from now on.
    Acknowledged(String),
}

/// Why strace cannot be used here; `None` if it can.
pub fn obstacle() -> Option<String> {
    match Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output() {
        Ok(ended) if ended.status.success() => None,
        Ok(ended) => Some(format!("strace may not trace: {}", String::from_utf8_lossy(&ended.stderr).trim())),
        Err(error) => Some(format!("strace cannot be run ({error}); install it")),
    }
}

/// The command through which a server is started, so that its calls are recorded in `to`. `more` are further arguments
/// of strace.
pub fn recorded(to: &Path, more: &[String]) -> Vec<String> {
    // With -D the server stays our child and the tracer is the server's child, so that signals go to the server.
    let to = to.display().to_string();
    let fixed = ["strace", "-D", "-f", "-q", "--seccomp-bpf", "-y", "-xx", "-s", "1100000", "-e", CALLS, "-o", &to];
    fixed.iter().map(|word| (*word).to_owned()).chain(more.iter().cloned()).collect()
}

/// Makes system calls of a running server fail until it is dropped.
pub struct Failing {
    tracer: Child,
}

impl Failing {
    /// `inject` is a value of strace's `-e inject=`. Only calls on the file `path` fail.
    pub fn begin(process: u32, inject: &str, path: &Path, log: &Path) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-p", &process.to_string(), "-P"]).arg(path);
        command.args(["-e", &format!("inject={inject}"), "-o"]).arg(log);
        let mut tracer = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // strace prints a line once it is attached to each thread.
        let mut said = std::io::BufReader::new(tracer.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        assert!(line.contains("attached"), "strace: {line}");
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { tracer }
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        let id = i32::try_from(self.tracer.id()).expect("a process id");
        // SAFETY: only sends a signal. The child was not waited for, so its process id is not used again.
        unsafe { libc::kill(id, libc::SIGTERM) };
        let _ = self.tracer.wait();
    }
}

/// Number of calls that strace has made fail so far.
pub fn injected(log: &Path) -> usize {
    std::fs::read_to_string(log).unwrap_or_default().matches("(INJECTED)").count()
}

/// Waits until the record of a server that has ended is complete. Reads the steps that concern `database`, its log and
/// its journal. Nobody may open those files before: they show how much of a call was done that a kill interrupted.
pub fn read(record: &Path, process: u32, database: &Path) -> Vec<Step> {
    let process = process.to_string();
    let ended = |line: &str| {
        line.split_once(' ').is_some_and(|(of, what)| of == process && what.trim_start().starts_with("+++"))
    };
    let text = wait_until("the record is complete", || {
        let text = std::fs::read_to_string(record).ok()?;
        text.lines().any(ended).then_some(text)
    });
    let mut reader = Reader { database, unfinished: HashMap::new(), steps: Vec::new() };
    text.lines().for_each(|line| reader.line(line));
    for begun in std::mem::take(&mut reader.unfinished).into_values() {
        reader.killed(begun);
    }
    reader.steps
}

struct Reader<'a> {
    database: &'a Path,
    /// Calls that had begun when a call of another thread was printed, by thread.
    unfinished: HashMap<&'a str, &'a str>,
    steps: Vec<Step>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) {
        let (process, rest) = line.split_once(' ').unwrap_or_else(|| panic!("strace says: {line}"));
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            self.begun(begun);
            self.unfinished.insert(process, begun);
        } else if rest.starts_with("<... ") {
            let begun = self.unfinished.remove(process).unwrap_or_default();
            self.ended(begun, rest.rsplit_once(" = ").map_or("", |(_, result)| result));
        } else if let Some((call, result)) = rest.rsplit_once(" = ") {
            self.begun(call);
            self.ended(call, result);
        }
    }

    /// The client may have an answer as soon as the call that sends it begins.
    fn begun(&mut self, call: &str) {
        let (name, arguments) = call.split_once('(').unwrap_or((call, ""));
        if matches!(name, "sendto" | "sendmsg" | "write" | "writev") && !arguments.contains(".db") {
            let said = String::from_utf8_lossy(&strings(arguments).concat()).into_owned();
            if said.starts_with("HTTP/1.1 202")
                && let Some((_, id)) = said.split_once("\"event_id\":\"")
            {
                let id = id.split('"').next().unwrap_or_default();
                self.steps.push(Step::Acknowledged(id.to_owned()));
            }
        }
    }

    /// A kill interrupted this write: the part that is in the file was done.
    fn killed(&mut self, call: &str) {
        let Some(arguments) = call.strip_prefix("pwrite64(") else { return };
        let data = strings(arguments).concat();
        let path = arguments.split(['<', '>']).nth(1).map(unhex).unwrap_or_default();
        let path = String::from_utf8_lossy(&path).into_owned();
        let offset: usize = arguments.trim_end_matches(')').rsplit(", ").next().unwrap().parse().unwrap();
        if self.name(&path).is_some() {
            let content = std::fs::read(&path).unwrap();
            let there = content.get(offset..).unwrap_or_default();
            let done = data.iter().zip(there).take_while(|(written, found)| written == found).count();
            self.ended(call, &done.to_string());
        }
    }

    fn ended(&mut self, call: &str, result: &str) {
        if result.starts_with('?') {
            return self.killed(call);
        }
        let (call_name, arguments) = call.split_once('(').unwrap_or((call, ""));
        let well = !result.starts_with('-');
        let first = arguments.split(['<', '>']).nth(1).map(unhex).unwrap_or_default();
        let path = String::from_utf8_lossy(&first).into_owned();
        let numbers = || arguments.trim_end_matches(')').rsplit(", ").map_while(|number| number.parse::<usize>().ok());
        let number = || numbers().next().unwrap_or_else(|| panic!("no number: {call_name} {result}"));
        match call_name {
            "openat" | "open" | "creat" => {
                let opened = String::from_utf8_lossy(&strings(arguments).concat()).into_owned();
                if let Some(name) = self.name(&opened).filter(|_| well && arguments.contains("O_CREAT")) {
                    assert!(!arguments.contains("O_TRUNC"), "{opened} is truncated");
                    self.steps.push(Step::Created(name));
                }
            }
            "pwrite64" if well => {
                if let Some(name) = self.name(&path) {
                    let mut data = strings(arguments).concat();
                    data.truncate(result.parse().unwrap());
                    self.steps.push(Step::Written { name, offset: number(), data });
                }
            }
            "ftruncate" if well => {
                if let Some(name) = self.name(&path) {
                    self.steps.push(Step::Resized { name, size: number() });
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(name) = self.name(&path) {
                    self.steps.push(if well { Step::Synced(name) } else { Step::NotSynced(name) });
                } else if self.database.parent() == Some(Path::new(&path)) {
                    self.steps.push(if well { Step::FolderSynced } else { Step::FolderNotSynced });
                }
            }
            "unlink" if well => {
                let gone = String::from_utf8_lossy(&strings(arguments).concat()).into_owned();
                self.steps.extend(self.name(&gone).map(Step::Unlinked));
            }
            // Other calls that change the files are not modelled, and must not be overlooked.
            _ if well => {
                let named = strings(arguments).iter().any(|text| self.name(&String::from_utf8_lossy(text)).is_some());
                assert!(self.name(&path).is_none() && !named, "{call_name} of {path} is not modelled");
            }
            _ => {}
        }
    }

    /// The ending that `path` adds to the database's name, if the file outlives a crash. The log's index is left
    /// out, because SQLite rebuilds the index.
    fn name(&self, path: &str) -> Option<String> {
        let database = self.database.display().to_string();
        let ending = path.strip_prefix(&database)?;
        matches!(ending, "" | "-wal" | "-journal").then(|| ending.to_owned())
    }
}

/// Every quoted string, decoded.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    let texts: Vec<&str> = arguments.split('"').collect();
    for after in texts.iter().skip(2).step_by(2) {
        assert!(!after.starts_with("..."), "strace cut a string short");
    }
    texts.into_iter().skip(1).step_by(2).map(unhex).collect()
}

/// Decodes `\x61\x62` into bytes.
fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_else(|| panic!("not hexadecimal: {text:.80}")) as u8;
    if !text.starts_with("\\x") {
        return text.as_bytes().to_vec();
    }
    text.as_bytes().chunks(4).map(|four| digit(four[2]) << 4 | digit(four[3])).collect()
}
