//! What the first page of a database file says of it (<https://sqlite.org/fileformat2.html>, section 1.3), read from the
//! bytes: SQLite would already change a file that it opens.

use crate::store::file::schema::APPLICATION_ID;

/// Bytes of the header; the root of the schema begins behind it.
pub const BYTES: usize = 100;

/// Bytes that [`Header::parse`] needs: the header, and the head of the schema's root page.
pub const NEEDED: usize = BYTES + 8;

/// What every SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The fields that tell files apart.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; BYTES],
    /// Bytes of a page.
    pub page_size: usize,
    /// Grows as this page is written, though in WAL mode not each time.
    pub changes: u32,
    /// Pages of the file.
    pub pages: u32,
    /// `PRAGMA schema_version`. A new file has a random one, and copies that SQLite makes (`VACUUM INTO`, `.backup`)
    /// have another one than their original.
    pub cookie: u32,
    /// `PRAGMA user_version`.
    pub version: u32,
    /// `PRAGMA application_id`.
    pub application: u32,
    /// Whether there is any table.
    pub has_tables: bool,
}

impl Header {
    /// Reads the beginning of a first page; `None` where it is not SQLite's.
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
            // An inner page, or a leaf with cells.
            has_tables: page[BYTES] != 0x0d || page[BYTES + 3..BYTES + 5] != [0, 0],
        })
    }

    /// Whether it is of the very same first page.
    pub fn is(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }

    /// Whether SQLite writes the file in WAL mode; else a rollback journal beside it is its own.
    pub fn is_wal(&self) -> bool {
        self.bytes[18] == 2 && self.bytes[19] == 2
    }

    /// Whether it is a file of this program.
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
