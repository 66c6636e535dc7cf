//! Reads request bodies within limits of size, time and memory. A refused body is drained, so that the client can read
//! the response. The deadline of a body is kept here and not at the connection, because here the response can say that
//! the body came too late.

pub mod media_type;

use std::time::Duration;

use poem::Body;
use poem::http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, RETRY_AFTER};
use poem::http::{HeaderMap, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::problem::{ApiError, ApiResult};
use crate::domain::memory::{MemoryBudget, Reservation};
use crate::web::limits::{MAX_DRAINED_BYTES, STOP_GRACE};

/// How long draining a body may take at most.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Bodies that may be drained at once. Draining only helps honest clients. Where more bodies are refused at once, their
/// connections are closed instead. So a client without a token cannot hold many connections.
static DRAINS: Semaphore = Semaphore::const_new(256);

/// Capacity in bytes that a body starts with: without a `Content-Length`, and at most with one. The capacity for a
/// declared length has one byte more. So the first reservation is at most 4 KiB, which the memory budget counts as
/// small.
const INITIAL_CAPACITY: (usize, usize) = (1024, 4 * 1024 - 1);

/// A body's deadline moves by one second for each so many bytes that have come. So a long body may take longer.
const MIN_BYTES_PER_SECOND: usize = 8 * 1024;

/// How long bodies may be, and how long they may take.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// Longest body, in bytes.
    pub bytes: usize,
    /// Time for a body to come. Each 8 KiB that have come add one second.
    pub time: Duration,
    /// Memory budget for all bodies together, and for what else is held for clients and destinations.
    pub memory: MemoryBudget,
    /// True once the server stops.
    pub stopping: watch::Receiver<bool>,
}

/// Why a body is not awaited any longer.
enum ReadTimeout {
    Slow,
    Stopping,
}

impl BodyLimits {
    /// Bodies may have at most `bytes`, and each may take `time`.
    pub fn new(bytes: usize, time: Duration, memory: MemoryBudget, stopping: watch::Receiver<bool>) -> Self {
        Self { bytes, time, memory, stopping }
    }

    /// Runs `read` until the deadline of the body. The body began at `began`, and `came` bytes of it have come.
    async fn in_time<T>(&self, began: Instant, came: usize, read: impl Future<Output = T>) -> Result<T, ReadTimeout> {
        let earned = Duration::from_secs((came / MIN_BYTES_PER_SECOND) as u64);
        tokio::select! {
            biased;
            read = read => Ok(read),
            () = sleep_until(began + self.time + earned) => Err(ReadTimeout::Slow),
            () = self.stop_grace() => Err(ReadTimeout::Stopping),
        }
    }

    async fn stop_grace(&self) {
        if self.stopping.clone().wait_for(|stopping| *stopping).await.is_err() {
            // The sender is gone without a stop, so no stop will come.
            std::future::pending::<()>().await;
        }
        sleep(STOP_GRACE).await;
    }
}

/// Reads the whole body, and returns the reservation for its memory too.
///
/// # Errors
/// 413 if the body is longer than the limit, 400 if it breaks off, and 408 if it takes too long. 503 if the server
/// stops before the end of the body, or if the memory budget is used up.
pub async fn read(body: Body, headers: &HeaderMap, limits: &BodyLimits) -> ApiResult<(Vec<u8>, Reservation)> {
    let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|told| told > limits.bytes) {
        refuse(body, headers, limits.bytes).await;
        return Err(too_large(limits.bytes));
    }
    if told.is_some_and(|told| !limits.memory.fits(told)) {
        refuse(body, headers, limits.bytes).await;
        return Err(no_memory());
    }
    // One byte more than the declared length, so that the end is read without more capacity.
    let most = told.unwrap_or(limits.bytes) + 1;
    let first = told.map_or(INITIAL_CAPACITY.0, |told| told.min(INITIAL_CAPACITY.1) + 1);
    let Ok(mut held) = limits.memory.reserve(first) else {
        refuse(body, headers, limits.bytes).await;
        return Err(no_memory());
    };
    let began = Instant::now();
    let mut reader = body.into_async_read();
    let mut bytes = Vec::with_capacity(first);
    loop {
        let came = bytes.len();
        match limits.in_time(began, came, reader.read_buf(&mut bytes)).await {
            Ok(Ok(0)) => return Ok((bytes, held)),
            Ok(Ok(_)) if bytes.len() > limits.bytes => {
                drop((bytes, held));
                drain(reader, limits.bytes).await;
                return Err(too_large(limits.bytes));
            }
            Ok(Ok(_)) if bytes.len() == bytes.capacity() => {
                let wanted = bytes.len().saturating_mul(2).min(most).max(bytes.len() + 1);
                if held.grow_to(wanted).is_err() {
                    // Free the memory before the drain, so that other bodies can use it at once.
                    drop((bytes, held));
                    drain(reader, limits.bytes).await;
                    return Err(no_memory());
                }
                bytes.reserve_exact(wanted - bytes.len());
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let detail = format!("The body broke off after {came} bytes: {error}.");
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "incomplete_body", detail));
            }
            Err(late) => return Err(late.error(came)),
        }
    }
}

impl ReadTimeout {
    /// The error also closes the connection, because the rest of the body is unread. Where the next request would begin
    /// is not known.
    fn error(&self, came: usize) -> ApiError {
        let error = match self {
            Self::Slow => {
                let detail = format!(
                    "Only {came} bytes of the body came in time. Nothing was taken: send it again, and faster."
                );
                ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
            }
            Self::Stopping => {
                let detail = "The server stops before the body has come. Nothing was taken: send it again.";
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail)
                    .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
            }
        };
        error.with_header(CONNECTION, HeaderValue::from_static("close"))
    }
}

