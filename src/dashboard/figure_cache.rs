//! Figures of pages, kept for a moment: the counts of a chart, how long attempts take, whether something was missed. A
//! month of a thousand destinations is hundreds of thousands of counts, and every open page reads them again whenever
//! something changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::view::chart::Window;
use crate::domain::delivery::DeliveryState;
use crate::domain::destination::Destination;
use crate::domain::ids::{AccountKey, DestinationId, DestinationKey};
use crate::domain::overview::Latency;
use crate::domain::page::PageRequest;
use crate::domain::stats::{Counts, StatsRequest};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::{DeliveryFilter, ScopedStore};

/// Figures are kept for so many times what reading them took. So they cost at most a hundredth of one processor, and a
/// small server shows them fresh.
const AGE_FACTOR: u32 = 100;

/// Figures are kept for at most this part of a bucket, so that a chart looks the same.
const BUCKET_PART: u32 = 12;

/// Longest time that figures are kept. In the chart of a month nobody sees what a minute adds.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Most destinations and windows whose figures are kept. Bounds the memory.
const MAX_SLOTS: usize = 64;

/// The figures of one destination, or of all that a visitor reaches, in a window.
#[derive(Debug, PartialEq, Eq)]
pub struct Figures {
    /// Counts by the beginning of their bucket.
    pub buckets: Vec<(Timestamp, Counts)>,
    /// How long attempts take.
    pub latency: Option<Latency>,
    /// Whether a delivery for the one destination is exhausted. The search for it may walk over many rows.
    pub has_exhausted: bool,
}

/// What figures are of. Visitors share figures only if they ask for the same, and reach the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Of {
    Server,
    Account(AccountKey),
    Destination(DestinationKey),
}

