//! A whole file, sealed piece by piece (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár): no piece can
//! be changed, moved, left out or added, and the end cannot be cut off, without the file failing to open.
//!
//! Layout: `MAGIC`, the id of the key (8 bytes), the beginning of all nonces (19), then pieces of `PIECE` bytes, each
//! with a tag (16). The last piece is shorter, perhaps empty. A piece's nonce ends with its number and with whether it is
//! the last.

use std::io::{self, ErrorKind, Read, Write};

use super::key::{KEY_ID_BYTES, KeyId, NONCE_BYTES, SecretsKey, SecretsKeys, TAG_BYTES, nonce};

/// How a sealed file begins. The last byte is the version of the layout.
const MAGIC: [u8; 16] = *b"DataPusherSeal\0\x01";

/// Bytes of a file that [`sealed_by`] needs.
pub const BEGIN: usize = MAGIC.len() + KEY_ID_BYTES;

/// Bytes of a piece before it is sealed.
const PIECE: usize = 64 << 10;

/// Bytes of a nonce that all pieces share.
const NONCE_BEGIN: usize = NONCE_BYTES - 5;

/// Bytes before the first piece.
const HEAD: usize = MAGIC.len() + KEY_ID_BYTES + NONCE_BEGIN;

/// Seals all that is written to it, and writes that to another place. [`finish`](Self::finish) must follow.
pub struct SealingWriter<'a, W> {
    key: &'a SecretsKey,
    to: W,
    head: Vec<u8>,
    piece: Vec<u8>,
    number: u32,
}

impl<'a, W: Write> SealingWriter<'a, W> {
    /// Begins a sealed file in `to`.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn new(key: &'a SecretsKey, mut to: W) -> io::Result<Self> {
        let head = [&MAGIC[..], &key.id().0, &nonce()[..NONCE_BEGIN]].concat();
        to.write_all(&head)?;
        Ok(Self { key, to, head, piece: Vec::with_capacity(PIECE), number: 0 })
    }

    /// Writes the last piece.
    ///
    /// # Errors
    /// Those of the place that it writes to.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_piece(true)?;
        self.to.flush()
    }

    fn write_piece(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = piece_nonce(&self.head[HEAD - NONCE_BEGIN..], self.number, is_last);
        self.to.write_all(&self.key.seal(&nonce, &self.head, &self.piece))?;
        self.piece.clear();
        self.number = self.number.checked_add(1).ok_or(ErrorKind::FileTooLarge)?;
        Ok(())
    }
}

impl<W: Write> Write for SealingWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.write_piece(false)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Opens all that `from` holds into `to`.
///
/// # Errors
/// Those of `from`, `to` and `goes_on`. [`ErrorKind::InvalidData`], with a sentence, if the file is none that was sealed
/// with one of the keys, or was changed. Then what `to` holds is not to be used.
pub fn open(
    keys: &SecretsKeys,
    from: &mut impl Read,
    to: &mut impl Write,
    mut goes_on: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let wrong = |why: &str| io::Error::new(ErrorKind::InvalidData, why);
    let mut head = Vec::new();
    read_piece(from, HEAD, &mut head)?;
    let id = sealed_by(&head).filter(|_| head.len() == HEAD).ok_or_else(|| wrong("it is no sealed copy"))?;
    let key = keys.find(id).ok_or_else(|| {
        let given = keys.current().map_or_else(|| "none".to_owned(), |key| key.id().to_string());
        wrong(&format!("it was sealed with another key: it needs the key {id}, and {given} was given"))
    })?;
    let begin = &head[HEAD - NONCE_BEGIN..];
    let mut piece = Vec::with_capacity(PIECE + TAG_BYTES);
    for number in 0.. {
        goes_on()?;
        read_piece(from, PIECE + TAG_BYTES, &mut piece)?;
        let is_last = piece.len() < PIECE + TAG_BYTES;
        let opened = key.open(&piece_nonce(begin, number, is_last), &head, &piece);
        to.write_all(&opened.ok_or_else(|| wrong("it is damaged, or not whole"))?)?;
        if is_last {
            break;
        }
    }
    Ok(())
}

