//! Shards behind `http://` and `https://`.

use std::error::Error as _;
use std::io::Read;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Response};

use super::remote::{Body, Chunks, block_on};
use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A server that sends nothing for so long has forgotten us.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// Asks for `url` and reads the body as it comes.
pub(super) fn open(url: &str) -> Result<Box<dyn Read + Send>> {
    let failed = |reason: String| Error::Source { uri: url.into(), reason };
    let response = block_on(async { client().map_err(|e| reason(&e))?.get(url).send().await.map_err(|e| reason(&e)) })
        .map_err(|e| failed(e.to_string()))?
        .map_err(failed)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(failed(format!("expected status 200, got {}", response.status())));
    }
    let announced = response.content_length();
    Ok(Box::new(Body::new(response, announced)))
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
}
