//! The header on the first page of a database file (<https://sqlite.org/fileformat2.html>, section 1.3), read from
//! bytes. SQLite is not used here, since opening a file could already change it.

use crate::store::file::schema::APPLICATION_ID;

/// Bytes of the header. The root page of the schema begins after them.
pub const BYTES: usize = 100;

/// Bytes that [`Header::parse`] needs: the header, and the page header of the schema's root.
pub const NEEDED: usize = BYTES + 8;

/// The first bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The fields that distinguish files.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; BYTES],
    /// Bytes of one page.
    pub page_size: usize,
    /// Grows when the first page is written, though in WAL mode not each time.
    pub changes: u32,
    /// Number of pages of the file.
    pub pages: u32,
    /// `PRAGMA schema_version`. A new file has a random one. Copies that SQLite makes (`VACUUM INTO`, `.backup`) have
    /// another one than their original.
    pub cookie: u32,
    /// `PRAGMA user_version`.
    pub version: u32,
    /// `PRAGMA application_id`.
    pub application: u32,
    /// Whether there is any table.
    pub has_tables: bool,
}

impl Header {
    /// Reads the beginning of a first page; `None` if that is not SQLite's.
    pub fn parse(page: &[u8]) -> Option<Self> {
        let page = page.get(..NEEDED)?;
        if !page.starts_with(MAGIC) {
            return None;
        }
        let page_size = match u16::from_be_bytes([page[16], page[17]]) {
            1 => 65_536,
            size => usize::from(size),
        };
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&page[..BYTES]);
        Some(Self {
            bytes,
            page_size,
            changes: number(page, 24),
            pages: number(page, 28),
            cookie: number(page, 40),
            version: number(page, 60),
            application: number(page, 68),
            // An inner page, or a leaf page with cells.
            has_tables: page[BYTES] != 0x0d || page[BYTES + 3..BYTES + 5] != [0, 0],
        })
    }

    /// Whether both are the header of the very same first page.
    pub fn is(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }

    /// Whether SQLite writes the file in WAL mode. If not, a rollback journal beside the file belongs to it.
    pub fn is_wal(&self) -> bool {
        self.bytes[18] == 2 && self.bytes[19] == 2
    }

    /// Whether this is a file of this program.
    pub fn is_ours(&self) -> bool {
        i64::from(self.application) == APPLICATION_ID
    }
}

/// The big-endian number at `offset`.
pub fn number(bytes: &[u8], offset: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_be_bytes(number)
}
