//! What a server says, byte by byte, where no library would say it.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// One step of an answer.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes.
    Send(Vec<u8>),
    /// These bytes, each after a pause.
    Drip(Vec<u8>, Duration),
    /// These bytes over and over, until the client leaves.
    ForEver(Vec<u8>),
    /// Nothing more, until the client or the server ends.
    Hold,
    /// The end of the connection.
    HangUp,
    /// The end of the connection as a machine that lost it tells it.
    Reset,
}

/// How a script leaves its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Open,
    Held,
    Closed,
    Reset,
}

impl Step {
    /// A whole answer of HTTP/1.1: `head` is the status line and headers, parted by `\n`, to which a length is added.
    pub fn answer(head: &str, body: &[u8]) -> Self {
        Self::Send([Self::head(&format!("{head}\ncontent-length: {}", body.len())), body.to_vec()].concat())
    }

    /// The bytes of a head.
    pub fn head(head: &str) -> Vec<u8> {
        format!("HTTP/1.1 {}\r\n\r\n", head.replace('\n', "\r\n")).into_bytes()
    }

    /// A chunk of a body of unknown length; an empty one ends it.
    pub fn chunk(bytes: &[u8]) -> Vec<u8> {
        [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
    }

    fn take(&self, stream: &mut TcpStream) -> std::io::Result<Left> {
        match self {
            Self::Send(bytes) => stream.write_all(bytes).map(|()| Left::Open),
            Self::Drip(bytes, pause) => {
                for byte in bytes {
                    std::thread::sleep(*pause);
                    stream.write_all(&[*byte])?;
                }
                Ok(Left::Open)
            }
            Self::ForEver(bytes) => loop {
                stream.write_all(bytes)?;
            },
            Self::Hold => Ok(Left::Held),
            Self::HangUp => Ok(Left::Closed),
            Self::Reset => Ok(Left::Reset),
        }
    }
}

/// Takes the steps until one of them leaves the connection.
pub(crate) fn run(steps: &[Step], stream: &mut TcpStream) -> std::io::Result<Left> {
    for step in steps {
        let left = step.take(stream)?;
        if left != Left::Open {
            return Ok(left);
        }
    }
    Ok(Left::Open)
}
