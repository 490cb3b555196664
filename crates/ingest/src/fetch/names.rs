//! From a host's name to addresses that may be connected to. Answers are kept for a while, since a list of a million URLs
//! names some hosts a thousand times and a system's resolver breaks under that. Every answer is vetted each time, kept or
//! not; what is vetted is what is connected to.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::address_guard::{AddressGuard, UnknownHost};

/// How names become addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dns {
    /// By the system, its answers kept for a while.
    Cached,
    /// By the system, every time.
    System,
}

/// How long addresses are kept. The system does not say how long they are good; hosts that move keep their old address
/// for longer than that.
const KEPT: Duration = Duration::from_secs(120);

/// A host that is not there now may be there later in the same run.
const NOT_FOUND_KEPT: Duration = Duration::from_secs(10);

/// Names kept, a few hundred bytes each; beyond, those whose time has passed are forgotten, or else all.
const MAX_NAMES: usize = 16_384;

/// Names asked for at the same time, each of which takes a thread: more, and resolvers at home or on campus begin to drop
/// questions.
const LOOKUPS: usize = 64;

type Answer = Result<Vec<IpAddr>, String>;

/// Asks for the addresses of a name.
type LookUp = dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync;

/// Looks names up for the HTTP client.
#[derive(Clone)]
pub struct Names(Arc<Shared>);

struct Shared {
    guard: AddressGuard,
    dns: Dns,
    look_up: Box<LookUp>,
    places: Semaphore,
    kept: Mutex<HashMap<String, Arc<Kept>>>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("guard", &self.0.guard).field("dns", &self.0.dns).finish_non_exhaustive()
    }
}

/// An answer, or the question that is being asked, which all who ask the same wait for.
struct Kept {
    since: Instant,
    answer: OnceCell<Answer>,
}

impl Names {
    /// Names as `dns` says, their addresses vetted by `guard`.
    pub fn new(dns: Dns, guard: AddressGuard) -> Self {
        Self::with(dns, guard, Box::new(|host| Box::pin(system(host))))
    }

    fn with(dns: Dns, guard: AddressGuard, look_up: Box<LookUp>) -> Self {
        let (places, kept) = (Semaphore::new(LOOKUPS), Mutex::default());
        Self(Arc::new(Shared { guard, dns, look_up, places, kept }))
    }

    async fn found(&self, host: &str) -> Answer {
        match self.0.dns {
            Dns::System => self.0.ask(host).await,
            Dns::Cached => self.0.kept(host, Instant::now()).answer.get_or_init(|| self.0.ask(host)).await.clone(),
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let unknown = |reason| UnknownHost { host: host.into(), reason };
            let found = names.found(home_or_as_it_is(host)).await.map_err(unknown)?;
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(names.0.guard.vet(host, found)?.into_iter()) as Addrs)
        })
    }
}

impl Shared {
    async fn ask(&self, host: &str) -> Answer {
        let _place = self.places.acquire().await;
        match (self.look_up)(host.to_owned()).await {
            Ok(found) if found.is_empty() => Err("the answer is empty".into()),
            Ok(found) => Ok(found),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What is kept of `host` and still good at `now`, or a new place for it.
    fn kept(&self, host: &str, now: Instant) -> Arc<Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(host).filter(|known| known.is_good(now));
        if let Some(known) = known {
            return Arc::clone(known);
        }
        if kept.len() >= MAX_NAMES {
            kept.retain(|_, known| known.is_good(now));
        }
        if kept.len() >= MAX_NAMES {
            kept.clear();
        }
        let new = Arc::new(Kept { since: now, answer: OnceCell::new() });
        kept.insert(host.to_owned(), Arc::clone(&new));
        new
    }
}

impl Kept {
    fn is_good(&self, now: Instant) -> bool {
        let time = match self.answer.get() {
            Some(Err(_)) => NOT_FOUND_KEPT,
            Some(Ok(_)) | None => KEPT,
        };
        now.duration_since(self.since) < time
    }
}

/// `localhost` and what is below it is this machine (RFC 6761), with the dot of a full name too, which not every system
/// knows.
fn home_or_as_it_is(host: &str) -> &str {
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_home = name == "localhost" || name.ends_with(".localhost");
    if is_home { "localhost" } else { host }
}

async fn system(host: String) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;
    use crate::fetch::address_guard::ForbiddenHost;

