//! A model of a disk that loses its power: which contents a folder can have then, after certain writes and syncs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::file::with_ending;
use crate::trace::Step;

/// The unit in which the kernel writes, in bytes.
const PAGE: usize = 4_096;

/// How much of the data that was never synced had reached the disk.
#[derive(Debug, Clone, Copy)]
pub enum Reached {
    /// None.
    Nothing,
    /// All, as after kill -9.
    Everything,
    /// Any part, in any order, cut at multiples of this many bytes.
    Torn { sector: usize },
}

/// A folder as the server sees it, and as it is on the disk.
#[derive(Default)]
pub struct Disk {
    files: Vec<File>,
    /// Names that the server sees.
    names: BTreeMap<String, usize>,
    /// Names that are on the disk.
    kept_names: BTreeMap<String, usize>,
    /// Changes of names since the last sync of the folder; `None` for a name that was removed.
    pending_names: Vec<(String, Option<usize>)>,
}

#[derive(Default)]
struct File {
    /// Content that the server sees.
    seen: Vec<u8>,
    /// Content that is on the disk for certain.
    kept: Vec<u8>,
    /// Contents of pages since the last sync, in order. A page is written as a whole, with its content at that time.
    pending: Vec<(usize, Vec<u8>)>,
}

impl Disk {
    /// Applies the server's next step. `random` decides which pages a failed fsync wrote.
    pub fn apply(&mut self, step: &Step, random: &mut fastrand::Rng) {
        match step {
            Step::Created(name) => {
                if !self.names.contains_key(name) {
                    self.files.push(File::default());
                    self.names.insert(name.clone(), self.files.len() - 1);
                    self.pending_names.push((name.clone(), Some(self.files.len() - 1)));
                }
            }
            Step::Unlinked(name) => {
                self.names.remove(name);
                self.pending_names.push((name.clone(), None));
            }
            Step::Written { name, offset, data } => self.file(name).write(*offset, data),
            Step::Resized { name, size } => self.file(name).resize(*size),
            Step::Synced(name) => self.file(name).synced(),
            Step::NotSynced(name) => self.file(name).not_synced(random),
            Step::FolderSynced => {
                self.pending_names.clear();
                self.kept_names = self.names.clone();
            }
            // Changes of names stay pending.
            Step::FolderNotSynced | Step::Acknowledged(_) => {}
        }
    }

    /// Whether all that the server sees in this file is on the disk for certain.
    pub fn has_all_of(&self, name: &str) -> bool {
        self.names.get(name).is_none_or(|number| {
            let file = &self.files[*number];
            file.pending.is_empty() && file.kept == file.seen
        })
    }

    fn file(&mut self, name: &str) -> &mut File {
        let number = self.names.get(name).unwrap_or_else(|| panic!("{name:?} is not there"));
        &mut self.files[*number]
    }

    /// Writes `database` and its companions as they can be after a power cut at this step.
    pub fn after_a_cut(&self, reached: Reached, random: &mut fastrand::Rng, database: &Path) {
        let mut names = self.kept_names.clone();
        let likely = random.f64();
        for (name, number) in &self.pending_names {
            let reaches = match reached {
                Reached::Nothing => false,
                Reached::Everything => true,
                Reached::Torn { .. } => random.f64() < likely,
            };
            match number {
                _ if !reaches => {}
                Some(number) => {
                    names.insert(name.clone(), *number);
                }
                None => {
                    names.remove(name);
                }
            }
        }
        for ending in ["", "-wal", "-journal", "-shm"] {
            let path = with_ending(database, ending);
            let _ = std::fs::remove_file(&path);
            if let Some(number) = names.get(ending) {
                std::fs::write(path, self.files[*number].after_a_cut(reached, random)).unwrap();
            }
        }
    }
}

impl File {
    fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(data);
        for page in offset / PAGE..end.div_ceil(PAGE) {
            let content = self.seen[page * PAGE..self.seen.len().min((page + 1) * PAGE)].to_vec();
            self.pending.push((page, content));
        }
    }

    fn resize(&mut self, size: usize) {
        self.seen.resize(size, 0);
    }

    fn synced(&mut self) {
        // Only pending pages are written, not all that the server sees: after a failed fsync the kernel does not write
        // again.
        for (page, content) in std::mem::take(&mut self.pending) {
            put(&mut self.kept, page * PAGE, &content);
        }
        self.kept.resize(self.seen.len(), 0);
    }

    /// From now on the kernel treats the pages as clean, whether they reached the disk or not.
    fn not_synced(&mut self, random: &mut fastrand::Rng) {
        let likely = random.f64();
        let pages: BTreeSet<usize> = self.pending.iter().map(|(page, _)| *page).collect();
        for page in pages {
            if random.f64() < likely {
                let content = self.pending.iter().rfind(|(of, _)| *of == page).map(|(_, content)| content.clone());
                put(&mut self.kept, page * PAGE, &content.unwrap_or_default());
            }
        }
        self.pending.clear();
    }

    fn after_a_cut(&self, reached: Reached, random: &mut fastrand::Rng) -> Vec<u8> {
        let sector = match reached {
            Reached::Nothing => return self.kept.clone(),
            // After a failed fsync, also content that the server sees may be lost.
            Reached::Everything => PAGE,
            Reached::Torn { sector } => sector,
        };
        let whole = matches!(reached, Reached::Everything);
        let mut content = self.kept.clone();
        let likely = random.f64();
        let mut by_page: BTreeMap<usize, Vec<&Vec<u8>>> = BTreeMap::new();
        for (page, content) in &self.pending {
            by_page.entry(*page).or_default().push(content);
        }
        for (page, versions) in by_page {
            for start in (0..PAGE).step_by(sector) {
                let version = if whole { versions.len() - 1 } else { random.usize(..versions.len()) };
                let bytes = versions[version].get(start..).unwrap_or_default();
                if whole || random.f64() < likely {
                    put(&mut content, page * PAGE + start, &bytes[..bytes.len().min(sector)]);
                }
            }
        }
        let size = match random.u8(..4) {
            _ if whole => self.seen.len(),
            0 => self.kept.len(),
            1 => random.usize(self.kept.len().min(self.seen.len())..=self.kept.len().max(self.seen.len())),
            _ => self.seen.len(),
        };
        content.resize(size, 0);
        content
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}
