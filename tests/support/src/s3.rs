//! A bucket on the loopback address that fails when it is told to. It knows the operations that writing shards needs, and
//! keeps objects in memory; nobody's signature is checked.

mod bucket;
mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use socket2::SockRef;

use self::bucket::Bucket;
use self::wire::{Answer, Asked};

/// What is asked of the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A whole object put, conditionally or not.
    Put,
    /// An object read.
    Get,
    /// An object looked at.
    Head,
    /// An object deleted.
    Delete,
    /// A page of keys.
    List,
    /// An upload in parts begun.
    Begin,
    /// One of its parts.
    Part,
    /// Its end.
    Complete,
    /// Its end without an object.
    Abort,
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// With this status and S3's name for the error; nothing is done.
    Error(u16, &'static str),
    /// With status 200 and an error for a body, as completions may; nothing is done.
    ErrorIn200,
    /// The connection is reset when half of the request's body has come.
    ResetInBody,
    /// The connection is reset instead of an answer; nothing is done.
    ResetBeforeAnswer,
    /// What was asked for is done, and the connection is reset instead of the answer.
    LostAnswer,
    /// The answer's body is cut in the middle.
    HalfAnswer,
    /// There is no answer for as long as the client waits; nothing is done.
    Silence,
}

/// A running bucket, `s3://bucket`. Dropping it hangs up on every client.
pub struct S3 {
    address: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

struct Rule {
    operation: Operation,
    key_end: String,
    times: usize,
    fault: Fault,
}

struct State {
    bucket: Mutex<Bucket>,
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<(Operation, String)>>,
    connections: Mutex<Vec<TcpStream>>,
    stopping: AtomicBool,
}

impl S3 {
    /// Starts an empty bucket on a free port of 127.0.0.1.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on the loopback address");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State {
            bucket: Mutex::new(Bucket::new()),
            rules: Mutex::default(),
            asked: Mutex::default(),
            connections: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let shared = state.clone();
        let acceptor = std::thread::spawn(move || accept(&listener, &shared));
        Self { address, state, acceptor: Some(acceptor) }
    }

    /// The environment by which a client of S3 finds it.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ACCESS_KEY_ID", "key".into()),
            ("AWS_SECRET_ACCESS_KEY", "secret".into()),
            ("AWS_REGION", "eu-central-1".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ]
    }

    /// Lists have at most this many keys to a page.
    pub fn page_size(&self, keys: usize) {
        lock(&self.state.bucket).page_size = keys;
    }

    /// Puts an object that was written at this time.
    pub fn put(&self, key: &str, body: &[u8], modified: SystemTime) {
        lock(&self.state.bucket).put(key, body.to_vec(), modified);
    }

    /// Objects whose keys begin so, by what follows.
    pub fn objects(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        lock(&self.state.bucket).objects(prefix)
    }

    /// Keys of uploads that are neither complete nor aborted.
    pub fn open_uploads(&self) -> Vec<String> {
        lock(&self.state.bucket).open_uploads()
    }

    /// Lets the next requests of this kind, for keys that end so, fail: this many times.
    pub fn fail(&self, operation: Operation, key_end: &str, times: usize, fault: Fault) {
        lock(&self.state.rules).push(Rule { operation, key_end: key_end.into(), times, fault });
    }

    /// Forgets all faults.
    pub fn heal(&self) {
        lock(&self.state.rules).clear();
    }

    /// How many requests there were of this kind, for keys that end so.
    pub fn count(&self, operation: Operation, key_end: &str) -> usize {
        let asked = lock(&self.state.asked);
        asked.iter().filter(|(kind, key)| *kind == operation && key.ends_with(key_end)).count()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which looks at `stopping` before it serves anyone.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl State {
    /// The fault of the first rule that fits, which is then used up by one.
    fn fault(&self, operation: Operation, key: &str) -> Option<Fault> {
        let mut rules = lock(&self.rules);
        let fits = |rule: &&mut Rule| rule.operation == operation && rule.times > 0 && key.ends_with(&rule.key_end);
        let rule = rules.iter_mut().find(fits)?;
        rule.times -= 1;
        Some(rule.fault)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming() {
        if state.stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let Ok(second) = stream.try_clone() else { continue };
        lock(&state.connections).push(second);
        let state = state.clone();
        threads.push(std::thread::spawn(move || serve(stream, &state)));
    }
    for connection in lock(&state.connections).iter() {
        let _ = connection.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Answers the requests of one connection until one of the two hangs up.
fn serve(stream: TcpStream, state: &State) {
    let port = stream.peer_addr().map(|address| address.port()).unwrap_or_default();
    let reset = answer_all(&stream, state).is_err();
    if reset {
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
    // Only when the last of its handles is closed, a connection is reset.
    lock(&state.connections).retain(|other| other.peer_addr().map(|address| address.port()).ok() != Some(port));
}

/// The connection is to be reset.
struct Reset;

fn answer_all(stream: &TcpStream, state: &State) -> Result<(), Reset> {
    let mut wire = wire::Wire::new(stream);
    while let Some(head) = wire.head() {
        let Asked { operation, key } = head.asked();
        lock(&state.asked).push((operation, key.clone()));
        let fault = state.fault(operation, &key);
        if fault == Some(Fault::ResetInBody) {
            wire.half_a_body(&head);
            return Err(Reset);
        }
        let Some(body) = wire.body(&head) else { return Ok(()) };
        let answer = match fault {
            Some(Fault::Error(status, code)) => Answer::error(status, code),
            Some(Fault::ErrorIn200) => Answer::error(200, "InternalError"),
            Some(Fault::ResetBeforeAnswer) => return Err(Reset),
            Some(Fault::Silence) => return wire.wait_for_the_end(),
            _ => lock(&state.bucket).answer(operation, &key, &head, body),
        };
        match fault {
            Some(Fault::LostAnswer) => return Err(Reset),
            Some(Fault::HalfAnswer) => return wire.send_half(&answer),
            _ => wire.send(&answer, operation == Operation::Head),
        }
    }
    Ok(())
}
