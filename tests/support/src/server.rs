//! An HTTP/1.1 server on the loopback address whose routes behave or misbehave as told. It speaks HTTP itself, on
//! plain sockets, because a proper library would refuse to break the rules.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;

use crate::script::{self, Left, Step};

/// What a route does with a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// 200 with these bytes, of this media type.
    Ok(Vec<u8>, &'static str),
    /// 200 with extra headers as (name, value).
    OkWith(Vec<u8>, Vec<(&'static str, String)>),
    /// This status code and an empty body.
    Status(u16),
    /// 200 with a web page.
    Html(String),
    /// 200 and no body at all.
    Empty,
    /// Announces all of these bytes, sends half of them and hangs up.
    HalfBody(Vec<u8>),
    /// Takes the request and never answers, until the server or the client ends.
    Never,
    /// 302 to a URL or a path.
    Redirect(String),
    /// 200 with these bytes, a piece at a time with a pause between pieces.
    Slow {
        /// The body.
        body: Vec<u8>,
        /// Bytes in a piece.
        piece: usize,
        /// Time between two pieces.
        pause: Duration,
    },
    /// 200 with these bytes, or 206 with the range that was asked for.
    Ranges(Vec<u8>),
    /// 200 with these bytes and this `etag`, or 206 with the rest from the byte that was asked for, provided that the
    /// `if-range` is this tag; hangs up once so many bytes of the answer's body are out.
    Tagged {
        /// The whole body.
        body: Vec<u8>,
        /// The tag, with its quotation marks.
        tag: &'static str,
        /// Bytes before it hangs up; more than there are for none.
        sent: usize,
    },
    /// The first behaviour for the given number of requests, then the second.
    Then(usize, Box<Behaviour>, Box<Behaviour>),
    /// Hangs up without an answer.
    HangUp,
    /// Says what the steps say; after the last one the connection goes on.
    Script(Vec<Step>),
}

/// A request as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` and the like.
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// Header names in lower case, and their values.
    pub headers: BTreeMap<String, String>,
}

/// A running server. Dropping it hangs up on every client and joins every thread.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    routes: Mutex<BTreeMap<String, Behaviour>>,
    requests: Mutex<Vec<Request>>,
    /// Open connections by their number, to be hung up on.
    connections: Mutex<BTreeMap<usize, TcpStream>>,
    stopping: Mutex<bool>,
    stopped: Condvar,
}

impl Server {
    /// Starts on a free port of 127.0.0.1. A path that has no route answers 404.
    pub fn start<P: Into<String>>(routes: impl IntoIterator<Item = (P, Behaviour)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on the loopback address");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State::default());
        *lock(&state.routes) = routes.into_iter().map(|(path, behaviour)| (path.into(), behaviour)).collect();
        let shared = state.clone();
        let acceptor = std::thread::spawn(move || accept(&listener, &shared));
        Self { address, state, acceptor: Some(acceptor) }
    }

    /// The URL of a path that starts with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a route, or replaces it.
    pub fn route(&self, path: impl Into<String>, behaviour: Behaviour) {
        lock(&self.state.routes).insert(path.into(), behaviour);
    }

