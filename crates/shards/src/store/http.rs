//! Shards behind `http://` and `https://`.

use std::error::Error as _;
use std::io::Read;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};

use super::remote::patience::{self, Attempt};
use super::remote::{Body, Chunks, Refusal, Remote, block_on};
use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A server that sends nothing for so long has forgotten us.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// Asks for `url` and reads the body as it comes; one that breaks off is asked for from there on.
pub(super) fn open(url: &str) -> Result<Box<dyn Read + Send>> {
    let response = get(url)?;
    let announced = response.content_length();
    let resource = mark_of(&response).map(|mark| Resource { url: url.into(), mark, size: announced });
    Ok(Box::new(Body::new(resource, response, announced)))
}

/// What tells this state of a resource from another, and how long it is; `None` where the server says neither.
pub(super) fn state(url: &str) -> Result<Option<(String, u64)>> {
    let response = ask(url, |client| client.head(url))?;
    let length = response.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(mark_of(&response).zip(length))
}

/// A small file; `None` where there is none, or none for us.
pub(super) fn read(url: &str) -> Result<Option<Vec<u8>>> {
    let failed = |reason: String| Error::Source { uri: url.into(), reason };
    let response = answer(url, |client| client.get(url))?;
    if response.status().is_client_error() {
        return Ok(None);
    }
    let body = block_on(expect_ok(url, response)?.bytes()).map_err(|e| failed(e.to_string()))?;
    body.map(|bytes| Some(bytes.to_vec())).map_err(|e| failed(reason(&e)))
}

fn get(url: &str) -> Result<Response> {
    ask(url, |client| client.get(url))
}

