//! Names of keys in what people read: those that a file needs, and those that were given. Which of them fit is decided in
//! `state.rs`.

use crate::domain::sealing::key::{KeyId, SecretsKey, SecretsKeys};

/// Which keys a file needs, and which were given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ids {
    /// The key that the file needs. `None` if it is plain, or does not say so.
    pub needed: Option<KeyId>,
    /// The key that it needs too, until the rotation from it is complete.
    pub before: Option<KeyId>,
    /// The key that was given.
    pub current: Option<KeyId>,
    /// The key that was given as the key before.
    pub previous: Option<KeyId>,
}

impl Ids {
    /// Of a file that needs the first key, and until a rotation is complete the second.
    pub fn of(needed: Option<KeyId>, before: Option<KeyId>, given: &SecretsKeys) -> Self {
        let (current, previous) = (given.current().map(SecretsKey::id), given.previous().map(SecretsKey::id));
        Self { needed, before, current, previous }
    }

    /// What to say of a rotation that is not complete.
    pub fn unfinished(&self) -> String {
        format!(
            "the rotation of its key is not complete: it goes from {} to {}; run data-pusher key rotate again, with the same \
             two keys",
            named(self.before),
            named(self.needed)
        )
    }
}

/// A key by its id, for people.
pub fn named(id: Option<KeyId>) -> String {
    id.map_or_else(|| "an unknown key".to_owned(), |id| format!("the key {id}"))
}
