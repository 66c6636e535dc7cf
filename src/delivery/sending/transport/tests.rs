use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn soon() -> NextTimeout {
    NextTimeout {
        after: ureq::unversioned::transport::time::Duration::from_secs(20),
        reason: Timeout::Global,
        ..NextTimeout::default()
    }
}

/// A connection after one exchange, and its peer.
fn kept() -> (HttpTransport<Socket>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut link, mut peer) = (HttpTransport::new(Socket::new(Arc::new(ours))), listener.accept().unwrap().0);
    assert!(send(&mut link, 100).is_ok());
    peer.write_all(ANSWER).unwrap();
    assert!(link.await_input(soon()).unwrap());
    peer.read_exact(&mut [0; 100]).unwrap();
    link.buffers().input_consume(ANSWER.len());
    assert!(link.is_open());
    (link, peer)
}

/// Sends a request of this many bytes, as ureq does.
fn send(link: &mut HttpTransport<Socket>, mut bytes: usize) -> Result<(), Error> {
    while bytes > 0 {
        let some = link.buffers().tmp_and_output().1.len().min(bytes);
        link.transmit_output(some, soon())?;
        bytes -= some;
    }
    Ok(())
}

/// The failure of a request of this many bytes.
fn fails(link: &mut HttpTransport<Socket>, bytes: usize) -> Failure {
    send(link, bytes).expect("what nobody reads is swallowed");
    let Err(Error::Other(error)) = link.await_input(soon()) else { panic!("it has no answer") };
    assert!(!link.is_open());
    *error.downcast().unwrap()
}

/// Makes closing send RST.
fn reset(peer: TcpStream) {
    use std::os::fd::AsRawFd as _;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = libc::socklen_t::try_from(size_of::<libc::linger>()).unwrap();
    // SAFETY: the descriptor is open as long as `peer` lives, and `linger` is as large as `size` says.
    unsafe {
        libc::setsockopt(peer.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_connection_that_the_peer_had_closed_before_is_stale_however_large_the_request() {
    for bytes in [100, 5_000, 31_000, 900_000] {
        let (mut link, peer) = kept();
        drop(peer);
        let failure = fails(&mut link, bytes);
        assert!(failure.stale && failure.class == ErrorClass::Reset, "{bytes}: {failure}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn one_that_breaks_after_a_part_of_the_request_was_read_is_not() {
    for bytes in [5_000, 31_000, 900_000] {
        let (mut link, mut peer) = kept();
        let reader = std::thread::spawn(move || {
            peer.read_exact(&mut [0; 2_000]).unwrap();
            reset(peer);
        });
        let failure = fails(&mut link, bytes);
        assert!(!failure.stale && failure.class == ErrorClass::Reset, "{bytes}: {failure}");
        reader.join().unwrap();
    }
}

#[test]
fn one_that_breaks_within_an_answer_is_not() {
    let (mut link, mut peer) = kept();
    let reader = std::thread::spawn(move || {
        peer.read_exact(&mut [0; 100]).unwrap();
        peer.write_all(b"HTTP/1.1 1").unwrap();
    });
    let failure = fails(&mut link, 100);
    assert!(!failure.stale && failure.detail.contains("before the answer's head was whole"), "{failure}");
    reader.join().unwrap();
}

#[test]
fn a_first_connection_is_never_stale() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut link = HttpTransport::new(Socket::new(Arc::new(ours)));
    drop(listener.accept().unwrap());
    assert!(!fails(&mut link, 100).stale);
}
