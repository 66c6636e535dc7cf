//! Detects HTTP/2 with prior knowledge (RFC 9113, 3.4). poem's server would switch to HTTP/2 on a connection that
//! begins so. This server is built and tested for HTTP/1 only, so such a connection is refused, like any other that
//! does not begin with HTTP/1.

/// The method that begins HTTP/2. No request has this method (RFC 9113, 11.6).
const METHOD: &[u8] = b"PRI ";

/// What a connection begins with.
#[derive(Debug)]
pub enum Preface {
    /// The first so many bytes of [`METHOD`], and nothing else.
    Perhaps(usize),
    /// HTTP/1, or bytes that are no request.
    No,
}

impl Preface {
    /// No byte has come yet.
    pub const NEW: Self = Self::Perhaps(0);

    /// Reads the next `bytes` of the connection. Returns whether the connection has now begun as HTTP/2.
    pub fn is_there(&mut self, bytes: &[u8]) -> bool {
        let Self::Perhaps(seen) = *self else { return false };
        let rest = &METHOD[seen..];
        let some = rest.len().min(bytes.len());
        *self = if bytes[..some] == rest[..some] { Self::Perhaps(seen + some) } else { Self::No };
        some == rest.len() && matches!(self, Self::Perhaps(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn is_there(reads: &[&[u8]]) -> bool {
        let mut preface = Preface::NEW;
        reads.iter().any(|bytes| preface.is_there(bytes))
    }

    #[test]
    fn the_preface_is_seen_however_it_comes() {
        assert!(is_there(&[WHOLE]));
        assert!(is_there(&WHOLE.chunks(1).collect::<Vec<_>>()));
        assert!(is_there(&WHOLE.chunks(3).collect::<Vec<_>>()));
        assert!(is_there(&[b"", b"PR", b"", b"I * HTTP/2.0"]));
    }

    #[test]
    fn heads_of_http_1_are_none_and_only_the_beginning_counts() {
        for reads in [
            &[b"POST / HTTP/1.1\r\n".as_slice()][..],
            &[b"P", b"OST / HTTP/1.1\r\n"],
            &[b"PRI"],
            &[b"PRINT / HTTP/1.1\r\n"],
            &[b"PR", b"OPFIND"],
            &[b"GET / HTTP/1.1\r\n", WHOLE],
            &[b"\r\n", WHOLE],
        ] {
            assert!(!is_there(reads), "{reads:?}");
        }
    }
}
