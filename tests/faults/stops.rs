//! SIGTERM at random moments, whatever the server is doing.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::campaign::{Durations, Report, either, seed};
use crate::file;
use crate::harness::client::INCOMING;
use crate::harness::{Behaviour, Receiver, Reply, Server, Setup, wait_until};
use crate::ledger::{Arrivals, Ledger};

const CLIENTS: usize = 6;

/// Shutdown grace for attempts in progress.
const GRACE: Duration = Duration::from_secs(1);

/// Destinations by what they do until the end.
fn behaviours() -> [(&'static str, Behaviour); 6] {
    [
        ("/fast", Behaviour::status(200)),
        ("/hang", Behaviour::Hang),
        ("/drip", Behaviour::Drip),
        ("/reset", Behaviour::Reset),
        ("/fail", Behaviour::status(500)),
        ("/later", Behaviour::Answer(Reply::status(503).header("retry-after", "1"))),
    ]
}

/// What goes on besides the load when the signal comes.
#[derive(Debug, Clone, Copy)]
enum Activity {
    Nothing,
    /// Clients that have sent half of a head, or half of a body.
    HalfOpen,
    /// Clients that wait for first attempts which never end.
    Waiting,
    /// Clients that follow the stream of deliveries.
    Following,
    /// The deletion of an account with many rows.
    Deleting,
}

const ACTIVITIES: [Activity; 5] =
    [Activity::Nothing, Activity::HalfOpen, Activity::Waiting, Activity::Following, Activity::Deleting];

impl Activity {
    /// Begins the activity. The caller keeps the returned connections until the server has ended.
    fn begin(self, server: &Server, token: &str, round: usize) -> Vec<TcpStream> {
        let open = |bytes: String| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(bytes.as_bytes()).unwrap();
            stream
        };
        let head = format!(
            "POST {INCOMING} HTTP/1.1\r\nhost: localhost\r\ncl-xtoken: {token}\r\n\
             content-type: application/json\r\n"
        );
        match self {
            Self::Nothing => Vec::new(),
            Self::HalfOpen => {
                let halves = ["POST / HTTP/1.1\r\nhost:".to_owned(), format!("{head}content-length: 100\r\n\r\n{{")];
                (0..100).map(|number| open(halves[number % 2].clone())).collect()
            }
            // Numbers that the ledger does not use.
            Self::Waiting => (0..10)
                .map(|number| {
                    let body = format!("{{\"n\": {}}}", 1_000_000_000 + round * 100 + number);
                    open(format!("{head}prefer: wait=30\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
                })
                .collect(),
            Self::Following => (0..10)
                .map(|_| open("GET /v1/deliveries/stream HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned()))
                .collect(),
            Self::Deleting => {
                let client = server.client();
                let account = client.create_account(&format!("gone{round}"));
                client.create_destination(&account, "http://127.0.0.1:9/gone", "POST", json!({}));
                for number in 0..either(50, 400) {
                    client.push(&account, format!("{{\"n\": {}}}", 2_000_000_000_u64 + number));
                }
                client.delete(&format!("/v1/accounts/{}", account.id)).expect(204);
                Vec::new()
            }
        }
    }
}

pub fn sigterm_at_random_moments(report: &mut Report) {
    let mut random = fastrand::Rng::with_seed(seed());
    let rounds = either(3, 80);
    let receiver = Receiver::start();
    let paths = behaviours().map(|(path, _)| path);
    for (path, behaviour) in behaviours() {
        receiver.on(path, behaviour);
    }
    let schedule = ["300ms"; 30].join(",");
    let grace = format!("{}ms", GRACE.as_millis());
    let mut server = Setup::dev().flags(&["--retry-schedule", &schedule, "--shutdown-grace", &grace]).start();
    let account = server.client().create_account("ada");
    for path in paths {
        server.client().create_destination(&account, &receiver.url(path), "POST", json!({}));
    }

    let (ledger, mut took) = (Ledger::default(), Durations::default());
    for round in 0..rounds {
        let client = server.client();
        // In one round of six the signal comes early, right after the server listens.
        let early = round % 6 == 5;
        let activity = ACTIVITIES[random.usize(..ACTIVITIES.len())];
        let end = |server: &mut Server, took: &mut Durations| {
            let told = Instant::now();
            server.terminate();
            took.add(told.elapsed());
        };
        if early {
            end(&mut server, &mut took);
        } else {
            let kept = ledger.under_load(&client, &account.token, CLIENTS, || {
                let kept = activity.begin(&server, &account.token, round);
                ledger.wait_for_more(30);
                // The moment is the fault.
                std::thread::sleep(Duration::from_micros(random.u64(..50_000)));
                end(&mut server, &mut took);
                kept
            });
            drop(kept);
        }
        server.start_again();
    }
    for path in paths {
        receiver.on(path, Behaviour::status(200));
    }
    let client = server.client();
    let mut arrivals = Arrivals::default();
    arrivals.wait_for_all(&receiver, &ledger, &paths);
    wait_until("no delivery is pending", || {
        let page = client.get("/v1/deliveries?state=pending&limit=1").expect(200).json();
        page["items"].as_array().unwrap().is_empty().then_some(())
    });
    server.terminate();
    let lost = arrivals.missing(&ledger, &paths).len();
    report.figure("signals", rounds);
    report.figure("acknowledged", ledger.count());
    report.figure("lost", lost);
    report.figure("ended after", format!("{took} (grace {} ms)", GRACE.as_millis()));
    // A clean stop leaves nothing in the log, so a copy of the file alone is whole.
    let alone = server.setup().folder().join("alone.db");
    std::fs::copy(server.setup().database_path(), &alone).unwrap();
    let stored = file::deliveries_by_event(&file::open_whole(&alone));
    for number in ledger.acknowledged().keys() {
        assert_eq!(stored.get(number), Some(&paths.len()), "event {number}");
    }
    assert!(ledger.refused().iter().all(|number| !stored.contains_key(number)), "answered 503, and kept");
    assert!(took.longest() < GRACE + Duration::from_secs(3), "{took}");
}
