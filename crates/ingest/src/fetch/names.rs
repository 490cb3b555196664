//! From a host's name to addresses that may be connected to. Answers are kept for as long as they say, since a list of a
//! million URLs names some hosts a thousand times and resolvers at home or on campus break under that. Every answer is
//! vetted each time, kept or not; what is vetted is what is connected to.

mod kept;
mod lookup;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::Instant;

use self::kept::{Answers, Unknown};
use self::lookup::{Found, Lookup};
use super::address_guard::{AddressGuard, UnknownHost};

/// How names become addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dns {
    /// By the name servers that the system is configured with, asked directly, and by the system where that does not work.
    Cached,
    /// By the system, every time.
    System,
    /// By these name servers.
    Servers(Vec<SocketAddr>),
}

/// Looks names up for the HTTP client.
#[derive(Clone)]
pub struct Names(Arc<Shared>);

struct Shared {
    guard: AddressGuard,
    lookup: Lookup,
    /// `None`: every name is asked for each time.
    answers: Option<Answers>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("guard", &self.0.guard).finish_non_exhaustive()
    }
}

impl Names {
    /// Names as `dns` says, their addresses vetted by `guard`.
    pub fn new(dns: &Dns, guard: AddressGuard) -> Self {
        let answers = (*dns != Dns::System).then(Answers::default);
        Self(Arc::new(Shared { guard, lookup: Lookup::new(dns, guard), answers }))
    }

    async fn found(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let answer = match &self.0.answers {
            None => self.0.lookup.ask(host).await,
            Some(answers) => answers.of(host, Instant::now()).get_or_ask(|| self.0.lookup.ask(host)).await,
        };
        match answer {
            Ok(Found { addresses, .. }) if addresses.is_empty() => Err("the answer is empty".into()),
            Ok(found) => Ok(found.addresses),
            Err(Unknown { reason, .. }) => Err(reason),
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found = names.found(host).await.map_err(|reason| UnknownHost { host: host.into(), reason })?;
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(names.0.guard.vet(host, found)?.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
