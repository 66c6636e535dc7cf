//! Zeroes every byte of a database file that nothing uses: free pages, what lies between the cells of a page, and the
//! ends of overflow pages (<https://sqlite.org/fileformat2.html>, sections 1.5 to 1.8). No connection may have the file
//! open, and no log may lie beside it.
//!
//! What is used keeps its bytes, so a write that breaks off halfway harms nothing, and the work can be done again from
//! its beginning. The pages are walked twice. The first walk changes nothing, and makes sure that every page of the
//! file is known: only then nothing can be left.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Bytes of the header of the file, before the first b-tree.
const FILE_HEADER: usize = 100;

/// The page with this byte is never used: SQLite locks it.
const LOCK_BYTE: u64 = 0x4000_0000;

/// Pages between two looks whether the work is to end; few in debug builds, so that tests can end it anywhere.
const LOOK_EACH: u32 = if cfg!(debug_assertions) { 16 } else { 1_024 };

/// What the file is made of.
struct Layout {
    page_size: usize,
    /// Bytes of a page that SQLite uses.
    usable: usize,
    pages: u32,
    first_trunk: u32,
    has_pointer_maps: bool,
}

fn two(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
}

fn four(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// A number of variable length at `at`, and the place behind it.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for length in 0..8 {
        let byte = *bytes.get(at + length)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((value, at + length + 1));
        }
    }
    Some((value << 8 | u64::from(*bytes.get(at + 8)?), at + 9))
}

impl Layout {
    fn read(file: &File) -> io::Result<Option<Self>> {
        let mut header = [0; FILE_HEADER];
        file.read_exact_at(&mut header, 0)?;
        let length = file.metadata()?.len();
        Ok(Self::parse(&header).filter(|layout| u64::from(layout.pages) * layout.page_size as u64 == length))
    }

    fn parse(header: &[u8]) -> Option<Self> {
        let page_size = match two(header, 16)? {
            1 => 65_536,
            size => size,
        };
        let usable = page_size.checked_sub(usize::from(header[20]))?;
        let layout = Self {
            page_size,
            usable,
            pages: four(header, 28)?,
            first_trunk: four(header, 32)?,
            has_pointer_maps: four(header, 52)? > 0,
        };
        (page_size.is_power_of_two() && usable >= 480 && layout.pages > 0).then_some(layout)
    }

    fn lock_page(&self) -> u32 {
        u32::try_from(LOCK_BYTE / self.page_size as u64 + 1).unwrap_or(u32::MAX)
    }

    /// The pointer maps: each lies before the pages that it maps.
    fn pointer_maps(&self) -> impl Iterator<Item = u32> {
        let (each, lock) = (self.usable as u32 / 5 + 1, self.lock_page());
        let all = (0..).map(move |number| number * each + 2).map(move |page| page + u32::from(page == lock));
        let pages = if self.has_pointer_maps { self.pages } else { 0 };
        all.take_while(move |page| *page <= pages)
    }

    /// How many bytes of a payload lie in the cell itself.
    fn local(&self, payload: u64, is_table: bool) -> u64 {
        let usable = self.usable as u64;
        let most = if is_table { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
        let least = (usable - 12) * 32 / 255 - 23;
        if payload <= most {
            return payload;
        }
        let fit = least + (payload - least) % (usable - 4);
        if fit <= most { fit } else { least }
    }
}

/// Payload that goes on in overflow pages.
struct Overflow {
    first: u32,
    bytes: u64,
}

/// Walks over all pages, and keeps or zeroes what is not used.
struct Walk<'a, G> {
    file: &'a File,
    layout: Layout,
    seen: Vec<bool>,
    page: Vec<u8>,
    used: Vec<bool>,
    zeroes: bool,
    written: u32,
    read: u32,
    goes_on: G,
}

