//! Connections to destinations, with as few system calls as an exchange needs: ureq's own transport sends a request's
//! head and body apart, sets both timeouts anew for every request and asks three times whether a kept connection is
//! still open. No memory is held while the peer is waited for. Receivers that answer before they have read a request are
//! heard (see [`Link::flush`]), and what ureq's parser refuses though HTTP allows it is mended (see `answers`).

pub mod answers;
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
use connect::{connect, deadline};
use failure::Failure;
use socket::{Socket, is_reset, timed_out};

/// Bytes that are read at once; on the stack, so that a thread that waits holds no other memory.
const READ_BYTES: usize = 2 * 1024;

/// Bytes of a request that are kept back for the rest of it.
const HELD_BYTES: usize = 32 * 1024;

/// One that says 2xx before it has read the request, and then takes nothing more of it for so long, will not take it.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// And this much of an attempt's time is left to read its answer.
const READ_RESERVE: Duration = Duration::from_millis(100);

/// A kept connection that the peer has closed shows it within one way there and back.
const STALE_WITHIN: Duration = Duration::from_secs(1);

/// A request of so many bytes is one packet on any network: the peer has taken all of it or nothing.
const PACKET_BYTES: u64 = 1_300;

/// What requests and answers go over.
pub trait Channel: fmt::Debug + Send + Sync + 'static {
    /// Takes some of `bytes` and does not wait for it to leave. With none, sends on what it took before.
    ///
    /// # Errors
    /// `WouldBlock` where nothing more fits.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether something that it took has not left yet.
    fn is_pending(&self) -> bool;

    /// Reads what is there, or comes within about `left`; 0 at the end.
    ///
    /// # Errors
    /// One that [`timed_out`] knows where nothing came.
    fn receive(&mut self, bytes: &mut [u8], left: Option<Duration>) -> io::Result<usize>;

    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is.
    fn receive_now(&mut self, bytes: &mut [u8]) -> io::Result<usize>;

    /// Whether it is open and nothing came that nobody asked for.
    fn is_quiet(&mut self) -> bool;

    /// What is below.
    fn socket(&mut self) -> &mut Socket;

    /// Whether nobody else can read what goes over it.
    fn is_tls(&self) -> bool;
}

impl Channel for Socket {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Socket::send(self, bytes)
    }

    fn is_pending(&self) -> bool {
        false
    }

    fn receive(&mut self, bytes: &mut [u8], left: Option<Duration>) -> io::Result<usize> {
        Socket::receive(self, bytes, left)
    }

    fn receive_now(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Socket::receive_now(self, bytes)
    }

    fn is_quiet(&mut self) -> bool {
        Socket::is_reusable(self)
    }

    fn socket(&mut self) -> &mut Socket {
        self
    }

    fn is_tls(&self) -> bool {
        false
    }
}

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
pub struct HttpTransport<C> {
    channel: C,
    buffers: GrowableBuffers,
    answers: Answers,
    exchange: Exchange,
    /// Whether there was an exchange before.
    kept: bool,
}

/// One request and its answer.
struct Exchange {
    began: Instant,
    /// Bytes that had been sent before.
    sent_before: u64,
    /// The request is out, as far as it will be.
    reading: bool,
    /// The rest of the request is swallowed: nobody reads it.
    mute: bool,
    /// What ended the writing, where it did not end well.
    broken: Option<io::Error>,
    /// Input came while the request was sent, and ureq has not been told of it.
    fresh: bool,
    /// What came was more than there is room for. The rest is lost.
    overflown: bool,
    /// The peer sends nothing more.
    ended: bool,
    /// What is wrong with what came last.
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

/// What is left until `deadline`.
fn left(deadline: Option<Instant>, reason: Timeout) -> Result<Option<Duration>, Error> {
    let Some(deadline) = deadline else { return Ok(None) };
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(Error::Timeout(reason)),
        left => Ok(Some(left)),
    }
}

impl<C: Channel> HttpTransport<C> {
    /// On a channel that is open.
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

    /// Sends what is held. Where that fails, or would wait while an answer is there already, the peer will not read the
    /// rest: it is swallowed, ureq goes on to read the answer, and the connection is not used again.
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

    /// Nothing can be sent, and nothing could be `since` then.
    fn blocked(&mut self, deadline: Option<Instant>, since: Instant, reason: Timeout) -> Result<(), Error> {
        let left = if self.answers.is_final() {
            // Who has said that he took it may still be reading; who has said anything else does not want it.
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

    /// Takes what the peer has sent while the request is not out yet.
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
            // Far more than is kept of any answer; but who waits for it to be read may read on himself.
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

    /// Bytes that may be read at once.
    fn room(&self) -> usize {
        self.buffers.room().saturating_sub(MAX_HELD_BYTES).min(READ_BYTES)
    }

    /// Takes input; gives whether any of it is for ureq.
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
        // A body may end so; ureq knows whether this one does.
        if self.answers.has_head() { Ok(false) } else { Err(self.unanswered(&ErrorKind::UnexpectedEof.into()).into()) }
    }

    /// The connection broke while an answer was waited for.
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
        // What came first is what was the matter.
        let why = words(self.exchange.broken.as_ref().unwrap_or(error));
        let detail = if self.answers.has_begun() {
            format!("{why} before the answer's head was whole")
        } else {
            format!("{why} before an answer came")
        };
        Failure { stale, ..Failure::new(ErrorClass::Reset, detail) }
    }

    /// Whether the peer had closed the connection before it took anything of the request. Where that cannot be known, one
    /// that breaks at once is taken for it.
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

/// What happened to the connection.
fn words(error: &io::Error) -> String {
    match error.kind() {
        // What carries words of its own says more.
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
        // Head and body leave in one packet where they fit into one.
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
            // An input that is full ends.
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
