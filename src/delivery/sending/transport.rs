//! The connections that ureq uses, plain or TLS, with as few system calls as possible. ureq's own transport sends
//! headers and body apart, sets both timeouts for every request, and asks three times whether a kept connection is
//! open. What ureq's parser refuses although HTTP allows it is rewritten in `answers`.

pub mod answers;
pub mod channel;
pub mod chunks;
pub mod connect;
pub mod failure;
pub mod socket;

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Error, Timeout};

use super::buffers::GrowableBuffers;
use crate::domain::delivery::ErrorClass;
use answers::{Answers, MAX_HELD_BYTES};
use channel::Channel;
use connect::{connect, deadline};
use failure::Failure;
use socket::{Socket, is_reset, timed_out};

/// Most bytes of one read: a little more than a packet of Ethernet holds. The buffer is on the stack, so that a thread
/// that waits holds no other memory. With 2 KiB, the stack of such a thread would take one page more.
const READ_BYTES: usize = 1_536;

/// Bytes of a request that are held until the rest is ready, so that small requests are one packet.
const HELD_BYTES: usize = 32 * 1024;

/// How long to go on sending to a receiver that already sent a 2xx response but takes no more bytes.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// Time of an attempt that is kept for reading the response, however long the receiver takes no bytes.
const READ_RESERVE: Duration = Duration::from_millis(100);

/// A kept connection that the peer had closed fails within one round trip. A failure after this time does not count as
/// stale.
const STALE_WITHIN: Duration = Duration::from_secs(1);

/// A request up to this size is one packet on any network, so the peer has taken all of it or nothing.
const PACKET_BYTES: u64 = 1_300;

/// Connects for `http`.
#[derive(Debug)]
pub struct TcpConnector;

impl Connector<()> for TcpConnector {
    type Out = HttpTransport<Socket>;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        connect(details).map(|socket| Some(HttpTransport::new(socket)))
    }
}

/// A connection as ureq uses it.
///
/// No memory is held while an attempt waits for the peer. A response that comes before the request was read is not
/// lost, see [`HttpTransport::flush`].
pub struct HttpTransport<C> {
    channel: C,
    buffers: GrowableBuffers,
    answers: Answers,
    exchange: Exchange,
    /// Whether there was an earlier exchange.
    kept: bool,
}

/// One request and its response.
struct Exchange {
    began: Instant,
    /// Bytes that the connection had sent before this exchange.
    sent_before: u64,
    /// The request is finished, as far as it will be sent.
    reading: bool,
    /// The rest of the request is discarded, because nobody reads it.
    mute: bool,
    /// The error that ended the sending, if any.
    broken: Option<io::Error>,
    /// Input came while the request was sent, and ureq does not know of it yet.
    fresh: bool,
    /// More input came than fits into the buffer. The rest was dropped.
    overflown: bool,
    /// The peer sends nothing more.
    ended: bool,
    /// What is wrong with the input that came last.
    wrong: Option<Failure>,
}

impl Exchange {
    fn new(sent_before: u64) -> Self {
        Self {
            began: Instant::now(),
            sent_before,
            reading: false,
            mute: false,
            broken: None,
            fresh: false,
            overflown: false,
            ended: false,
            wrong: None,
        }
    }
}

/// The time that is left until `deadline`.
fn left(deadline: Option<Instant>, reason: Timeout) -> Result<Option<Duration>, Error> {
    let Some(deadline) = deadline else { return Ok(None) };
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(Error::Timeout(reason)),
        left => Ok(Some(left)),
    }
}

impl<C: Channel> HttpTransport<C> {
    /// A transport on an open channel.
    pub fn new(mut channel: C) -> Self {
        let exchange = Exchange::new(channel.socket().sent());
        let mut answers = Answers::default();
        answers.expect();
        Self { channel, buffers: GrowableBuffers::default(), answers, exchange, kept: false }
    }

