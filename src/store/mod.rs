//! The store: everything that reads or writes the database. It holds all of SQL, the one write thread with group
//! commit, the pools of read-only connections, and the business steps. A function that changes something returns only
//! after the fsync of its commit.
//!
//! Imports go down only: {`open`, `upkeep`} → `write_thread` → `operations` → `handle` → `commit` → `memory` → `file` →
//! {`change`, `outcome`, `error`}. This file only lists what other floors may use; no code belongs here.

mod change;
mod commit;
mod error;
mod file;
mod handle;
mod memory;
mod open;
mod operations;
mod outcome;
pub mod upkeep;
mod write_thread;

pub use change::{Change, NewEvent, Observer};
pub use file::checkpoints::Checkpoints;
pub use file::companions::{sibling_path, write_whole};
pub use file::error::DATABASE_IN_USE;
pub use file::schema::SCHEMA;
pub use file::start::end as end_start;
pub use handle::{ScopedStore, Store};
pub use memory::change_counts::ChangedCounts;
pub use memory::write_metrics::WriteMetricsSnapshot;
pub use open::StoreOptions;
pub use operations::accept::{AcceptedEvent, MadeDeliveries};
pub use operations::delivery_walk::DeliveryFilter;
pub use operations::due::{DueDeliveries, DueDelivery};
pub use operations::figures::StorageFigures;
pub use operations::follow::{ChangedDeliveries, Subscription, SubscriptionFilter};
pub use operations::follow_counts::CountSubscription;
pub use operations::maintenance::removal::Removal;
pub use operations::maintenance::retention::Retention;
pub use operations::maintenance::space::Space;
pub use operations::maintenance::tallies::Tallies;
pub use operations::replay::ReplayFilter;
pub use operations::search::{PayloadMatches, PayloadSearch};
pub use operations::transfer::import::{Imported, SkippedAccount};
pub use outcome::FinishedAttempt;
