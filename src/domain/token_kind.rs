//! How the tokens begin that a server makes, and what that says of a text that somebody sent in place of another token.
//! Tokens themselves are in `secret`.

/// What kind of token a text is, judged by its beginning alone. Only tokens that a server made have such a beginning, so
/// this is for advice and never for access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An account's app secret token.
    Account,
    /// A token with a role.
    Role,
    /// The admin token.
    Admin,
}

impl TokenKind {
    /// The kind of the tokens that begin as this text does.
    pub fn of_beginning(token: &[u8]) -> Option<Self> {
        let kinds = [Self::Account, Self::Role, Self::Admin];
        kinds.into_iter().find(|kind| token.starts_with(kind.beginning().as_bytes()))
    }

    /// How tokens of this kind begin.
    pub const fn beginning(self) -> &'static str {
        match self {
            Self::Account => "cl_",
            Self::Role => "dpt_",
            Self::Admin => "adm_",
        }
    }
}