    fn begin(&mut self) {
        self.kept = true;
        self.exchange = Exchange::new(self.channel.socket().sent());
        self.answers.expect();
    }

    /// Sends the bytes that are held. If sending fails, or would wait although a response is there, the peer will not
    /// read the rest. Then the rest is discarded, ureq goes on to read the response, and the connection is not used
    /// again.
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let mut sent = 0;
        let (mut deadline_at, mut stuck) = (None, None);
        while !self.exchange.mute && (sent < self.buffers.held().len() || self.channel.is_pending()) {
            match self.channel.send(&self.buffers.held()[sent..]) {
                Ok(some) => {
                    sent += some;
                    stuck = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if timed_out(&error) => {
                    let deadline = *deadline_at.get_or_insert_with(|| deadline(&timeout));
                    let since = *stuck.get_or_insert_with(Instant::now);
                    self.blocked(deadline, since, timeout.reason)?;
                }
                Err(error) => self.stop_sending(error),
            }
        }
        self.buffers.mark_sent();
        Ok(())
    }

    /// Waits because nothing can be sent, which has been so since `since`. Reads what the peer sends meanwhile.
    fn blocked(&mut self, deadline: Option<Instant>, since: Instant, reason: Timeout) -> Result<(), Error> {
        let left = if self.answers.is_final() {
            // A receiver that sent 2xx may still be reading the request. One that sent any other status does not want
            // the rest.
            let takes = self.answers.status().is_some_and(|status| (200..300).contains(&status));
            let timeout = if takes { STUCK_AFTER.saturating_sub(since.elapsed()) } else { Duration::ZERO };
            let left = deadline.map_or(timeout, |deadline| {
                timeout.min(deadline.saturating_duration_since(Instant::now()).saturating_sub(READ_RESERVE))
            });
            if left.is_zero() {
                self.exchange.mute = true;
                return Ok(());
            }
            Some(left)
        } else {
            left(deadline, reason)?
        };
        if self.channel.socket().wait(!self.exchange.ended, left)? {
            self.hear();
        }
        Ok(())
    }

    /// Reads what the peer sends while the request is not finished.
    fn hear(&mut self) {
        let mut bytes = [0; READ_BYTES];
        let room = self.room();
        match self.channel.receive_now(if room == 0 { &mut bytes } else { &mut bytes[..room] }) {
            Ok(0) => {
                self.exchange.ended = true;
                if !self.answers.is_final() {
                    self.stop_sending(ErrorKind::UnexpectedEof.into());
                }
            }
            // The buffer is full, with far more than is kept of any response. Reading on and dropping the bytes helps a
            // peer that sends all of its response before it reads the request.
            Ok(_) if room == 0 => self.exchange.overflown = true,
            Ok(some) => self.exchange.fresh |= self.take(&bytes[..some]),
            Err(error) if timed_out(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                self.exchange.ended = true;
                self.stop_sending(error);
            }
        }
    }

    fn stop_sending(&mut self, error: io::Error) {
        self.exchange.mute = true;
        self.exchange.broken.get_or_insert(error);
    }

    /// Most bytes that may be read at once.
    fn room(&self) -> usize {
        self.buffers.room().saturating_sub(MAX_HELD_BYTES).min(READ_BYTES)
    }