    /// Names whose addresses are `answers`, one after another, the last one for ever.
    fn names(dns: Dns, answers: &[[u8; 4]]) -> Names {
        let left = Mutex::new(answers.iter().map(|octets| IpAddr::from(*octets)).collect::<Vec<_>>());
        let look_up = move |_: String| -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
            let mut left = left.lock().unwrap();
            let found = if left.len() > 1 { Some(left.remove(0)) } else { left.first().copied() };
            Box::pin(std::future::ready(Ok(found.into_iter().collect())))
        };
        Names::with(dns, AddressGuard::PublicOnly, Box::new(look_up))
    }

    async fn resolved(names: &Names, host: &str) -> Result<Vec<IpAddr>, String> {
        let found = names.resolve(Name::from_str(host).unwrap()).await;
        let found = found.map(|found| found.map(|address| address.ip()).collect());
        found.map_err(|error| match error.downcast::<ForbiddenHost>() {
            Ok(forbidden) => format!("forbidden: {}", forbidden.address),
            Err(error) => error.to_string(),
        })
    }

    #[tokio::test]
    async fn a_name_that_turns_to_this_machine_is_refused_the_second_time() {
        let names = names(Dns::System, &[[8, 8, 8, 8], [127, 0, 0, 1]]);
        assert_eq!(resolved(&names, "flips.example").await, Ok(vec![IpAddr::from([8, 8, 8, 8])]));
        assert_eq!(resolved(&names, "flips.example").await, Err("forbidden: 127.0.0.1".into()));
    }

    #[tokio::test]
    async fn an_answer_is_kept_for_a_while_and_the_next_one_vetted_like_the_first() {
        let names = names(Dns::Cached, &[[8, 8, 8, 8], [127, 0, 0, 1]]);
        for _ in 0..3 {
            assert_eq!(resolved(&names, "flips.example").await, Ok(vec![IpAddr::from([8, 8, 8, 8])]));
        }
        let later = names.0.kept("flips.example", Instant::now() + KEPT);
        assert!(later.answer.get().is_none());
        assert_eq!(resolved(&names, "flips.example").await, Err("forbidden: 127.0.0.1".into()));
    }

    #[tokio::test]
    async fn names_that_spell_a_private_address_are_refused() {
        for (host, address) in [
            ("127.0.0.1.nip.example", [127, 0, 0, 1]),
            ("10-0-0-1.sslip.example", [10, 0, 0, 1]),
            ("metadata.example.", [169, 254, 169, 254]),
            ("a.very.deep.name.example", [192, 168, 0, 1]),
        ] {
            let expected = Err(format!("forbidden: {}", IpAddr::from(address)));
            assert_eq!(resolved(&names(Dns::Cached, &[address]), host).await, expected, "{host}");
        }
    }

    #[tokio::test]
    async fn a_name_without_address_is_told_and_asked_for_again_soon() {
        let names = names(Dns::Cached, &[]);
        let error = resolved(&names, "nowhere.example").await.unwrap_err();
        assert_eq!(error, "host `nowhere.example` has no address: the answer is empty");
        let now = Instant::now();
        assert!(names.0.kept("nowhere.example", now).answer.get().is_some());
        assert!(names.0.kept("nowhere.example", now + NOT_FOUND_KEPT).answer.get().is_none());
    }

    #[tokio::test]
    async fn names_of_this_machine_are_known_to_the_system() {
        for dns in [Dns::Cached, Dns::System] {
            let names = Names::new(dns, AddressGuard::AllowPrivate);
            for host in ["localhost", "localhost.", "a.localhost"] {
                assert!(resolved(&names, host).await.unwrap().iter().all(IpAddr::is_loopback), "{host}");
            }
        }
    }

    #[test]
    fn names_are_forgotten_before_there_are_too_many() {
        let (names, now) = (names(Dns::Cached, &[]), Instant::now());
        for i in 0..=MAX_NAMES {
            names.0.kept(&i.to_string(), now);
        }
        assert_eq!(names.0.kept.lock().unwrap().len(), 1);
    }
}
