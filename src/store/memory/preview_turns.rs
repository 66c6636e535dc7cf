//! Who may make a preview over many events now. Such a preview keeps a processor busy for seconds, so an account makes
//! one at a time, and few are made in all. How a preview is made is not here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::domain::ids::AccountKey;
use crate::error::{Error, Result, Unavailable};

/// Maximum number of such previews at a time.
const MAX_AT_ONCE: usize = 4;

/// Turns of all accounts.
pub struct PreviewTurns {
    all: Arc<Semaphore>,
    /// One permit for each account that has a turn, or waits for one.
    accounts: Mutex<HashMap<AccountKey, Arc<Semaphore>>>,
}

/// The right to make one preview. Dropping it lets the next one begin.
#[derive(Debug)]
pub struct PreviewTurn {
    _of_account: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for PreviewTurns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_AT_ONCE)), accounts: Mutex::default() }
    }
}

impl PreviewTurns {
    /// Waits for a turn, for at most `patience`. Turns come in the order of the calls.
    ///
    /// # Errors
    /// Unavailable if there was none.
    pub async fn turn(&self, account: AccountKey, patience: Duration) -> Result<PreviewTurn> {
        let end = Instant::now() + patience;
        let of_account = permit(self.of_account(account), end, "this account").await?;
        let of_all = permit(Arc::clone(&self.all), end, "the server").await?;
        Ok(PreviewTurn { _of_account: of_account, _of_all: of_all })
    }

    fn of_account(&self, account: AccountKey) -> Arc<Semaphore> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        // Turns, and those who wait, hold the others.
        accounts.retain(|_, permits| Arc::strong_count(permits) > 1);
        Arc::clone(accounts.entry(account).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

async fn permit(permits: Arc<Semaphore>, end: Instant, whose: &str) -> Result<OwnedSemaphorePermit> {
    let permit = timeout_at(end, permits.acquire_owned()).await.map_err(|_| {
        let detail =
            format!("Other previews over the newest events keep {whose} busy; try again when they have ended.");
        Error::unavailable(Unavailable::TooManyPreviews, detail)
    })?;
    permit.map_err(|_| Error::internal("previews have no turns"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The detail of the refusal, if there is no turn at once.
    async fn refused(turns: &PreviewTurns, account: i64) -> String {
        let error = turns.turn(AccountKey(account), Duration::ZERO).await.unwrap_err();
        assert!(error.is_unavailable(Unavailable::TooManyPreviews));
        error.detail().to_owned()
    }

    #[tokio::test]
    async fn an_account_has_one_turn_and_all_have_four() {
        let (turns, patience) = (PreviewTurns::default(), Duration::from_secs(60));
        let mut held = vec![turns.turn(AccountKey(1), patience).await.unwrap()];
        assert!(refused(&turns, 1).await.contains("keep this account busy"));
        for account in 2..=MAX_AT_ONCE as i64 {
            held.push(turns.turn(AccountKey(account), patience).await.unwrap());
        }
        assert!(refused(&turns, 9).await.contains("keep the server busy"));
        drop(held.remove(0));
        held.push(turns.turn(AccountKey(9), patience).await.unwrap());
        assert_eq!(turns.accounts.lock().unwrap().len(), MAX_AT_ONCE, "accounts without a turn are forgotten");
    }

    #[tokio::test]
    async fn whoever_waits_gets_the_turn_that_ends() {
        let (turns, patience) = (Arc::new(PreviewTurns::default()), Duration::from_secs(60));
        let first = turns.turn(AccountKey(1), patience).await.unwrap();
        let waiting = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.turn(AccountKey(1), patience).await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());
    }
}
