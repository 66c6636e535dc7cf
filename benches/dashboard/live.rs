//! Pages that are open and live, as `src/dashboard/assets/dashboard.js` keeps them. Each has a stream that says that
//! something changed, and is then read again: at once when the stream opens, later at most once a second, and at most
//! for a tenth of the time.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::support::Result;
use super::support::http::{Client, head_length, read_some};

/// Time from a message to reading the page.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Rest after a reading, in lengths of that reading. The next one begins after both this and [`PATIENCE`].
const REST_FACTOR: u32 = 19;

/// Maximum of that rest.
const MAX_REST: Duration = Duration::from_secs(30);

/// Longest wait for a message before the page looks whether it is to be closed.
const LOOK: Duration = Duration::from_millis(50);

/// A page, and the address of its stream.
#[derive(Debug, Clone)]
pub struct Page {
    pub page: String,
    pub stream: String,
}

/// Ten pages that are open.
pub struct LivePages {
    stop: Arc<AtomicBool>,
    pages: Vec<JoinHandle<io::Result<Vec<Duration>>>>,
}

impl LivePages {
    /// Opens the pages.
    pub fn open(address: SocketAddr, pages: &[Page]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let open = |page: &Page| {
            let (stop, page) = (Arc::clone(&stop), page.clone());
            thread::spawn(move || follow(address, &page, &stop))
        };
        let pages = pages.iter().map(open).collect();
        Self { stop, pages }
    }

    /// Closes the pages. Returns how long each reading of a page took.
    pub fn close(mut self) -> Result<Vec<Duration>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for page in self.pages.drain(..) {
            times.extend(page.join().map_err(|_| "a page panicked")??);
        }
        Ok(times)
    }
}

impl Drop for LivePages {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn follow(address: SocketAddr, page: &Page, stop: &AtomicBool) -> io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n", page.stream)?;
    let (mut client, mut times) = (Client::new(address), Vec::new());
    let (mut input, mut is_open, mut due) = (Vec::new(), false, None::<Instant>);
    let mut rests_until = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let left = due.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()));
        stream.set_read_timeout(Some(left.clamp(Duration::from_millis(1), LOOK)))?;
        match read_some(&mut stream, &mut input) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            read => read?,
        }
        if let Some(head) = head_length(&input).filter(|_| !is_open) {
            if !input.starts_with(b"HTTP/1.1 200") {
                return Err(io::Error::other(format!("{}: no stream", page.stream)));
            }
            is_open = true;
            input.drain(..head);
            due = Some(Instant::now());
        }
        // Before the next message, which comes about a second after the last one, sets the next time.
        if due.is_some_and(|due| due <= Instant::now()) {
            due = None;
            let sent = Instant::now();
            let answer = client.get(&page.page)?;
            let took = sent.elapsed();
            rests_until = Instant::now() + (took * REST_FACTOR).min(MAX_REST);
            times.push(took);
            if answer.status != 200 {
                return Err(io::Error::other(format!("{} answered {}", page.page, answer.status)));
            }
        }
        if is_open {
            if input.windows(7).any(|some| some == b"changed") {
                due = due.or_else(|| Some(rests_until.max(Instant::now() + PATIENCE)));
            }
            // A word that is cut in two would only be missed until the next message.
            input.clear();
        }
    }
    Ok(times)
}