/// The key that sealed a file that begins with these bytes. `None` if it is no sealed file.
pub fn sealed_by(begin: &[u8]) -> Option<KeyId> {
    let id = begin.strip_prefix(&MAGIC)?.get(..KEY_ID_BYTES)?;
    id.try_into().ok().map(KeyId)
}

fn piece_nonce(begin: &[u8], number: u32, is_last: bool) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..NONCE_BEGIN].copy_from_slice(begin);
    nonce[NONCE_BEGIN..NONCE_BYTES - 1].copy_from_slice(&number.to_be_bytes());
    nonce[NONCE_BYTES - 1] = u8::from(is_last);
    nonce
}

/// Reads up to `most` bytes in place of what `piece` held; fewer only at the end.
fn read_piece(from: &mut impl Read, most: usize, piece: &mut Vec<u8>) -> io::Result<()> {
    piece.clear();
    from.take(most as u64).read_to_end(piece).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(key: &SecretsKey, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        let mut writer = SealingWriter::new(key, &mut sealed).unwrap();
        // In parts that fit no piece.
        plain.chunks(10_007).for_each(|part| writer.write_all(part).unwrap());
        writer.finish().unwrap();
        sealed
    }

    fn opened(key: &SecretsKey, sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        open(&SecretsKeys::new(Some(key.clone())), &mut &sealed[..], &mut plain, || Ok(())).map(|()| plain)
    }

    #[test]
    fn files_of_any_length_open_as_they_were() {
        let key = SecretsKey::generate();
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            let plain: Vec<u8> = (0..length).map(|at| at as u8).collect();
            assert!(opened(&key, &sealed(&key, &plain)).unwrap() == plain, "{length}");
        }
    }

    #[test]
    fn no_piece_can_be_changed_moved_left_out_or_cut_off() {
        let key = SecretsKey::generate();
        let plain: Vec<u8> = (0..3 * PIECE + 7).map(|at| (at / 251) as u8).collect();
        let whole = sealed(&key, &plain);
        let piece = |number: usize| HEAD + number * (PIECE + TAG_BYTES)..HEAD + (number + 1) * (PIECE + TAG_BYTES);
        let mut changed = whole.clone();
        changed[HEAD + 100] ^= 1;
        let mut moved = whole.clone();
        moved[piece(0)].copy_from_slice(&whole[piece(1)]);
        moved[piece(1)].copy_from_slice(&whole[piece(0)]);
        let mut shorter = whole.clone();
        shorter.drain(piece(1));
        let mut other_nonce = whole.clone();
        other_nonce[HEAD - 1] ^= 1;
        let cut: Vec<_> =
            [0, 10, HEAD, piece(0).end, piece(2).end, whole.len() - 1].map(|at| whole[..at].to_vec()).into();
        let longer = [&whole[..], b"x"].concat();
        for (place, wrong) in cut.iter().chain([&changed, &moved, &shorter, &other_nonce, &longer]).enumerate() {
            assert_eq!(opened(&key, wrong).unwrap_err().kind(), ErrorKind::InvalidData, "{place}");
        }
        let other = SecretsKey::generate();
        let why = opened(&other, &whole).unwrap_err().to_string();
        assert!([&key, &other].iter().all(|key| why.contains(&key.id().to_string())), "{why}");
    }

    #[test]
    fn the_work_can_be_ended_between_two_pieces() {
        let key = SecretsKey::generate();
        let whole = sealed(&key, &[7; 2 * PIECE]);
        let keys = SecretsKeys::new(Some(key));
        let ended = open(&keys, &mut &whole[..], &mut io::sink(), || Err(ErrorKind::Interrupted.into()));
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Interrupted);
    }
}
