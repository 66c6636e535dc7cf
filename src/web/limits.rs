//! Limits that both the server's connections and the reading of bodies keep.

use std::time::Duration;

/// Maximum number of bytes that are read and dropped of a request that is refused, beyond what its body may have. A
/// client that cannot write all of its request may never read the response.
pub const MAX_DRAINED_BYTES: usize = 8 * 1024 * 1024;

/// Once the server stops, what has not arrived of a request by then is not waited for.
pub const STOP_GRACE: Duration = Duration::from_secs(1);
