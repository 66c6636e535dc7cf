//! The Idempotency-Key of each document, by which the server knows it when a run is made again.
//!
//! Two dangers stand against each other. If too little goes into a key, two documents that only look alike have the
//! same key, and the server takes the second one for a repeat: it is lost. If too much goes in, a run that is made again
//! is taken twice. So a key has the line, its number, and what the input as a whole allows to know:
//!
//! - of a file, its whole content, which is read once before. Only the same file again has the same keys.
//! - of standard input, everything before the line. The whole is not known while lines are sent.
//! - with a name of the user's choice, that name. Then a line can be corrected, and the others keep their keys.

use std::io::{self, Read};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest as _, Sha256};

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// Makes the keys of a run, in the order of its documents.
pub struct Keys {
    /// What the input gives to each key.
    seed: Seed,
    event_type: Option<String>,
}

enum Seed {
    /// The same for all documents.
    Fixed([u8; 32]),
    /// Of all documents so far.
    Running(Sha256),
}

impl Keys {
    /// Keys for a file, of which `content` reads everything.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_file(content: &mut impl Read) -> io::Result<Self> {
        let (mut digest, mut bytes) = (Sha256::new_with_prefix(b"file"), vec![0; READ_BYTES]);
        loop {
            match content.read(&mut bytes) {
                Ok(0) => return Ok(Self::of(Seed::Fixed(digest.finalize().into()))),
                Ok(some) => digest.update(&bytes[..some]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Keys for an input that can be read only once.
    pub fn of_stream() -> Self {
        Self::of(Seed::Running(Sha256::new_with_prefix(b"stream")))
    }

    /// Keys under a name of the user's choice.
    pub fn named(name: &str) -> Self {
        Self::of(Seed::Fixed(Sha256::new_with_prefix(b"name").chain_update(name).finalize().into()))
    }

    /// Keys that no other run has.
    pub fn fresh() -> Self {
        let random = nanoid::nanoid!(64);
        Self::of(Seed::Fixed(Sha256::new_with_prefix(b"fresh").chain_update(random).finalize().into()))
    }

    fn of(seed: Seed) -> Self {
        Self { seed, event_type: None }
    }

    /// The same for events of this type. With another type, the same documents are other events.
    pub fn with_event_type(mut self, event_type: Option<String>) -> Self {
        self.event_type = event_type;
        self
    }

    /// The key of the next document.
    pub fn make(&mut self, line: u64, document: &[u8]) -> String {
        let seed: [u8; 32] = match &mut self.seed {
            Seed::Fixed(seed) => *seed,
            Seed::Running(digest) => {
                // The length keeps apart what would read the same without line breaks.
                digest.update((document.len() as u64).to_be_bytes());
                digest.update(document);
                digest.clone().finalize().into()
            }
        };
        let event_type = self.event_type.as_deref().unwrap_or_default();
        let key = Sha256::new_with_prefix(seed)
            .chain_update(line.to_be_bytes())
            .chain_update((event_type.len() as u64).to_be_bytes())
            .chain_update(event_type)
            .chain_update(document)
            .finalize();
        format!("send-{}", BASE64_URL_SAFE_NO_PAD.encode(key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::event::IdempotencyKey;

    fn made(mut keys: Keys, lines: &[&str]) -> Vec<String> {
        (1..).zip(lines).map(|(line, document)| keys.make(line, document.as_bytes())).collect()
    }

    fn of_file(lines: &[&str]) -> Vec<String> {
        made(Keys::of_file(&mut lines.join("\n").as_bytes()).unwrap(), lines)
    }

    #[test]
    fn the_same_input_again_has_the_same_keys_and_identical_lines_have_different_ones() {
        let lines = ["{}", "{}", "{}"];
        for keys in [of_file(&lines), made(Keys::of_stream(), &lines), made(Keys::named("a"), &lines)] {
            assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 3);
            assert!(keys.iter().all(|key| key.parse::<IdempotencyKey>().is_ok()));
        }
        assert_eq!(of_file(&lines), of_file(&lines));
        assert_eq!(made(Keys::of_stream(), &lines), made(Keys::of_stream(), &lines));
        assert_eq!(made(Keys::named("a"), &lines), made(Keys::named("a"), &lines));
        assert_ne!(made(Keys::fresh(), &lines), made(Keys::fresh(), &lines));
    }

    #[test]
    fn another_file_with_the_same_lines_in_it_has_other_keys() {
        assert_ne!(of_file(&["1", "2"])[0], of_file(&["1", "3"])[0]);
        assert_ne!(of_file(&["1", "2"])[0], made(Keys::of_stream(), &["1", "2"])[0]);
    }

    #[test]
    fn a_stream_that_goes_on_keeps_the_keys_of_its_beginning() {
        let (short, long) = (made(Keys::of_stream(), &["1", "2"]), made(Keys::of_stream(), &["1", "2", "3"]));
        assert_eq!(short, long[..2]);
        assert_ne!(made(Keys::of_stream(), &["12", "3"])[1], made(Keys::of_stream(), &["1", "23"])[1]);
    }

    #[test]
    fn under_a_name_a_corrected_line_changes_no_other() {
        let (wrong, right) = (made(Keys::named("a"), &["1", "{", "3"]), made(Keys::named("a"), &["1", "{}", "3"]));
        assert_eq!((&wrong[0], &wrong[2]), (&right[0], &right[2]));
        assert_ne!(wrong[1], right[1]);
        assert_ne!(wrong, made(Keys::named("b"), &["1", "{", "3"]));
    }

    #[test]
    fn another_type_makes_other_events() {
        let typed =
            |event_type: Option<&str>| made(Keys::named("a").with_event_type(event_type.map(str::to_owned)), &["1"]);
        assert_ne!(typed(None), typed(Some("order.paid")));
        assert_eq!(typed(Some("order.paid")), typed(Some("order.paid")));
    }
}
