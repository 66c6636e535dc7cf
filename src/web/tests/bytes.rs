//! The first bytes of a connection, and what stands in place of hyper's own errors.

use proptest::prelude::*;

use crate::domain::tests::odd;
use crate::web::server::bad_request::ErrorReply;
use crate::web::server::preface::Preface;

#[test]
fn http_2_is_seen_in_whatever_pieces_it_comes_and_nothing_else_is() {
    let valid: [&[u8]; 4] = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI ", b"PRINT / HTTP/1.1", b"POST / HTTP/1.1"];
    odd::hold_bytes(&valid, |bytes| {
        for size in [1, 2, 3, 5, bytes.len().max(1)] {
            let mut preface = Preface::NEW;
            let seen = bytes.chunks(size).any(|piece| preface.is_there(piece));
            prop_assert_eq!(seen, bytes.starts_with(b"PRI "), "in pieces of {}", size);
        }
        Ok(())
    });
}

#[test]
fn only_the_status_line_of_an_error_is_replaced() {
    let valid: [&[u8]; 4] =
        [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"HTTP/1.1 431 x", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 599"];
    odd::hold_bytes(&valid, |bytes| {
        let is_error = bytes.starts_with(b"HTTP/1.1 4") || bytes.starts_with(b"HTTP/1.1 5");
        prop_assert!(is_error || ErrorReply::in_place_of(bytes).is_none());
        Ok(())
    });
}
