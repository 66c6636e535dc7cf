//! How many subscribers there may be, and how many of them may belong to callers that reach one account. Who subscribes
//! to what is in `followers.rs` and `change_counts.rs`.

use crate::domain::ids::AccountKey;
use crate::error::{Error, Result, Unavailable};

/// Bounds of the subscribers of one kind.
pub struct Places {
    /// Maximum number in all. Callers that reach one account leave a quarter of these places to those who reach all.
    pub all: usize,
    /// Maximum number of callers that reach the same one account.
    pub of_account: usize,
    /// What is open, as in "64 live pages".
    pub noun: &'static str,
    /// What the caller can do instead.
    pub instead: &'static str,
}

impl Places {
    /// Checks that there is a place for a caller that reaches `account`, or all accounts if `None`, beside the callers
    /// of `open`.
    ///
    /// # Errors
    /// Unavailable. The detail says which bound is reached, and not by whom.
    pub fn check(&self, account: Option<AccountKey>, open: impl Iterator<Item = Option<AccountKey>>) -> Result<()> {
        let (mut all, mut narrow, mut same) = (0, 0, 0);
        for other in open {
            all += 1;
            narrow += usize::from(other.is_some());
            same += usize::from(other.is_some() && other == account);
        }
        let Self { noun, instead, .. } = self;
        let detail = if account.is_some() && same >= self.of_account {
            format!("{} {noun} are open already with tokens of this account; {instead}.", self.of_account)
        } else if account.is_some() && narrow >= self.all / 4 * 3 {
            format!(
                "The server has no place for more {noun} with tokens of one account; {instead}, or try again later."
            )
        } else if all >= self.all {
            format!("{} {noun} are open already on this server; {instead}.", self.all)
        } else {
            return Ok(());
        };
        Err(Error::unavailable(Unavailable::TooManyStreams, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: Places = Places { all: 8, of_account: 2, noun: "streams", instead: "close one" };

    /// Lets callers in as long as there are places, and returns how many came in.
    fn let_in(open: &mut Vec<Option<AccountKey>>, account: Option<i64>) -> usize {
        let (account, before) = (account.map(AccountKey), open.len());
        while PLACES.check(account, open.iter().copied()).is_ok() {
            open.push(account);
        }
        open.len() - before
    }

    #[test]
    fn an_account_takes_its_places_only_and_all_accounts_leave_a_quarter() {
        let mut open = Vec::new();
        assert_eq!([1, 2, 3, 4].map(|account| let_in(&mut open, Some(account))), [2, 2, 2, 0]);
        assert_eq!(let_in(&mut open, None), 2);
    }

    #[test]
    fn whoever_reaches_all_accounts_may_have_all_places() {
        let mut open = Vec::new();
        assert_eq!((let_in(&mut open, None), let_in(&mut open, Some(1))), (8, 0));
    }

    #[test]
    fn the_detail_says_which_bound_is_reached() {
        let refused = |account: Option<i64>, open: &[Option<i64>]| {
            let open = open.iter().map(|key| key.map(AccountKey));
            PLACES.check(account.map(AccountKey), open).unwrap_err().detail().to_owned()
        };
        let own = refused(Some(1), &[Some(1); 2]);
        assert_eq!(own, "2 streams are open already with tokens of this account; close one.");
        assert!(refused(Some(2), &[Some(1); 6]).starts_with("The server has no place for more streams"));
        assert_eq!(refused(None, &[None; 8]), "8 streams are open already on this server; close one.");
    }
}
