//! A name server over UDP on the loopback address, which says of each name what it was told to.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What is said of a name.
#[derive(Clone, Debug)]
pub enum Naming {
    /// Its addresses, for so many seconds.
    Addresses {
        /// Those of either version.
        addresses: Vec<IpAddr>,
        /// Time to live in seconds.
        ttl: u32,
    },
    /// Another address each time it is asked for, the last one for ever; each is good for no time at all.
    Turns(Vec<IpAddr>),
    /// The code of a failure: 2 the server failed, 3 there is no such name, 5 it refuses.
    Fails(u8),
    /// Nothing, ever.
    Silence,
}

/// Stops when dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    /// Dropped to stop.
    running: Option<Arc<()>>,
    thread: Option<JoinHandle<()>>,
}

const A: u16 = 1;
const AAAA: u16 = 28;
const NO_SUCH_NAME: u8 = 3;

/// The fixed part of a message.
const HEADER: usize = 12;

impl NameServer {
    /// Answers for `names`, in lower case and without a dot at the end; there are no others.
    pub fn start<'a>(names: impl IntoIterator<Item = (&'a str, Naming)>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on the loopback address");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a read timeout");
        let address = socket.local_addr().expect("an address");
        let names = names.into_iter().map(|(name, naming)| (name.to_owned(), naming)).collect();
        let (asked, running) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(()));
        let (listed, alive) = (Arc::clone(&asked), Arc::downgrade(&running));
        let thread = thread::spawn(move || {
            let mut names: HashMap<String, Naming> = names;
            let mut buffer = [0; 1500];
            while alive.strong_count() > 0 {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let Some((name, kind)) = question(&buffer[..length]) else { continue };
                listed.lock().expect("no thread panics").push(name.clone());
                if let Some(reply) = reply(&buffer[..length], kind, names.get_mut(&name)) {
                    let _gone = socket.send_to(&reply, from);
                }
            }
        });
        Self { address, asked, running: Some(running), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The names it was asked for, in order, once for each kind of address.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no thread panics").clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// The name in lower case and the kind of record that are asked for.
fn question(message: &[u8]) -> Option<(String, u16)> {
    let (mut labels, mut rest) = (Vec::new(), message.get(HEADER..)?);
    loop {
        let (length, after) = rest.split_first()?;
        if *length == 0 {
            let kind = u16::from_be_bytes(*after.first_chunk()?);
            return Some((labels.join("."), kind));
        }
        labels.push(String::from_utf8_lossy(after.get(..usize::from(*length))?).to_lowercase());
        rest = after.get(usize::from(*length)..)?;
    }
}

fn reply(question: &[u8], kind: u16, naming: Option<&mut Naming>) -> Option<Vec<u8>> {
    let (code, addresses, ttl) = match naming {
        Some(Naming::Silence) => return None,
        Some(Naming::Addresses { addresses, ttl }) => (0, addresses.clone(), *ttl),
        Some(Naming::Turns(addresses)) => (0, vec![turn(addresses, kind)], 0),
        Some(Naming::Fails(code)) => (*code, Vec::new(), 0),
        None => (NO_SUCH_NAME, Vec::new(), 0),
    };
    let records: Vec<_> = addresses.iter().filter_map(|address| record(*address, kind, ttl)).collect();
    let count = (records.len() as u16).to_be_bytes();
    let mut reply = question[..question_end(question)?].to_vec();
    // A response to a standard query, recursion available; one question, and nothing beside the answers.
    reply[2..HEADER].copy_from_slice(&[0x81, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
    reply.extend(records.into_iter().flatten());
    Some(reply)
}

/// The next address; of those of the other kind none is used up.
fn turn(addresses: &mut Vec<IpAddr>, kind: u16) -> IpAddr {
    let is_asked_for = record(addresses[0], kind, 0).is_some();
    if is_asked_for && addresses.len() > 1 { addresses.remove(0) } else { addresses[0] }
}

fn question_end(message: &[u8]) -> Option<usize> {
    let name = message.get(HEADER..)?.iter().position(|byte| *byte == 0)?;
    Some(HEADER + name + 1 + 4).filter(|end| *end <= message.len())
}

/// A record of the name in the question, where `address` is of the `kind` asked for.
fn record(address: IpAddr, kind: u16, ttl: u32) -> Option<Vec<u8>> {
    let octets = match (address, kind) {
        (IpAddr::V4(address), A) => address.octets().to_vec(),
        (IpAddr::V6(address), AAAA) => address.octets().to_vec(),
        _ => return None,
    };
    let mut record = vec![0xc0, HEADER as u8];
    record.extend(kind.to_be_bytes());
    record.extend(1u16.to_be_bytes());
    record.extend(ttl.to_be_bytes());
    record.extend((octets.len() as u16).to_be_bytes());
    record.extend(octets);
    Some(record)
}
