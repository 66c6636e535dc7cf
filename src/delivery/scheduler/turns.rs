//! Turns of accounts. Among lanes with equally many attempts in progress accounts take turns, and within an account its
//! lanes do. An event for a thousand destinations takes the turns of one account, not of a thousand.

use std::collections::HashMap;

use crate::domain::ids::AccountKey;

/// Gives out turns. A turn is a number, and the lowest goes first.
#[derive(Debug, Default)]
pub struct AccountTurns {
    /// The highest turn that was taken.
    now: u64,
    /// The next free turn of each account that waits for one.
    next: HashMap<AccountKey, u64>,
}

impl AccountTurns {
    /// A turn for one more lane of an account: now, or after those that the account already waits for.
    pub fn queue(&mut self, account: AccountKey) -> u64 {
        let next = self.next.entry(account).or_default();
        let turn = self.now.max(*next);
        *next = turn + 1;
        turn
    }

    /// A turn was taken.
    pub fn taken(&mut self, turn: u64) {
        self.now = self.now.max(turn);
    }

    /// Forgets accounts that wait for nothing.
    pub fn prune(&mut self) {
        let now = self.now;
        self.next.retain(|_, next| *next > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_of_a_thousand_lanes_takes_turns_with_one_of_one() {
        let (many, one) = (AccountKey(1), AccountKey(2));
        let mut turns = AccountTurns::default();
        let mut waiting: Vec<(u64, AccountKey)> = (0..1_000).map(|_| (turns.queue(many), many)).collect();
        for _ in 0..100 {
            waiting.push((turns.queue(one), one));
            let mut before = 0;
            loop {
                let first = (0..waiting.len()).min_by_key(|at| waiting[*at].0).unwrap();
                let (turn, account) = waiting.swap_remove(first);
                turns.taken(turn);
                if account == one {
                    break;
                }
                // The large account always has more to send.
                waiting.push((turns.queue(many), many));
                before += 1;
            }
            assert!(before <= 2, "{before} went before it");
        }
    }

    #[test]
    fn accounts_that_wait_for_nothing_are_forgotten() {
        let mut turns = AccountTurns::default();
        let first = turns.queue(AccountKey(1));
        let second = turns.queue(AccountKey(1));
        turns.taken(first);
        turns.prune();
        assert_eq!(turns.next.len(), 1);
        turns.taken(second);
        turns.taken(turns.now + 1);
        turns.prune();
        assert!(turns.next.is_empty());
        assert_eq!(turns.queue(AccountKey(1)), turns.now);
    }
}
