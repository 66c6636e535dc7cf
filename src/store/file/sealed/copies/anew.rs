//! Seals copies anew that were sealed as a whole, where the key is rotated.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

pub use super::found::Other;
use super::found::{key_of, other};
use super::left::Left;
use super::part::{WRITTEN_WRONG, digest_of, part_of, write_part};
use super::{each, goes_on};
use crate::domain::sealing::file::{SealingWriter, open};
use crate::domain::sealing::key::SecretsKeys;
use crate::store::file::companions::{remove_if_there, sync_folder};
use crate::store::file::disk_space;

/// The bit of a folder's mode by which only the owner of a file may replace it.
const STICKY: u32 = 0o1000;

/// What became of copies that were to be sealed anew.
#[derive(Debug, Default)]
pub struct Anew {
    /// How many were sealed anew.
    pub sealed: usize,
    /// Those that need another key than the current one nevertheless: sealed databases, and what still other keys have
    /// sealed.
    pub others: Vec<Other>,
}

/// Seals every sealed copy beside the database anew that the key before has sealed as a whole. Says in the log what was
/// done.
///
/// # Errors
/// A copy cannot be sealed anew. It stays as it is.
pub fn seal_all_anew(database: &Path, keys: &SecretsKeys) -> Result<Anew, Left> {
    let (Some(current), Some(previous)) = (keys.current(), keys.previous()) else { return Ok(Anew::default()) };
    let mut anew = Anew::default();
    each(database, |copy| {
        if key_of(copy)? != Some(previous.id()) {
            anew.others.extend(other(copy, current)?);
            return Ok(None);
        }
        let part = part_of(copy);
        write_part(&part, copy, |to| {
            let mut writer = SealingWriter::new(current, to)?;
            open(keys, &mut File::open(copy)?, &mut writer, goes_on)?;
            writer.finish()
        })?;
        if digest_of(&part, keys, goes_on)? != digest_of(copy, keys, goes_on)? {
            return Err(io::Error::other(WRITTEN_WRONG));
        }
        std::fs::rename(&part, copy)?;
        sync_folder(copy)?;
        anew.sealed += 1;
        Ok(Some(copy.to_owned()))
    })?;
    Ok(anew)
}

/// Looks, before anything is changed, whether [`seal_all_anew`] can do its work: each copy can be read, those that the
/// key before has sealed open to their end, and there is room and permission to put another file in their place.
///
/// # Errors
/// A copy could not be sealed anew.
pub fn look_at_all(database: &Path, keys: &SecretsKeys) -> Result<(), Left> {
    let Some(previous) = keys.previous() else { return Ok(()) };
    each(database, |copy| {
        if key_of(copy)? == Some(previous.id()) {
            try_to_replace(copy)?;
            open(keys, &mut File::open(copy)?, &mut io::sink(), goes_on)?;
        }
        Ok(None)
    })
}