    /// Takes input; returns whether any of it is for ureq.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let (buffers, mut some) = (&mut self.buffers, false);
        let taken = self.answers.take(bytes, &mut |bytes| {
            some |= buffers.take(bytes) > 0;
        });
        if let Err(wrong) = taken {
            self.exchange.wrong = Some(Failure::new(ErrorClass::InvalidResponse, wrong.to_string()));
        }
        some
    }

    /// The peer sends nothing more.
    fn end(&mut self) -> Result<bool, Error> {
        self.exchange.ended = true;
        // A body may end with the connection. ureq knows whether this one may.
        if self.answers.has_head() { Ok(false) } else { Err(self.unanswered(&ErrorKind::UnexpectedEof.into()).into()) }
    }

    /// The connection broke while a response was awaited.
    fn broken(&mut self, error: io::Error) -> Error {
        self.exchange.ended = true;
        let error = match error.downcast::<Failure>() {
            Ok(failure) => return failure.into(),
            Err(error) if !is_reset(&error) => return Error::from(error),
            Err(error) => error,
        };
        if !self.answers.has_head() {
            return self.unanswered(&error).into();
        }
        Failure::new(ErrorClass::Reset, words(&error)).into()
    }

    fn unanswered(&mut self, error: &io::Error) -> Failure {
        let stale = self.is_stale();
        // The first error is the real cause.
        let why = words(self.exchange.broken.as_ref().unwrap_or(error));
        let detail = if self.answers.has_begun() {
            format!("{why} before the answer's head was whole")
        } else {
            format!("{why} before an answer came")
        };
        Failure { stale, ..Failure::new(ErrorClass::Reset, detail) }
    }

    /// Whether the peer had closed the connection before it took anything of the request. If that cannot be known, a
    /// request of at most [`HELD_BYTES`] counts as not taken.
    fn is_stale(&mut self) -> bool {
        let Exchange { began, sent_before, .. } = self.exchange;
        if !self.kept || self.answers.has_begun() || began.elapsed() > STALE_WITHIN {
            return false;
        }
        let socket = self.channel.socket();
        let sent = socket.sent() - sent_before;
        // The system counts the beginning of the connection as one byte.
        let untouched =
            || socket.confirmed().map_or(sent <= HELD_BYTES as u64, |confirmed| confirmed <= sent_before + 1);
        sent <= PACKET_BYTES || untouched()
    }
}

/// Describes for people what happened to the connection.
fn words(error: &io::Error) -> String {
    match error.kind() {
        // An error with a text of its own says more.
        _ if error.get_ref().is_some() => error.to_string(),
        ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        _ => format!("the connection broke ({error})"),
    }
}

impl<C: Channel> Transport for HttpTransport<C> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.exchange.reading {
            self.begin();
        }
        // Headers and body are sent in one packet if they fit into one.
        self.buffers.hold(amount);
        if self.buffers.held().len() < HELD_BYTES && !self.answers.is_final() { Ok(()) } else { self.flush(timeout) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        self.exchange.reading = true;
        self.flush(timeout)?;
        self.buffers.release_idle();
        if std::mem::take(&mut self.exchange.fresh) && !self.buffers.input().is_empty() {
            return Ok(true);
        }
        if let Some(wrong) = self.exchange.wrong.take() {
            return Err(wrong.into());
        }
        if self.exchange.overflown {
            return Err(Failure::new(ErrorClass::InvalidResponse, "more of it came than is kept").into());
        }
        if self.exchange.ended {
            return self.end();
        }
        let deadline = deadline(&timeout);
        let mut bytes = [0; READ_BYTES];
        let room = self.room();
        if room == 0 {
            // ureq sees the end of the input where the buffer is full.
            return Ok(false);
        }
        loop {
            let left = left(deadline, timeout.reason)?;
            match self.channel.receive(&mut bytes[..room], left) {
                Ok(0) => return self.end(),
                Ok(some) => match (self.take(&bytes[..some]), self.exchange.wrong.take()) {
                    (true, wrong) => {
                        self.exchange.wrong = wrong;
                        return Ok(true);
                    }
                    (false, Some(wrong)) => return Err(wrong.into()),
                    (false, None) => {}
                },
                Err(error) if timed_out(&error) || error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        let Exchange { mute, overflown, ended, ref wrong, .. } = self.exchange;
        let spoilt = mute || overflown || ended || wrong.is_some() || self.answers.is_spoilt();
        !spoilt && self.channel.is_quiet()
    }

    fn is_tls(&self) -> bool {
        self.channel.is_tls()
    }
}

impl<C: Channel> fmt::Debug for HttpTransport<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.channel).finish()
    }
}

#[cfg(test)]
mod tests;