/// Why a walk ended early.
enum End {
    /// The file is not what SQLite makes.
    Unknown,
    Failed(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

type Step<T> = Result<T, End>;

fn known<T>(value: Option<T>) -> Step<T> {
    value.ok_or(End::Unknown)
}

impl<G: FnMut() -> io::Result<()>> Walk<'_, G> {
    fn all(&mut self, roots: &[u32]) -> Step<()> {
        let maps: Vec<u32> = self.layout.pointer_maps().collect();
        maps.into_iter().try_for_each(|page| self.see(page))?;
        if self.layout.lock_page() <= self.layout.pages {
            self.see(self.layout.lock_page())?;
        }
        let mut trees = vec![1];
        trees.extend(roots.iter().filter(|root| **root > 1));
        while let Some(page) = trees.pop() {
            self.tree_page(page, &mut trees)?;
        }
        self.free_pages()?;
        if self.seen[1..].iter().all(|seen| *seen) { Ok(()) } else { Err(End::Unknown) }
    }

    fn see(&mut self, page: u32) -> Step<()> {
        match self.seen.get_mut(page as usize) {
            Some(seen) if page > 0 && !*seen => {
                *seen = true;
                Ok(())
            }
            _ => Err(End::Unknown),
        }
    }

    fn load(&mut self, page: u32) -> Step<()> {
        self.see(page)?;
        if self.read.is_multiple_of(LOOK_EACH) {
            (self.goes_on)()?;
        }
        self.read += 1;
        let at = u64::from(page - 1) * self.layout.page_size as u64;
        self.file.read_exact_at(&mut self.page, at)?;
        self.used.fill(false);
        self.used[self.layout.usable..].fill(true);
        Ok(())
    }

    /// Marks bytes of the page as used. No two things may use the same byte.
    fn uses(&mut self, from: usize, bytes: usize) -> Step<()> {
        let end = known(from.checked_add(bytes))?;
        let part = known(self.used.get_mut(from..end).filter(|_| end <= self.layout.usable))?;
        if part.iter().any(|used| *used) {
            return Err(End::Unknown);
        }
        part.fill(true);
        Ok(())
    }

    /// Zeroes what was not marked as used.
    fn store(&mut self, page: u32) -> Step<()> {
        let unused = self.page.iter_mut().zip(&self.used).filter(|(byte, used)| !**used && **byte != 0);
        let changed = unused.map(|(byte, _)| *byte = 0).count();
        if self.zeroes && changed > 0 {
            self.file.write_all_at(&self.page, u64::from(page - 1) * self.layout.page_size as u64)?;
            self.written += 1;
        }
        Ok(())
    }

    /// A page of a b-tree, and the overflow pages of its cells.
    fn tree_page(&mut self, number: u32, trees: &mut Vec<u32>) -> Step<()> {
        self.load(number)?;
        let head = if number == 1 { FILE_HEADER } else { 0 };
        let kind = self.page[head];
        let is_leaf = match kind {
            2 | 5 => false,
            10 | 13 => true,
            _ => return Err(End::Unknown),
        };
        let cells = known(two(&self.page, head + 3))?;
        let pointers = head + if is_leaf { 8 } else { 12 };
        self.uses(0, pointers + 2 * cells)?;
        if !is_leaf {
            trees.push(known(four(&self.page, head + 8))?);
        }
        let mut overflows = Vec::new();
        for cell in 0..cells {
            let at = known(two(&self.page, pointers + 2 * cell))?;
            let (bytes, overflow) = self.cell(kind, at, trees)?;
            self.uses(at, bytes.max(4))?;
            overflows.extend(overflow);
        }
        let mut block = known(two(&self.page, head + 1))?;
        while block != 0 {
            self.uses(block, 4)?;
            let next = known(two(&self.page, block))?;
            if next != 0 && next <= block {
                return Err(End::Unknown);
            }
            block = next;
        }
        self.store(number)?;
        overflows.into_iter().try_for_each(|overflow| self.overflow(overflow))
    }

    /// The length of a cell, and where its payload goes on.
    fn cell(&self, kind: u8, at: usize, trees: &mut Vec<u32>) -> Step<(usize, Option<Overflow>)> {
        let mut place = at;
        if kind == 2 || kind == 5 {
            trees.push(known(four(&self.page, at))?);
            place += 4;
        }
        let (payload, behind) = known(varint(&self.page, place))?;
        if kind == 5 {
            // Of a table's inner cell, the number is its key.
            return Ok((behind - at, None));
        }
        place = behind;
        if kind == 13 {
            place = known(varint(&self.page, place))?.1;
        }
        let local = self.layout.local(payload, kind == 13);
        place = known(usize::try_from(local).ok().and_then(|local| place.checked_add(local)))?;
        if local == payload {
            return Ok((place - at, None));
        }
        let first = known(four(&self.page, place))?;
        Ok((place + 4 - at, Some(Overflow { first, bytes: payload - local })))
    }

    fn overflow(&mut self, Overflow { first, bytes }: Overflow) -> Step<()> {
        let each = self.layout.usable - 4;
        let (mut page, mut left) = (first, bytes);
        while left > 0 {
            self.load(page)?;
            let here = usize::try_from(left).map_or(each, |left| left.min(each));
            self.uses(0, 4 + here)?;
            self.store(page)?;
            left -= here as u64;
            page = known(four(&self.page, 0))?;
        }
        if page == 0 { Ok(()) } else { Err(End::Unknown) }
    }

    fn free_pages(&mut self) -> Step<()> {
        let mut trunk = self.layout.first_trunk;
        while trunk != 0 {
            self.load(trunk)?;
            let leaves = known(four(&self.page, 4))? as usize;
            self.uses(0, known(leaves.checked_mul(4).and_then(|bytes| bytes.checked_add(8)))?)?;
            let next = known(four(&self.page, 0))?;
            let leaves: Option<Vec<u32>> = (0..leaves).map(|leaf| four(&self.page, 8 + 4 * leaf)).collect();
            self.store(trunk)?;
            for leaf in known(leaves)? {
                self.load(leaf)?;
                self.store(leaf)?;
            }
            trunk = next;
        }
        Ok(())
    }
}

/// Zeroes what nothing uses. `roots` are the first pages of all tables and indexes. `goes_on` is asked now and then,
/// and may end the work. Returns how many pages were written; `None`, and nothing is changed, if not every page is
/// known.
///
/// # Errors
/// Those of the file system and of `goes_on`.
pub fn zero_unused(file: &File, roots: &[u32], mut goes_on: impl FnMut() -> io::Result<()>) -> io::Result<Option<u32>> {
    let mut written = None;
    for zeroes in [false, true] {
        let Some(layout) = Layout::read(file)? else { return Ok(None) };
        let (page_size, pages) = (layout.page_size, layout.pages as usize);
        let mut walk = Walk {
            file,
            layout,
            seen: vec![false; pages + 1],
            page: vec![0; page_size],
            used: vec![false; page_size],
            zeroes,
            written: 0,
            read: 0,
            goes_on: &mut goes_on,
        };
        match walk.all(roots) {
            Ok(()) => written = Some(walk.written),
            Err(End::Unknown) => return Ok(None),
            Err(End::Failed(error)) => return Err(error),
        }
    }
    file.sync_all()?;
    Ok(written)
}

#[cfg(test)]
mod tests;