/// Drains a body that is refused before it is read and may have `longest` bytes. A client that waits for `100 Continue`
/// has not begun to send, so its body is not drained.
pub async fn refuse(body: Body, headers: &HeaderMap, longest: usize) {
    if !headers.contains_key(EXPECT) && !body.is_empty() {
        drain(body.into_async_read(), longest).await;
    }
}

async fn drain(mut reader: impl AsyncRead + Unpin, longest: usize) {
    let Ok(_permit) = DRAINS.try_acquire() else { return };
    let mut buffer = vec![0; 16 * 1024];
    let mut left = longest.saturating_add(MAX_DRAINED_BYTES);
    let all = async {
        while let Ok(read @ 1..) = reader.read(&mut buffer).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    // The connection of a client that sends more, or more slowly, is closed.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, all).await;
}

fn too_large(limit: usize) -> ApiError {
    let detail = format!("The body is longer than {limit} bytes.");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
}

/// The error where the memory budget for clients is used up.
pub fn no_memory() -> ApiError {
    let detail = "More is being sent at once than the server keeps in memory. Nothing was taken: send it again later.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_much_at_once", detail)
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(bytes: usize, time: Duration) -> (BodyLimits, watch::Sender<bool>) {
        let (stop, stopping) = watch::channel(false);
        (BodyLimits::new(bytes, time, MemoryBudget::new(64 << 20, bytes), stopping), stop)
    }

    async fn read_back(body: Vec<u8>, told: Option<usize>, limit: usize) -> Result<usize, u16> {
        let mut headers = HeaderMap::new();
        if let Some(told) = told {
            headers.insert(CONTENT_LENGTH, told.into());
        }
        let (limits, _stop) = limits(limit, Duration::from_secs(15));
        read(Body::from(body), &headers, &limits)
            .await
            .map(|(body, _)| body.len())
            .map_err(|error| error.problem.status)
    }

    #[tokio::test]
    async fn the_limit_counts_what_comes_and_not_what_was_told() {
        for told in [None, Some(5), Some(10)] {
            assert_eq!(read_back(vec![b'x'; 10], told, 10).await, Ok(10));
            assert_eq!(read_back(vec![b'x'; 11], told, 10).await, Err(413));
        }
        assert_eq!(read_back(vec![b'x'; 10], Some(11), 10).await, Err(413));
        assert_eq!(read_back(vec![b'x'; 300_000], None, 1 << 20).await, Ok(300_000));
    }

    #[tokio::test]
    async fn a_body_that_finds_no_room_is_refused_and_one_that_gives_up_gives_it_back() {
        let (limits, _stop) = limits(1 << 20, Duration::from_secs(3_600));
        let read = |length: usize| {
            let limits = limits.clone();
            async move {
                let body = read(Body::from(vec![b'x'; length]), &HeaderMap::new(), &limits).await;
                body.map(|(body, _)| body.len()).map_err(|error| (error.problem.status, error.problem.code))
            }
        };
        let others = limits.memory.reserve(46 << 20).unwrap();
        assert_eq!(read(1 << 19).await, Ok(1 << 19));
        assert_eq!(read(1 << 20).await, Ok(1 << 20), "it grows to its length and not beyond");
        let more = limits.memory.reserve(2 << 20).unwrap();
        assert_eq!(read(1 << 19).await, Err((503, "too_much_at_once".to_owned())));
        assert_eq!(read(4_000).await, Ok(4_000));
        drop((others, more));
        assert!(limits.memory.fits(48 << 20), "nothing of them is left");
    }

    #[tokio::test]
    async fn a_body_that_is_refused_is_read_to_its_end_where_it_is_no_longer_than_the_limit() {
        let (limits, _stop) = limits(3 * MAX_DRAINED_BYTES, Duration::from_secs(15));
        let (length, others) = (limits.bytes, limits.memory.reserve(limits.bytes * 3 / 2).unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, length.into());
        let (mut sender, receiver) = tokio::io::duplex(64 << 10);
        let sent =
            tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut sender, &vec![b'x'; length]).await });
        let refused = read(Body::from_async_read(receiver), &headers, &limits).await.unwrap_err();
        assert_eq!(refused.problem.status, 503);
        sent.await.unwrap().unwrap();
        drop(others);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up_and_one_that_comes_in_time_is_not() {
        let (limits, stop) = limits(1 << 20, Duration::from_millis(20));
        let (mut sender, receiver) = tokio::io::duplex(64);
        let given_up = read(Body::from_async_read(receiver), &HeaderMap::new(), &limits).await.unwrap_err();
        assert_eq!((given_up.problem.status, given_up.problem.code.as_str()), (408, "request_timeout"));
        assert!(tokio::io::AsyncWriteExt::write_all(&mut sender, b"{").await.is_err(), "nobody reads any more");

        let patient = BodyLimits { time: Duration::from_secs(3_600), ..limits };
        stop.send(true).unwrap();
        let (_sender, receiver) = tokio::io::duplex(64);
        let stopped = read(Body::from_async_read(receiver), &HeaderMap::new(), &patient).await.unwrap_err();
        assert_eq!((stopped.problem.status, stopped.problem.code.as_str()), (503, "stopping"));
        assert!(read(Body::from("{}"), &HeaderMap::new(), &patient).await.is_ok(), "what is there is taken");
    }
}
