//! The groups of this process.

/// Whether a group is one of this process: its effective one, or a supplementary one.
pub fn is_own(group: u32) -> bool {
    // SAFETY: the call has no arguments, and cannot fail.
    let effective = unsafe { libc::getegid() };
    group == effective || supplementary().contains(&group)
}

/// None if the system does not tell them.
fn supplementary() -> Vec<libc::gid_t> {
    // SAFETY: with a length of 0 nothing is written, and the number of groups is returned.
    let count = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: there is room for `count` groups.
    let written = unsafe { libc::getgroups(count.max(0), groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(written).unwrap_or(0));
    groups
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_new_files_group_is_one_of_this_process_and_another_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(is_own(file.metadata().unwrap().gid()));
        let mut groups: Vec<u32> = supplementary();
        // SAFETY: the call has no arguments, and cannot fail.
        groups.push(unsafe { libc::getegid() });
        let other = (60_000..).find(|group| !groups.contains(group)).unwrap();
        assert!(groups.iter().all(|group| is_own(*group)) && !is_own(other));
    }
}
