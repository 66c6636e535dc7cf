//! Starts and stops the engine, and makes its handles for other floors.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::clock::Clock;
use super::options::EngineOptions;
use super::scheduler::message::{EngineHandle, EngineReceiver, Message, Test};
use super::{metrics, scheduler};
use crate::domain::delivery::Attempt;
use crate::domain::destination::Destination;
use crate::domain::document::Document;
use crate::domain::ids::{AccountKey, DestinationKey};
use crate::domain::ports::{NextSendsReply, SendTest, SlowDestinationsReply, WatchEngine};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;

/// The running engine.
pub struct Engine {
    handle: EngineHandle,
    thread: Option<JoinHandle<()>>,
    metrics: Arc<metrics::EngineMetrics>,
    clock: Clock,
}

impl Engine {
    /// Starts the scheduler thread, which sends what is pending in the file.
    ///
    /// # Errors
    /// The file cannot be read, or the operating system gives no thread.
    pub fn start(options: EngineOptions, store: Store, engine: EngineHandle, receiver: EngineReceiver) -> Result<Self> {
        let (metrics, clock) = (Arc::new(metrics::EngineMetrics::default()), options.clock);
        let scheduler = scheduler::Scheduler::new(options, store, engine.clone(), Arc::clone(&metrics))?;
        let thread = std::thread::Builder::new()
            .name("scheduler".to_owned())
            .spawn(move || scheduler.run(receiver.receiver()))
            .map_err(|error| Error::internal(format!("cannot start the scheduler thread: {error}")))?;
        Ok(Self { handle: engine, thread: Some(thread), metrics, clock })
    }

    /// Begins no further attempt and waits at most `grace` for those in progress. Then cancels them; their deliveries
    /// are sent again after the next start. Blocks.
    pub fn stop(&mut self, grace: Duration) {
        self.handle.send(Message::Stop(grace));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Metrics for `/metrics`.
    pub fn metrics(&self) -> Arc<metrics::EngineMetrics> {
        Arc::clone(&self.metrics)
    }

    /// A handle that sends tests.
    pub fn tester(&self) -> Arc<dyn SendTest> {
        Arc::new(Tester(self.handle.clone()))
    }

    /// A handle that asks what the engine knows of destinations.
    pub fn watcher(&self) -> Arc<dyn WatchEngine> {
        Arc::new(Watcher(self.handle.clone(), self.clock))
    }
}

struct Tester(EngineHandle);

impl SendTest for Tester {
    fn send_test(&self, destination: Destination, payload: Document, done: Box<dyn FnOnce(Attempt) + Send>) {
        self.0.send(Message::Test(Test { destination: Box::new(destination), payload, done }));
    }
}

struct Watcher(EngineHandle, Clock);

impl WatchEngine for Watcher {
    fn slow_destinations(&self, account: Option<AccountKey>, reply: SlowDestinationsReply) {
        self.0.send(Message::SlowDestinations(account, reply));
    }

    fn next_sends(&self, destinations: Vec<DestinationKey>, reply: NextSendsReply) {
        let clock = self.1;
        let reply = move |next: Vec<Option<Timestamp>>| {
            let skew = clock.skew();
            reply(next.into_iter().map(|at| at.map(|at| Timestamp::from_millis(at.millis() + skew))).collect());
        };
        self.0.send(Message::NextSends(destinations, Box::new(reply)));
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;
    use crate::delivery::scheduler::message::channel;
    use crate::delivery::sending::tls::trust::Trust;
    use crate::domain::access::Scope;
    use crate::domain::account::{AccountFields, AccountName, Email};
    use crate::domain::destination::DestinationFields;
    use crate::domain::event::IncomingEvent;

    use crate::domain::memory::MemoryBudget;
    use crate::domain::network::NetworkPolicy;
    use crate::domain::retry::RetrySchedule;
    use crate::domain::secret::{SigningSecret, TokenDigest};

    use crate::domain::sealing::key::SecretsKeys;
    use crate::store::{Change, Checkpoints, StoreOptions};

    #[test]
    fn what_the_engine_was_never_told_of_goes_once_it_looks_afresh() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let now = clock.now();
        let options = StoreOptions {
            path: folder.path().join("a.db"),
            checkpoints: Checkpoints::Own,
            now,
            memory: MemoryBudget::default(),
            keys: SecretsKeys::default(),
        };
        // No change reaches the engine, as after a commit that failed.
        let store = Store::open(&options, Box::new(drop)).unwrap();
        let (handle, messages) = channel();
        let options = EngineOptions {
            workers: 64,
            destination_concurrency: 1,
            timeout: Duration::from_secs(15),
            retry_schedule: RetrySchedule::parse("1h").unwrap(),
            pause_after: Duration::from_secs(3_600),
            network: Arc::new(NetworkPolicy::dev(Vec::new())),
            trust: Trust::default(),
            clock,
            memory: MemoryBudget::default(),
            max_body: 1 << 20,
        };
        let mut engine = Engine::start(options, store.clone(), handle.clone(), messages).unwrap();
        let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", receiver.local_addr().unwrap());
        runtime.block_on(async {
            let fields = AccountFields {
                email: Email::from_stored("ada@example.com".to_owned()),
                name: AccountName::from_stored("Ada".to_owned()),
                website: None,
            };
            let digest = TokenDigest::of(b"token");
            let everything = store.within(&Scope::All);
            let account = everything.create_account(None, fields, digest, "oken".to_owned(), now).await.unwrap();
            let fields = DestinationFields::example(&url);
            everything.create_destination(account.id.clone(), fields, SigningSecret::generate(), now).await.unwrap();
            let event = IncomingEvent {
                account: account.key,
                payload: Document::from(b"{}".as_slice()),
                idempotency_key: None,
                may_use_reserve: false,
            };
            store.accept_event(event, false, now).await.unwrap();
        });
        handle.changes(vec![Change::Reloaded(store.all_destinations().unwrap())]);
        let (stream, _) = receiver.accept().unwrap();
        drop(stream);
        let (watcher, (sender, replies)) = (engine.watcher(), mpsc::channel());
        let ask = || {
            let sender = sender.clone();
            watcher.slow_destinations(None, Box::new(move |slow| sender.send(slow).unwrap()));
        };
        ask();
        assert_eq!(replies.recv(), Ok(Vec::new()), "the destination has not taken long");
        engine.stop(Duration::ZERO);
        ask();
        drop(sender);
        assert!(replies.recv().is_err(), "an engine that has stopped drops what is asked");
        runtime.block_on(store.close());
    }
}