/// What figures are of, and the key of a window.
type Key = (Of, &'static str);

/// The figures of one key. Whoever reads them holds the lock, so that pages that ask at the same time share a reading.
type Slot = tokio::sync::Mutex<Option<Kept>>;

struct Kept {
    figures: Arc<Figures>,
    until: Instant,
}

/// Keeps figures.
#[derive(Default)]
pub struct FigureCache(Mutex<HashMap<Key, Arc<Slot>>>);

/// How long figures are kept that took this long to read.
fn age(window: Window, took: Duration) -> Duration {
    (took * AGE_FACTOR).min(window.bucket / BUCKET_PART).min(MAX_AGE)
}

async fn has_exhausted(store: &ScopedStore, destination_id: Option<DestinationId>) -> Result<bool> {
    if destination_id.is_none() {
        return Ok(false);
    }
    let filter = DeliveryFilter { destination_id, state: Some(DeliveryState::Exhausted), ..DeliveryFilter::default() };
    Ok(!store.deliveries(filter, PageRequest { limit: 1, cursor: None }).await?.items.is_empty())
}

impl FigureCache {
    /// The figures of a window that ends at `now` or a moment before: of a destination that was read through `store`, or
    /// of all that it reaches. If they are kept ones, also the time after which they are read anew.
    ///
    /// # Errors
    /// Unavailable if the file cannot be read.
    pub async fn figures(
        &self,
        store: &ScopedStore,
        destination: Option<&Destination>,
        window: Window,
        now: Timestamp,
    ) -> Result<(Arc<Figures>, Option<Duration>)> {
        let id = destination.map(|destination| destination.id.clone());
        let of = match (destination, store.scope().account()) {
            (Some(destination), _) => Of::Destination(destination.key),
            (None, Some((_, account))) => Of::Account(account),
            (None, None) => Of::Server,
        };
        let read = async {
            let since = now.minus(window.length);
            let request = StatsRequest::new(None, id.clone(), since, now, window.bucket).map_err(Error::internal)?;
            let buckets = store.stats(request).await?;
            let latency = store.latency(None, id.clone(), since).await?;
            Ok(Figures { buckets, latency, has_exhausted: has_exhausted(store, id).await? })
        };
        self.get((of, window.key), window, read).await
    }

    async fn get(
        &self,
        key: Key,
        window: Window,
        read: impl Future<Output = Result<Figures>>,
    ) -> Result<(Arc<Figures>, Option<Duration>)> {
        let slot = self.slot(key);
        let mut kept = slot.lock().await;
        let began = Instant::now();
        if let Some(kept) = kept.as_ref().filter(|kept| began < kept.until) {
            return Ok((Arc::clone(&kept.figures), Some(kept.until - began)));
        }
        let figures = Arc::new(read.await?);
        *kept = Some(Kept { figures: Arc::clone(&figures), until: began + age(window, began.elapsed()) });
        Ok((figures, None))
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_SLOTS && !slots.contains_key(&key) {
            slots.clear();
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::dashboard::view::chart::WINDOWS;

    const DAY: Window = WINDOWS[1];

    /// Figures by which a reading is known again, after `took`.
    async fn reading(number: &AtomicU64, took: Duration) -> Result<Figures> {
        tokio::time::sleep(took).await;
        let events = number.fetch_add(1, Ordering::Relaxed);
        Ok(Figures {
            buckets: vec![(Timestamp::EPOCH, Counts { events, ..Counts::default() })],
            latency: None,
            has_exhausted: false,
        })
    }

    #[tokio::test]
    async fn pages_that_ask_at_the_same_time_share_a_reading() {
        let (cache, number) = (FigureCache::default(), AtomicU64::new(0));
        let took = Duration::from_millis(50);
        let ask = |key| cache.get((key, DAY.key), DAY, reading(&number, took));
        let (one, other, elsewhere) =
            tokio::join!(ask(Of::Server), ask(Of::Server), ask(Of::Destination(DestinationKey(7))));
        let (one, other, elsewhere) = (one.unwrap(), other.unwrap(), elsewhere.unwrap());
        assert_eq!((one.1, number.load(Ordering::Relaxed)), (None, 2));
        assert_eq!(one.0, other.0);
        assert_ne!(one.0, elsewhere.0);
        assert!(other.1.is_some_and(|left| left > Duration::from_secs(1) && left <= MAX_AGE), "{:?}", other.1);
    }

    #[tokio::test]
    async fn nobody_is_shown_figures_of_what_they_do_not_reach() {
        let (cache, number) = (FigureCache::default(), AtomicU64::new(0));
        let all = [
            Of::Server,
            Of::Account(AccountKey(1)),
            Of::Account(AccountKey(2)),
            Of::Destination(DestinationKey(1)),
            Of::Destination(DestinationKey(2)),
        ];
        let mut shown = Vec::new();
        for of in all {
            let took = Duration::from_millis(50);
            shown.push(cache.get((of, DAY.key), DAY, reading(&number, took)).await.unwrap().0.buckets[0].1.events);
        }
        assert_eq!(shown, [0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn a_reading_that_fails_is_not_kept() {
        let (cache, number) = (FigureCache::default(), AtomicU64::new(0));
        let key = (Of::Server, DAY.key);
        assert!(cache.get(key, DAY, async { Err(Error::internal("on purpose")) }).await.is_err());
        assert_eq!(cache.get(key, DAY, reading(&number, Duration::ZERO)).await.unwrap().1, None);
        assert_eq!(number.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_is_read_soon_is_kept_for_a_moment_and_nothing_for_more_than_a_bar_of_the_chart_shows() {
        let [hour, day, _, month] = WINDOWS;
        let millis = Duration::from_millis;
        assert_eq!(age(hour, millis(1)), millis(100));
        assert_eq!(age(hour, millis(300)), millis(5_000));
        assert_eq!((age(day, millis(300)), age(month, millis(900))), (millis(30_000), MAX_AGE));
    }

    #[tokio::test]
    async fn only_so_many_are_kept() {
        let cache = FigureCache::default();
        (0..1_000).for_each(|key| drop(cache.slot((Of::Destination(DestinationKey(key)), DAY.key))));
        assert!(cache.0.lock().unwrap().len() <= MAX_SLOTS);
    }
}
