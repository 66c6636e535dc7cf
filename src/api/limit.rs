//! Reads a body up to a limit, by what really comes, and drains what is not wanted so that the answer can be read.

use std::time::Duration;

use poem::Body;
use poem::http::header::{CONTENT_LENGTH, EXPECT};
use poem::http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::problem::{ApiError, ApiResult};

/// Most that is drained of a body that is refused.
const DRAINED_BYTES: usize = 8 * 1024 * 1024;

/// Longest that draining takes.
const DRAINED_FOR: Duration = Duration::from_secs(2);

/// Capacity to begin with, where a body does not say its length, and most that is believed where it does.
const FIRST_BYTES: (usize, usize) = (1024, 64 * 1024);

/// The whole body.
///
/// # Errors
/// 413 if it is longer than `limit`; 400 if it breaks off.
pub async fn read(body: Body, headers: &HeaderMap, limit: usize) -> ApiResult<Vec<u8>> {
    let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|told| told > limit) {
        refuse(body, headers).await;
        return Err(too_large(limit));
    }
    let mut reader = body.into_async_read();
    // One byte more than told, so that the end is seen without growing.
    let mut bytes = Vec::with_capacity(told.map_or(FIRST_BYTES.0, |told| told.min(FIRST_BYTES.1) + 1));
    loop {
        match reader.read_buf(&mut bytes).await {
            Ok(0) => return Ok(bytes),
            Ok(_) if bytes.len() > limit => {
                drain(reader).await;
                return Err(too_large(limit));
            }
            Ok(_) if bytes.len() == bytes.capacity() => bytes.reserve(bytes.len()),
            Ok(_) => {}
            Err(error) => {
                let detail = format!("The body broke off after {} bytes: {error}.", bytes.len());
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "incomplete_body", detail));
            }
        }
    }
}

/// Drains a body that is refused unread, unless its sender waits for `100 Continue` and so has not begun.
pub async fn refuse(body: Body, headers: &HeaderMap) {
    if !headers.contains_key(EXPECT) && !body.is_empty() {
        drain(body.into_async_read()).await;
    }
}

async fn drain(mut reader: impl AsyncRead + Unpin) {
    let mut buffer = vec![0; 16 * 1024];
    let mut left = DRAINED_BYTES;
    let all = async {
        while let Ok(read @ 1..) = reader.read(&mut buffer).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    // Whoever sends more, or slower, finds the connection closed.
    let _ = tokio::time::timeout(DRAINED_FOR, all).await;
}

fn too_large(limit: usize) -> ApiError {
    let detail = format!("The body is longer than {limit} bytes.");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_back(body: Vec<u8>, told: Option<usize>, limit: usize) -> Result<usize, u16> {
        let mut headers = HeaderMap::new();
        if let Some(told) = told {
            headers.insert(CONTENT_LENGTH, told.into());
        }
        read(Body::from(body), &headers, limit).await.map(|body| body.len()).map_err(|error| error.problem.status)
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
}