fn try_to_replace(copy: &Path) -> io::Result<()> {
    let part = part_of(copy);
    let meta = copy.metadata()?;
    let mut own = None;
    write_part(&part, copy, |to| to.metadata().map(|meta| own = Some(meta.uid())))?;
    remove_if_there(&part)?;
    if disk_space::free(copy).is_some_and(|free| free < meta.len()) {
        return Err(ErrorKind::StorageFull.into());
    }
    let folder = copy.parent().unwrap_or(Path::new("/")).metadata()?;
    let is_others = own.is_some_and(|own| own != 0 && own != meta.uid() && own != folder.uid());
    // In such a folder, only the owner of a file may replace it.
    if is_others && folder.mode() & STICKY != 0 { Err(ErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::opened::open_copy;
    use super::super::seal_all;
    use super::*;
    use crate::domain::sealing::key::SecretsKey;
    use crate::store::file::companions::sibling_path;

    #[test]
    fn a_copy_is_sealed_and_opens_to_the_same_bytes_and_others_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [database, copy, other, back] =
            ["a.db", "a.db.v6-1", "a.db.notes", "back"].map(|name| folder.path().join(name));
        let plain = b"canary ".repeat(50_000);
        std::fs::write(&copy, &plain).unwrap();
        std::fs::write(&other, "canary").unwrap();
        let (key, next) = (SecretsKey::generate(), SecretsKey::generate());
        let sealed = folder.path().join("a.db.v6-1.sealed");
        // What a kill left.
        std::fs::write(sibling_path(&sealed, ".part"), "half").unwrap();
        seal_all(&database, &key).unwrap();
        assert!(!copy.exists() && other.exists() && !sibling_path(&sealed, ".part").exists());
        assert_eq!(key_of(&sealed).unwrap(), Some(key.id()));
        assert!(!std::fs::read(&sealed).unwrap().windows(6).any(|part| part == b"canary"));
        let keys = SecretsKeys::rotating(next.clone(), key.clone());
        let anew = seal_all_anew(&database, &keys).unwrap();
        assert!(anew.sealed == 1 && anew.others.is_empty(), "{anew:?}");
        let new = SecretsKeys::new(Some(next));
        assert!(open_copy(&sealed, &back, &SecretsKeys::new(Some(key))).is_err() && !back.exists());
        open_copy(&sealed, &back, &new).unwrap();
        assert!(std::fs::read(&back).unwrap() == plain);
        assert!(open_copy(&sealed, &back, &new).is_err(), "never over a file");
        assert!(std::fs::read(&back).unwrap() == plain);
    }

    #[test]
    fn what_could_not_be_sealed_anew_is_found_before() {
        let folder = tempfile::tempdir().unwrap();
        let [database, copy] = ["a.db", "a.db.v6-1.sealed"].map(|name| folder.path().join(name));
        let [old, new, third] = [(); 3].map(|()| SecretsKey::generate());
        std::fs::write(sibling_path(&database, ".v6-1"), b"canary ".repeat(50_000)).unwrap();
        seal_all(&database, &old).unwrap();
        let whole = std::fs::read(&copy).unwrap();
        let look = |old: &SecretsKey| look_at_all(&database, &SecretsKeys::rotating(new.clone(), old.clone()));
        look(&old).unwrap();
        assert!(std::fs::read(&copy).unwrap() == whole && !part_of(&copy).exists(), "nothing is changed");
        std::fs::create_dir(part_of(&copy)).unwrap();
        assert!(look(&old).is_err());
        std::fs::remove_dir(part_of(&copy)).unwrap();
        std::fs::write(&copy, &whole[..whole.len() - 1]).unwrap();
        assert!(look(&old).unwrap_err().to_string().contains("delete it"));
        look(&third).expect("what another key has sealed stays as it is");
    }

    #[test]
    fn a_sealed_copy_keeps_the_owner_of_what_it_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let [database, copy] = ["a.db", "a.db.v6-1"].map(|name| folder.path().join(name));
        let sealed = folder.path().join("a.db.v6-1.sealed");
        let [old, new] = [(); 2].map(|()| SecretsKey::generate());
        std::fs::write(&copy, "canary").unwrap();
        // Only root can do this. For everybody else, the file stays their own.
        let _ = std::os::unix::fs::chown(&copy, Some(65_533), Some(65_534));
        let whose = |path: &Path| path.metadata().map(|meta| (meta.uid(), meta.gid(), meta.mode() & 0o777)).unwrap();
        let (user, group, _) = whose(&copy);
        seal_all(&database, &old).unwrap();
        assert_eq!(whose(&sealed), (user, group, 0o600));
        seal_all_anew(&database, &SecretsKeys::rotating(new.clone(), old)).unwrap();
        assert_eq!((whose(&sealed), key_of(&sealed).unwrap()), ((user, group, 0o600), Some(new.id())));
    }
}
