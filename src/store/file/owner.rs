//! Whose a file is. A file that takes the place of another one, or lies beside it, goes to the same user and group, so
//! that the same programs can use it. Only root can give a file away.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

/// Whether both belong to the same user and group.
pub fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.uid(), one.gid()) == (other.uid(), other.gid())
}

/// The user of the file at `path`, where this process is root's and the file is not. Whoever may write in the folder
/// can put a link in the place of what root is about to write there by its name.
pub fn other_than_root(path: &Path) -> Option<u32> {
    // SAFETY: the call has no arguments, and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    path.metadata().ok().map(|meta| meta.uid()).filter(|user| is_root && *user != 0)
}

/// Gives a file to the user and the group of `owner`. Does nothing if it is theirs already.
///
/// # Errors
/// That of the system, which lets only root do so.
pub fn give(file: &File, owner: &Metadata) -> io::Result<()> {
    if is_same(&file.metadata()?, owner) {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}