    /// Every request up to now, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.requests).clone()
    }

    /// How many requests there were for a path, whatever their query.
    pub fn hits(&self, path: &str) -> usize {
        lock(&self.state.requests).iter().filter(|request| request.path() == path).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *lock(&self.state.stopping) = true;
        self.state.stopped.notify_all();
        // Wakes the acceptor, which looks at `stopping` before it serves anyone.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Request {
    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Reads the head of a request and its body, if it announces one; nothing when the client hangs up.
    fn read(stream: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut request = Self { method: words.next()?, target: words.next()?, headers: BTreeMap::new() };
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            request.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = request.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        std::io::copy(&mut std::io::Read::take(stream, length), &mut std::io::sink()).ok()?;
        Some(request)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for (number, stream) in listener.incoming().enumerate() {
        if *lock(&state.stopping) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let Ok(second) = stream.try_clone() else { continue };
        lock(&state.connections).insert(number, second);
        let state = state.clone();
        threads.retain(|thread| !thread.is_finished());
        threads.push(std::thread::spawn(move || {
            serve(stream, &state);
            lock(&state.connections).remove(&number);
        }));
    }
    for connection in lock(&state.connections).values() {
        let _ = connection.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Answers the requests of one connection until one of the two hangs up.
fn serve(stream: TcpStream, state: &State) {
    let Ok(writer) = stream.try_clone() else { return };
    let mut connection = Connection { state, reader: BufReader::new(stream), writer, is_head: false };
    while let Some(request) = Request::read(&mut connection.reader) {
        lock(&state.requests).push(request.clone());
        connection.is_head = request.method == "HEAD";
        let behaviour = state.behaviour(request.path());
        match connection.answer(&request, &behaviour) {
            Ok(()) => {}
            Err(End::HangUp) => break,
            // Closing all of the connection's handles is what resets it.
            Err(End::Reset) => return,
        }
    }
    let _ = connection.writer.shutdown(Shutdown::Both);
}

impl State {
    /// Waits, but no longer than the server runs.
    fn rest(&self, pause: Duration) {
        // Whether the time is over or the server makes no difference to whoever waits.
        let _ = self.stopped.wait_timeout_while(lock(&self.stopping), pause, |stopping| !*stopping);
    }

    fn behaviour(&self, path: &str) -> Behaviour {
        let mut routes = lock(&self.routes);
        let Some(behaviour) = routes.get_mut(path) else { return Behaviour::Status(404) };
        behaviour.next()
    }
}

impl Behaviour {
    /// What to do now; counts down in [`Behaviour::Then`].
    fn next(&mut self) -> Self {
        match self {
            Self::Then(0, _, second) => second.next(),
            Self::Then(left, first, _) => {
                *left -= 1;
                first.next()
            }
            plain => plain.clone(),
        }
    }
}

/// Why a connection ends.
enum End {
    HangUp,
    Reset,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::HangUp
    }
}

struct Connection<'a> {
    state: &'a State,
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    /// Whether the request wants no body.
    is_head: bool,
}

impl Connection<'_> {
    fn answer(&mut self, request: &Request, behaviour: &Behaviour) -> Result<(), End> {
        match behaviour {
            Behaviour::Ok(body, mime) => self.send(200, &[("content-type", mime)], body),
            Behaviour::OkWith(body, headers) => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                self.send(200, &headers, body)
            }
            Behaviour::Status(code) => self.send(*code, &[], b""),
            Behaviour::Html(page) => self.send(200, &[("content-type", "text/html; charset=utf-8")], page.as_bytes()),
            Behaviour::Empty => self.send(200, &[], b""),
            Behaviour::HalfBody(body) => {
                self.head(200, &[], body.len())?;
                self.writer.write_all(&body[..body.len() / 2])?;
                Err(End::HangUp)
            }
            Behaviour::Never => self.wait_for_the_end(),
            Behaviour::Redirect(to) => self.send(302, &[("location", to)], b""),
            Behaviour::Slow { body, piece, pause } => self.drip(body, *piece, *pause),
            Behaviour::Ranges(body) => self.range(request, body),
            Behaviour::Tagged { body, tag, sent } => self.tagged(request, body, tag, *sent),
            Behaviour::HangUp | Behaviour::Then(..) => Err(End::HangUp),
            Behaviour::Script(steps) => self.script(steps),
        }
    }

    fn send(&mut self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Result<(), End> {
        self.head(status, headers, body.len())?;
        if !self.is_head {
            self.writer.write_all(body)?;
        }
        Ok(())
    }

    fn head(&mut self, status: u16, headers: &[(&str, &str)], length: usize) -> Result<(), End> {
        let mut head = format!("HTTP/1.1 {status} {}\r\ncontent-length: {length}\r\n", reason(status));
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str("\r\n");
        Ok(self.writer.write_all(head.as_bytes())?)
    }

    /// Reads until the client or [`Server::drop`] closes the connection.
    fn wait_for_the_end(&mut self) -> Result<(), End> {
        std::io::copy(&mut self.reader, &mut std::io::sink())?;
        Err(End::HangUp)
    }

    fn tagged(&mut self, request: &Request, body: &[u8], tag: &str, sent: usize) -> Result<(), End> {
        let same = request.headers.get("if-range").is_some_and(|mark| mark == tag);
        let first = request.headers.get("range").filter(|_| same).and_then(|asked| parse_range(asked, body.len()));
        let rest = &body[first.map_or(0, |(first, _)| first)..];
        let range = format!("bytes {}-{}/{}", body.len() - rest.len(), body.len().saturating_sub(1), body.len());
        match first {
            Some(_) => self.head(206, &[("etag", tag), ("content-range", &range)], rest.len())?,
            None => self.head(200, &[("etag", tag)], rest.len())?,
        }
        if !self.is_head {
            self.writer.write_all(&rest[..sent.min(rest.len())])?;
        }
        if sent < rest.len() { Err(End::HangUp) } else { Ok(()) }
    }

    fn script(&mut self, steps: &[Step]) -> Result<(), End> {
        match script::run(steps, &mut self.writer)? {
            Left::Open => Ok(()),
            Left::Held => self.wait_for_the_end(),
            Left::Closed => Err(End::HangUp),
            Left::Reset => {
                SockRef::from(&self.writer).set_linger(Some(Duration::ZERO))?;
                Err(End::Reset)
            }
        }
    }

    fn drip(&mut self, body: &[u8], piece: usize, pause: Duration) -> Result<(), End> {
        self.head(200, &[], body.len())?;
        for piece in body.chunks(piece.max(1)) {
            self.writer.write_all(piece)?;
            self.state.rest(pause);
        }
        Ok(())
    }

    fn range(&mut self, request: &Request, body: &[u8]) -> Result<(), End> {
        let Some(asked) = request.headers.get("range") else {
            return self.send(200, &[("accept-ranges", "bytes")], body);
        };
        let Some((first, last)) = parse_range(asked, body.len()) else { return self.send(416, &[], b"") };
        let content_range = format!("bytes {first}-{last}/{}", body.len());
        self.send(206, &[("content-range", &content_range)], &body[first..=last])
    }
}

/// The first and last byte of a header such as `bytes=5-` or `bytes=5-9`, within `length` bytes.
fn parse_range(header: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last =
        if last.is_empty() { length.checked_sub(1)? } else { last.parse::<usize>().ok()?.min(length.checked_sub(1)?) };
    (first <= last).then_some((first, last))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        403 => "Forbidden",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
