//! The response to a request whose headers cannot be read. hyper refuses such a request before an endpoint sees it,
//! with only a status. Here such a response is replaced by one with the body that every error has, and the client gets
//! time to read the response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use super::connection::MAX_HEAD_BYTES;
use crate::web::limits::MAX_DRAINED_BYTES;
use crate::web::problem::{MEDIA_TYPE, problem_body};

/// A response to a refused request. After the response the connection ends.
#[derive(Debug)]
pub struct ErrorReply {
    answer: Vec<u8>,
    sent: usize,
    ended: bool,
    drained: usize,
}

impl ErrorReply {
    /// The response to send instead of `written`, if `written` is an error response that hyper made.
    pub fn in_place_of(written: &[u8]) -> Option<Self> {
        let status = std::str::from_utf8(written.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()?;
        status.parse().ok().filter(|status| (400..600).contains(status)).map(Self::of_status)
    }

    /// The response for `status`.
    pub fn of_status(status: u16) -> Self {
        let (code, detail) = match status {
            431 => ("head_too_long", format!("The request line and headers are longer than {MAX_HEAD_BYTES} bytes.")),
            414 => ("url_too_long", "The URL in the request line is too long.".to_owned()),
            _ => ("malformed_request", "This is no HTTP/1.1 request: its first line or a header is wrong.".to_owned()),
        };
        let (reason, body) = problem_body(status, code, &detail);
        let date = httpdate::fmt_http_date(SystemTime::now());
        let length = body.len();
        let mut answer = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: {}\r\ncontent-length: {length}\r\nconnection: close\r\ndate: {date}\r\n\r\n",
            MEDIA_TYPE,
        )
        .into_bytes();
        answer.extend_from_slice(&body);
        Self { answer, sent: 0, ended: false, drained: 0 }
    }

    /// Sends the response.
    pub fn poll_answer(&mut self, stream: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.answer.len() {
            let sent = ready!(Pin::new(&mut *stream).poll_write(context, &self.answer[self.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the response, shuts down the sending side, and reads until the peer has ended too. A connection that is
    /// closed with unread bytes is reset, and then the client may lose the response.
    pub fn poll(&mut self, stream: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(stream, context))?;
        if !self.ended {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
            self.ended = true;
        }
        let mut bytes = [0; 4096];
        while self.drained < MAX_DRAINED_BYTES {
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            self.drained += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_is_replaced() {
        let replaced = |written: &str| ErrorReply::in_place_of(written.as_bytes()).map(|refusal| refusal.answer);
        let answer =
            String::from_utf8(replaced("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.contains("application/problem+json"),
            "{head}"
        );
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&400.into(), &"malformed_request".into()));
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        for written in
            ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 4", "\0\0\x12\x04\0\0\0\0\0", ""]
        {
            assert!(replaced(written).is_none(), "{written}");
        }
    }
}
