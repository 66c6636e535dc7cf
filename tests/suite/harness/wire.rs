//! HTTP/1.1 by hand: sends requests that no proper client would send, and reads what the product sends.

use std::io::{BufRead, BufReader, ErrorKind, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::{Answer, DEADLINE};

/// Header lines in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The value of the only line with this name. The test fails if there are several.
    #[track_caller]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let value = lines.next().map(|(_, value)| value.as_str());
        assert!(lines.next().is_none(), "{name} came more than once: {:?}", self.0);
        value
    }
}

/// A connection that has sent `bytes`. A read fails after the deadline.
pub fn open(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // The server may have closed the connection already.
    let _ = stream.write_all(bytes);
    stream
}

/// First line and header lines; `None` if the peer closed before the head was complete.
pub fn read_head(stream: &mut impl BufRead) -> Option<(String, Fields)> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).ok()?;
        let line = String::from_utf8_lossy(line.strip_suffix(b"\n")?).trim_end_matches('\r').to_owned();
        match (line.is_empty(), lines.is_empty()) {
            (true, true) => {}
            (true, false) => break,
            _ => lines.push(line),
        }
    }
    let first = lines.remove(0);
    let fields = lines.iter().filter_map(|line| line.split_once(':'));
    Some((first, Fields(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())))
}

/// The body that `fields` announce; `None` if the peer closed before its end.
pub fn read_body(stream: &mut impl BufRead, fields: &Fields) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if fields.get("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let size = usize::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).ok()?;
            if size == 0 {
                return Some(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    let length = fields.get("content-length").map_or(Some(0), |value| value.parse().ok())?;
    body.resize(length, 0);
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// Sends exactly `bytes` before anything is read. `None` if the server closed without an answer.
pub fn send(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let stream = connect(address);
    // A server may answer and close while the rest is still being written. The answer counts.
    let _ = (&stream).write_all(bytes);
    answer(stream, bytes.starts_with(b"HEAD "))
}

/// Sends all of `bytes` before anything is read, as a simple client does. The test fails if they cannot all be sent.
pub fn send_whole(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let stream = connect(address);
    (&stream).write_all(bytes).expect("everything that is sent is taken");
    answer(stream, false)
}

/// Sends `bytes` and ends the sending side, so that the server sees where a body that is too short ends.
pub fn send_and_finish(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let stream = connect(address);
    let _ = (&stream).write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    answer(stream, false)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn answer(stream: TcpStream, without_body: bool) -> Option<Answer> {
    let mut reader = BufReader::new(stream);
    match reader.fill_buf() {
        Ok([]) => return None,
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer within {DEADLINE:?}"),
        Err(_) => return None,
        Ok(_) => {}
    }
    let (first, fields) = read_head(&mut reader)?;
    let status = first.split(' ').nth(1)?.parse().ok()?;
    let body = if without_body { Vec::new() } else { read_body(&mut reader, &fields)? };
    Some(Answer { what: first, status, headers: fields, body })
}

/// A chunked body with one chunk for each part.
pub fn chunked(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