/// Sends a request until there is an answer of status 200 or one that will not change.
fn ask(url: &str, request: impl Fn(&'static Client) -> RequestBuilder) -> Result<Response> {
    expect_ok(url, answer(url, request)?)
}

fn expect_ok(url: &str, response: Response) -> Result<Response> {
    match response.status() {
        StatusCode::OK => Ok(response),
        status => Err(Error::Source { uri: url.into(), reason: format!("expected status 200, got {status}") }),
    }
}

/// Sends a request until there is an answer that will not change.
fn answer(url: &str, request: impl Fn(&'static Client) -> RequestBuilder) -> Result<Response> {
    let failed = |reason: String| Error::Source { uri: url.into(), reason };
    let attempt = || {
        let sent = async { request(client().map_err(|e| reason(&e))?).send().await.map_err(|e| reason(&e)) };
        let answer = block_on(patience::in_time(sent)).map_err(|e| failed(e.to_string()))?;
        Ok(match answer.ok_or_else(|| failed(patience::TOO_LATE.into()))? {
            Ok(response) if is_passing(response.status()) => {
                let why = failed(format!("expected status 200, got {}", response.status()));
                Attempt::Passing(why, retry_after(&response).unwrap_or_default())
            }
            Ok(response) => Attempt::Over(response),
            Err(why) => Attempt::Passing(failed(why), Duration::ZERO),
        })
    };
    patience::attempts(attempt, Error::to_string, |error| failed(error.to_string()))?
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502..=504)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The strong tag of a response, or else the time of its last change.
fn mark_of(response: &Response) -> Option<String> {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(String::from);
    text(header::ETAG).filter(|tag| !tag.starts_with("W/")).or_else(|| text(header::LAST_MODIFIED))
}

/// A state of what is behind an address.
struct Resource {
    url: String,
    mark: String,
    size: Option<u64>,
}

impl Resource {
    /// Whether a response is the rest from `offset` on, of the same resource.
    fn check(&self, response: &Response, offset: u64) -> std::result::Result<(), Refusal> {
        let status = response.status();
        if is_passing(status) {
            return Err(Refusal::Passing(format!("expected status 206, got {status}")));
        }
        if status != StatusCode::PARTIAL_CONTENT {
            let reason = format!("it cannot go on there, or has changed (expected status 206, got {status})");
            return Err(Refusal::Final(reason));
        }
        let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let range = range.unwrap_or_default();
        let size = self.size.map_or("*".to_owned(), |size| size.to_string());
        let fits =
            range.starts_with(&format!("bytes {offset}-")) && (size == "*" || range.ends_with(&format!("/{size}")));
        let reason = || format!("expected bytes {offset} to the end of {size}, got `{range}`");
        if fits { Ok(()) } else { Err(Refusal::Final(reason())) }
    }
}

impl Remote for Resource {
    type Body = Response;

    async fn rest(&self, offset: u64) -> std::result::Result<Response, Refusal> {
        let passing = |e: reqwest::Error| Refusal::Passing(reason(&e));
        let request = client().map_err(passing)?.get(&self.url);
        let request = request.header(header::RANGE, format!("bytes={offset}-")).header(header::IF_RANGE, &self.mark);
        let response = request.send().await.map_err(passing)?;
        self.check(&response, offset)?;
        Ok(response)
    }
}

impl Chunks for Response {
    async fn next_chunk(&mut self) -> std::result::Result<Option<Bytes>, String> {
        self.chunk().await.map_err(|e| reason(&e))
    }
}

fn client() -> reqwest::Result<&'static Client> {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build()?;
    Ok(CLIENT.get_or_init(|| client))
}

/// reqwest's own text names the address, which the caller does too, and leaves out the cause.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.source().is_some() { cause.to_string() } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use super::*;

    /// Answers one request with `answer`, then hangs up; returns the address and the request line.
    fn serve(answer: &'static [u8]) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/0.tar", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(std::io::Result::ok);
            let request = lines.next().unwrap_or_default();
            let _ = lines.find(String::is_empty);
            stream.write_all(answer).unwrap();
            request
        });
        (url, server)
    }

    #[test]
    fn a_body_of_the_announced_length_is_read_whole() {
        let (url, server) = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nshard");
        let mut text = String::new();
        open(&url).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "shard");
        assert_eq!(server.join().unwrap(), "GET /0.tar HTTP/1.1");
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        let (url, server) = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshard");
        let mut text = Vec::new();
        let message = open(&url).unwrap().read_to_end(&mut text).unwrap_err().to_string();
        assert!(message.contains("after 5 bytes"), "{message}");
        server.join().unwrap();
    }

    #[test]
    fn a_status_other_than_200_is_named() {
        let (url, server) = serve(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        let message = open(&url).err().unwrap().to_string();
        assert!(message.contains(&url) && message.contains("404"), "{message}");
        server.join().unwrap();
    }

    #[test]
    fn a_server_that_is_not_there_is_named() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let message = open(&format!("http://{address}/0.tar")).err().unwrap().to_string();
        assert!(message.contains(&address.to_string()), "{message}");
    }

    #[test]
    fn a_body_that_breaks_off_goes_on_where_it_broke() {
        use support::{Behaviour, Server};
        let body: Vec<u8> = (0..9000u32).map(|i| (i % 251) as u8).collect();
        let tagged = |tag, sent| Behaviour::Tagged { body: body.clone(), tag, sent };
        let twice = Behaviour::Then(2, Box::new(tagged("\"1\"", 3000)), Box::new(tagged("\"1\"", usize::MAX)));
        let server = Server::start([("/0.tar", twice)]);
        let mut read = Vec::new();
        open(&server.url("/0.tar")).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == body);
        let ranges: Vec<_> = server.requests().iter().map(|request| request.headers.get("range").cloned()).collect();
        assert_eq!(ranges, [None, Some("bytes=3000-".into()), Some("bytes=6000-".into())]);
    }

    #[test]
    fn a_body_does_not_go_on_with_another_one() {
        use support::{Behaviour, Server};
        let tagged = |byte, tag, sent| Box::new(Behaviour::Tagged { body: vec![byte; 9000], tag, sent });
        let changing = Behaviour::Then(1, tagged(1, "\"1\"", 3000), tagged(2, "\"2\"", usize::MAX));
        let server = Server::start([("/0.tar", changing)]);
        let mut read = Vec::new();
        let message = open(&server.url("/0.tar")).unwrap().read_to_end(&mut read).unwrap_err().to_string();
        assert!(message.contains("after 3000 bytes") && message.contains("has changed"), "{message}");
    }

    #[test]
    fn a_server_that_is_busy_is_asked_again() {
        use support::{Behaviour, Server};
        let body = Behaviour::Ok(vec![1; 10], "application/x-tar");
        let server = Server::start([("/0.tar", Behaviour::Then(1, Box::new(Behaviour::Status(503)), Box::new(body)))]);
        let mut read = Vec::new();
        open(&server.url("/0.tar")).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!((read.len(), server.hits("/0.tar")), (10, 2));
    }

    #[test]
    fn a_small_file_that_a_busy_server_keeps_back_is_not_taken_for_a_missing_one() {
        use support::{Behaviour, Server};
        let body = Behaviour::Ok(b"{}".to_vec(), "application/json");
        let busy = Behaviour::Then(1, Box::new(Behaviour::Status(503)), Box::new(body));
        let server =
            Server::start([("/busy", busy), ("/gone", Behaviour::Status(404)), ("/odd", Behaviour::Status(501))]);
        assert_eq!(read(&server.url("/busy")).unwrap().as_deref(), Some(&b"{}"[..]));
        assert_eq!(read(&server.url("/gone")).unwrap(), None);
        let message = read(&server.url("/odd")).unwrap_err().to_string();
        assert!(message.contains("501"), "{message}");
    }
}
