//! Reads the file that `--secrets-key-file` names, and makes such a file. What a key is belongs in `domain/sealing`.

use std::fs::{Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::hidden::may_hold_secret;
use crate::domain::sealing::key::{NOT_BASE64, SecretsKey};
use crate::process::groups;
use crate::process::harmless::harmless;

/// Longest file that is read, in bytes. A key has 44 characters.
const MAX_BYTES: u64 = 1024;

/// The variable by which systemd names the folder of a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// What to do where there is no key file. A new key opens nothing that another one has sealed.
const NO_FILE: &str = "there is no such file; if the database is sealed already, find its key, for no other one opens it; \
for the first time, data-pusher key new FILE makes one";

/// A key, and the file that it is in.
#[derive(Debug, Clone)]
pub struct KeyFile {
    /// As it was given.
    pub path: PathBuf,
    /// What it holds.
    pub key: SecretsKey,
}

impl std::fmt::Display for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.to_string_lossy();
        let path =
            if SecretsKey::parse(&path).is_ok() { "the file that was named".to_owned() } else { harmless(&path) };
        write!(f, "{} ({path})", self.key.id())
    }
}

/// As [`read`], with the name of the file.
pub fn read_named(path: &str) -> Result<KeyFile, String> {
    read(path).map(|key| KeyFile { path: path.into(), key })
}

/// Reads a key from the file that a flag names. The error says what is wrong with the file, and never what it holds.
pub fn read(path: &str) -> Result<SecretsKey, String> {
    let path = Path::new(path);
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => NO_FILE.to_owned(),
        _ => format!("it cannot be read: {error}"),
    };
    let meta = path.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err("it is a folder; name the file in it".to_owned());
    }
    // A pipe would wait for its other end.
    if !meta.is_file() {
        return Err("it is no ordinary file; write the key to a file of mode 600, and name that".to_owned());
    }
    check_mode(path, &meta)?;
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize + 1));
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => NOT_BASE64.to_owned(),
        _ => failed(error),
    })?;
    if text.len() as u64 > MAX_BYTES {
        return Err("it is too long for a key, which is 32 random bytes in base64".to_owned());
    }
    SecretsKey::parse(&text)
}

/// Refuses a file that other users can read or change.
fn check_mode(path: &Path, meta: &Metadata) -> Result<(), String> {
    let is_credential = std::env::var_os(CREDENTIALS).is_some_and(|folder| lies_in(path, Path::new(&folder)));
    let is_for_own_group = meta.uid() == 0 && groups::is_own(meta.gid());
    let mode = meta.permissions().mode() & 0o777;
    if is_closed(mode, is_credential || is_for_own_group) {
        return Ok(());
    }
    let advice = match meta.uid() {
        0 if is_for_own_group => "run chmod 600 on it, or chmod 440",
        0 if is_closed(mode, true) => "run chmod 600 on it, or chgrp: its group is none of this process",
        _ => "run chmod 600 on it",
    };
    Err(format!("others than its owner can read or change it (mode {mode:o}); {advice}"))
}

/// Whether a mode keeps others out. The group may read what has `group_reads`: a credential of systemd, whose access list
/// shows as rights of the group and whose folder keeps others out; and a file of root for a group of this process, as
/// Kubernetes makes it for a container that does not run as root.
fn is_closed(mode: u32, group_reads: bool) -> bool {
    let allowed = if group_reads { 0o740 } else { 0o700 };
    mode & !allowed == 0
}

/// Whether a file, which may be named by a link, lies in a folder. Only an absolute path names the folder: an empty or a
/// relative one would depend on where the program runs.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let (file, canonical) = (path.canonicalize(), folder.canonicalize());
    folder.is_absolute() && file.is_ok_and(|file| canonical.is_ok_and(|folder| file.parent() == Some(&folder)))
}

/// Makes a new key in a new file, readable by its owner only. Returns the key.
///
/// # Errors
/// Says in one line why there is no such file now. An existing file is never changed.
pub fn make(path: &Path) -> Result<SecretsKey, String> {
    let text = path.to_string_lossy();
    if SecretsKey::parse(&text).is_ok() {
        return Err("cannot write the key: this is a key itself; give the name of a file".to_owned());
    }
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{} exists already, and a key is never written over; name another file", path.display())
        }
        _ if may_hold_secret(&text) => format!("cannot write the key: {error}; give the name of a file"),
        _ => format!("cannot write the key to {}: {error}", path.display()),
    };
    let key = SecretsKey::generate();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let text = Zeroizing::new(format!("{}\n", *key.reveal()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::File::open(folder)?.sync_all());
    if let Err(error) = written {
        // Half a key is no key.
        let _ = std::fs::remove_file(path);
        return Err(failed(error));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_read_where_that_is_allowed_and_never_write_and_nobody_else_may_do_anything() {
        for mode in [0o400, 0o600, 0o700] {
            assert!(is_closed(mode, false) && is_closed(mode, true), "{mode:o}");
        }
        for mode in [0o440, 0o640] {
            assert!(!is_closed(mode, false) && is_closed(mode, true), "{mode:o}");
        }
        for mode in [0o420, 0o460, 0o660, 0o404, 0o444, 0o644, 0o602, 0o410] {
            assert!(!is_closed(mode, false) && !is_closed(mode, true), "{mode:o}");
        }
    }

    #[test]
    fn a_key_in_place_of_a_file_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let keys = std::iter::repeat_with(|| SecretsKey::generate().reveal());
        let key = keys.take(1_000).find(|key| key.contains('/')).unwrap();
        let why = make(Path::new(key.as_str())).err().unwrap();
        assert!(!why.contains(&key[..8]) && why.contains("the name of a file"), "{why}");
        let named = folder.path().join("no/such/secrets-key");
        assert!(make(&named).err().unwrap().contains(named.to_str().unwrap()));
    }
}
