//! Reads the file that `--secrets-key-file` names, and makes such a file. What a key is belongs in `domain/sealing`.

use std::fs::{Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::domain::sealing::key::SecretsKey;

/// Longest file that is read, in bytes. A key has 44 characters.
const MAX_BYTES: u64 = 1024;

/// The variable by which systemd names the folder of a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Reads a key from the file that a flag names. The error says what is wrong with the file, and never what it holds.
pub fn read(path: &str) -> Result<SecretsKey, String> {
    let path = Path::new(path);
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "there is no such file; data-pusher key new FILE makes one".to_owned(),
        _ => format!("it cannot be read: {error}"),
    };
    let meta = path.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err("it is a folder; name the file in it".to_owned());
    }
    // A pipe would wait for its other end.
    if !meta.is_file() {
        return Err("it is no ordinary file".to_owned());
    }
    check_mode(path, &meta)?;
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize + 1));
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => "it is not padded standard base64 of 32 bytes".to_owned(),
        _ => failed(error),
    })?;
    if text.len() as u64 > MAX_BYTES {
        return Err("it is too long for a key, which is 32 random bytes in base64".to_owned());
    }
    SecretsKey::parse(&text)
}

/// Refuses a file that other users can read or change. Of a credential of systemd, an access list shows as rights of the
/// group; the folder then keeps others out.
fn check_mode(path: &Path, meta: &Metadata) -> Result<(), String> {
    let mode = meta.permissions().mode() & 0o777;
    let is_credential = std::env::var_os(CREDENTIALS).is_some_and(|folder| lies_in(path, Path::new(&folder)));
    let allowed = if is_credential { 0o740 } else { 0o700 };
    if mode & !allowed == 0 {
        return Ok(());
    }
    Err(format!("others than its owner can read or change it (mode {mode:o}); run chmod 600 on it"))
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
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{} exists already, and a key is never written over; name another file", path.display())
        }
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
