//! A minimal HTTP client over one kept connection, at so little cost that the server is what is measured.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Maximum wait for an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one server.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

impl Client {
    /// The connection is made with the first request.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::with_capacity(4096) }
    }

    /// Sends a GET.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path)
    }

    /// Sends a DELETE.
    pub fn delete(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("DELETE", path)
    }

    fn ask(&mut self, method: &str, path: &str) -> io::Result<Answer> {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        self.exchange(request.as_bytes())
    }

    /// Sends a POST with a JSON body.
    pub fn post(&mut self, path: &str, token: Option<&str>, body: &str) -> io::Result<Answer> {
        let token = token.map(|token| format!("cl-xtoken: {token}\r\n")).unwrap_or_default();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{token}content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.exchange(request.as_bytes())
    }

    /// Sends one request and reads the answer. A connection that failed is dropped.
    fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(READ_TIMEOUT))?;
                stream
            }
        };
        stream.write_all(request)?;
        self.buffer.clear();
        let (head, length) = loop {
            read_some(&mut stream, &mut self.buffer)?;
            if let Some(head) = head_length(&self.buffer) {
                break (head, content_length(&self.buffer[..head]));
            }
        };
        while self.buffer.len() < head + length {
            read_some(&mut stream, &mut self.buffer)?;
        }
        let status = std::str::from_utf8(self.buffer.get(9..12).unwrap_or_default()).ok();
        let status = status.and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        self.stream = Some(stream);
        Ok(Answer { status, body: self.buffer[head..head + length].to_vec() })
    }
}

/// Reads the bytes that are there. The end of the stream is an error.
pub fn read_some(stream: &mut impl io::Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            buffer.extend_from_slice(&chunk[..read]);
            Ok(())
        }
    }
}

/// Length of a message's head, once the head is complete.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Length of the body according to the head; 0 if the head has no `content-length`.
pub fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}
