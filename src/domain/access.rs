//! What a caller of the API and of the dashboard may do: a role, and the accounts that it reaches. Tokens themselves are
//! in `secret`; which token has which rights is known to `store`.

use super::ids::{AccountId, AccountKey};
use super::string_enum::words;

/// What the holder of a token may do. Each role may do all that the roles before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads everything but secrets.
    Viewer,
    /// Also pauses, resumes, tests, previews, retries, cancels and replays.
    Operator,
    /// Does everything, and sees secrets.
    Admin,
}

impl Role {
    /// All roles, in the order of what they may do.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word for it in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

words!(Role);

/// The accounts that a caller reaches. Everything else does not exist for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every account, and what belongs to the server itself.
    All,
    /// One account and what belongs to it.
    Account {
        /// Its public id.
        id: AccountId,
        /// Its key inside the file. An id may be used again once its account is deleted, a key never.
        key: AccountKey,
    },
}

/// What one caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// What it may do.
    pub role: Role,
    /// Where it may do that.
    pub scope: Scope,
}

impl Scope {
    /// Whether the account with this id is reached.
    pub fn reaches(&self, account: &AccountId) -> bool {
        self.account().is_none_or(|(id, _)| id == account)
    }

    /// The one account that is reached, or `None` where all are.
    pub fn account(&self) -> Option<(&AccountId, AccountKey)> {
        match self {
            Self::All => None,
            Self::Account { id, key } => Some((id, *key)),
        }
    }
}

impl Rights {
    /// Those of the admin token, and of everybody under `--dev`: everything.
    pub const OWNER: Self = Self { role: Role::Admin, scope: Scope::All };

    /// Whether they include what `role` may do.
    pub fn allow(&self, role: Role) -> bool {
        self.role >= role
    }

    /// Whether secrets may be shown: values of headers, and signing secrets.
    pub fn show_secrets(&self) -> bool {
        self.allow(Role::Admin)
    }
}
