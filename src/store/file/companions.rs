//! Files beside the database that have its name and an ending: where they lie, who may read them, and how they are
//! written. What they contain is decided by their users.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// The path of a companion of the database file, such as `data.db.login`.
pub fn sibling_path(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Makes a new file readable and writable by its owner only (mode 0600).
pub fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

/// Writes a file that is there whole, with mode 0600 and on disk, or not at all. The content is written to a second
/// file, which is then renamed. An existing file is replaced.
///
/// # Errors
/// Those of the file system. Nothing is left behind.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let part = sibling_path(path, ".part");
    remove_if_there(&part)?;
    let written = owner_only(OpenOptions::new().create_new(true).write(true)).open(&part).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let moved = written.and_then(|()| std::fs::rename(&part, path)).and_then(|()| sync_folder(path));
    if moved.is_err() {
        // The disk may be full, and what is left of the file only takes space.
        let _ = remove_if_there(&part);
    }
    moved
}

/// Renames a file to a name that is not used yet, and makes sure that the rename is on disk.
///
/// # Errors
/// The name is used already, or those of the file system.
pub fn move_to_new_name(from: &Path, to: &Path) -> io::Result<()> {
    // A rename would replace an existing file; a hard link does not.
    match std::fs::hard_link(from, to) {
        Ok(()) => std::fs::remove_file(from)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
        // Some file systems have no hard links.
        Err(_) if !to.exists() => std::fs::rename(from, to)?,
        Err(error) => return Err(error),
    }
    sync_folder(to)
}

/// Two files change their places in one step.
///
/// # Errors
/// Those of the file system. Some cannot do that.
#[cfg(target_os = "linux")]
pub fn change_places(one: &Path, other: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    // A test asks for the way of other systems.
    if cfg!(debug_assertions) && std::env::var_os("DATA_PUSHER_TEST_NO_EXCHANGE").is_some() {
        return Err(ErrorKind::Unsupported.into());
    }
    let text = |path: &Path| std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other);
    let (one, other, here) = (text(one)?, text(other)?, libc::AT_FDCWD);
    // SAFETY: both paths are NUL-terminated and outlive the call.
    let code =
        unsafe { libc::syscall(libc::SYS_renameat2, here, one.as_ptr(), here, other.as_ptr(), libc::RENAME_EXCHANGE) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Two files change their places in one step.
///
/// # Errors
/// Always: only Linux can do that.
#[cfg(not(target_os = "linux"))]
pub fn change_places(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Removes a file. A missing file is no error.
///
/// # Errors
/// Those of the file system.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes sure that what was created, renamed or removed in the folder of `path` is on disk.
///
/// # Errors
/// Those of the file system.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(sibling_path(&path, ".part"), "what a crash left").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert!(!sibling_path(&path, ".part").exists());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_whole(&folder.path().join("no/such/folder"), b"x").is_err());
    }

    #[test]
    fn a_name_that_is_taken_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        std::fs::write(&from, "new").unwrap();
        std::fs::write(&to, "old").unwrap();
        assert!(move_to_new_name(&from, &to).is_err() && std::fs::read(&to).unwrap() == b"old");
        std::fs::remove_file(&to).unwrap();
        move_to_new_name(&from, &to).unwrap();
        assert!(!from.exists() && std::fs::read(&to).unwrap() == b"new");
    }
}
