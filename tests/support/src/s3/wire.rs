//! Requests and answers of S3 as they cross a connection.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write, sink};
use std::net::TcpStream;

use super::{Operation, Reset};

/// The head of a request.
pub(super) struct Head {
    method: String,
    path: String,
    /// Decoded.
    pub query: BTreeMap<String, String>,
    /// By names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// What a request is about.
pub(super) struct Asked {
    pub operation: Operation,
    /// Without the bucket; the prefix of a list.
    pub key: String,
}

/// What is said to it.
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Head {
    fn read(lines: &mut impl BufRead) -> Option<Self> {
        let first = line(lines)?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        let query = query.split('&').filter(|text| !text.is_empty()).map(pair).collect();
        let mut head = Self { method, path: decoded(path), query, headers: BTreeMap::new() };
        loop {
            let line = line(lines)?;
            let Some((name, value)) = line.split_once(':') else { return Some(head) };
            head.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }

    /// The operation and its key.
    pub(super) fn asked(&self) -> Asked {
        let asks = |name: &str| self.query.contains_key(name);
        let operation = match self.method.as_str() {
            "PUT" if asks("partNumber") => Operation::Part,
            "PUT" => Operation::Put,
            "POST" if asks("uploads") => Operation::Begin,
            "POST" => Operation::Complete,
            "DELETE" if asks("uploadId") => Operation::Abort,
            "DELETE" => Operation::Delete,
            "HEAD" => Operation::Head,
            _ if asks("list-type") => Operation::List,
            _ => Operation::Get,
        };
        let key = self.path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
        let key = if operation == Operation::List { &self.query["prefix"] } else { key };
        Asked { operation, key: key.to_owned() }
    }

    fn length(&self) -> usize {
        self.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    }

    fn says(&self, name: &str, word: &str) -> bool {
        self.headers.get(name).is_some_and(|value| value.contains(word))
    }
}

impl Answer {
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn xml(body: String) -> Self {
        let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}").into_bytes();
        Self { status: 200, headers: vec![("content-type", "application/xml".into())], body }
    }

    pub(super) fn error(status: u16, code: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>as the test says</Message></Error>");
        Self { status, ..Self::xml(body) }
    }
}

/// A connection.
pub(super) struct Wire<'a> {
    reader: BufReader<&'a TcpStream>,
    writer: &'a TcpStream,
}

impl<'a> Wire<'a> {
    pub(super) fn new(stream: &'a TcpStream) -> Self {
        Self { reader: BufReader::new(stream), writer: stream }
    }

    /// The next request; nothing when the client hangs up.
    pub(super) fn head(&mut self) -> Option<Head> {
        let head = Head::read(&mut self.reader)?;
        if head.says("expect", "100-continue") {
            self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        Some(head)
    }

    /// The body of a request, freed of whatever it is wrapped in.
    pub(super) fn body(&mut self, head: &Head) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        match head.says("transfer-encoding", "chunked") {
            true => body = unchunked(&mut self.reader)?,
            false => _ = (&mut self.reader).take(head.length() as u64).read_to_end(&mut body).ok()?,
        }
        if head.says("content-encoding", "aws-chunked") {
            return unchunked(&mut body.as_slice());
        }
        Some(body)
    }

    pub(super) fn half_a_body(&mut self, head: &Head) {
        let _ = std::io::copy(&mut (&mut self.reader).take(head.length() as u64 / 2), &mut sink());
    }

    pub(super) fn wait_for_the_end(&mut self) -> Result<(), Reset> {
        let _ = std::io::copy(&mut self.reader, &mut sink());
        Ok(())
    }

    /// A client that has left does not mind.
    pub(super) fn send(&mut self, answer: &Answer, without_body: bool) {
        let body: &[u8] = if without_body { &[] } else { &answer.body };
        let _ = self.writer.write_all(&[&head_of(answer), body].concat());
    }

    pub(super) fn send_half(&mut self, answer: &Answer) -> Result<(), Reset> {
        let half = &answer.body[..answer.body.len() / 2];
        let _ = self.writer.write_all(&[&head_of(answer), half].concat());
        // An orderly end, so that the half arrives.
        let _ = self.writer.shutdown(std::net::Shutdown::Both);
        Ok(())
    }
}

fn head_of(answer: &Answer) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Status\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
    answer.headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str("\r\n");
    head.into_bytes()
}

/// Puts chunks together. Those of HTTP and those of `aws-chunked` look alike, signatures and trailers aside.
fn unchunked(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let head = line(from)?;
        let length = usize::from_str_radix(head.split(';').next()?, 16).ok()?;
        if length == 0 {
            break;
        }
        from.take(length as u64).read_to_end(&mut whole).ok()?;
        line(from)?;
    }
    // Trailers; the blank line behind them may be missing at the end of what is wrapped twice.
    while line(from).is_some_and(|trailer| !trailer.is_empty()) {}
    Some(whole)
}

/// A line without its end; nothing at the end of the stream.
fn line(from: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    Some(line.trim_end().to_owned())
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &behind[2..]).1,
            None => (bytes.push(*first), rest = behind).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn chunks_with_signatures_and_trailers_are_put_together() {
    let wrapped = b"3;chunk-signature=0\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
    assert_eq!(unchunked(&mut wrapped.as_slice()).unwrap(), b"abcde");
    assert_eq!(decoded("a%2Fb%zz"), "a/b%zz");
}
