//! Asking for the addresses of a name: by name servers directly, which gives how long an answer is good and takes no
//! thread, or by the system.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup_ip::LookupIp;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use tokio::sync::Semaphore;

use super::Dns;
use super::kept::{Answer, Unknown};
use crate::fetch::address_guard::AddressGuard;

/// The system does not say how long addresses are good; hosts that move keep their old address for longer than this.
const SYSTEM_GOOD_FOR: Duration = Duration::from_secs(120);

/// Bounds of how long an answer is good: hosts that balance loads say zero, and nothing moves within this.
const GOOD_FOR: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3600));

/// A host that is not there now may be there later in the same run; a name server that says how long it will not be is
/// believed up to the larger one.
const UNKNOWN_FOR: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// Questions at the same time: more, and resolvers at home or on campus begin to drop them. Those to the system take a
/// thread each.
const QUESTIONS: usize = 256;
const SYSTEM_QUESTIONS: usize = 64;

/// A question or an answer may be lost on the way, so that it is asked again within the time for a connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const REPEATS: usize = 1;

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) good_for: Duration,
}

/// Where names are asked for.
pub(super) struct Lookup {
    /// `None`: only by the system.
    servers: Option<Servers>,
    system_places: Semaphore,
}

struct Servers {
    resolver: TokioResolver,
    places: Semaphore,
    fall_back: FallBack,
    /// Whether one of them ever answered, if only that there is no such name.
    answered: AtomicBool,
    guard: AddressGuard,
}

/// Whether the system is asked where the servers do not answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FallBack {
    System,
    Nothing,
}

impl Lookup {
    pub(super) fn new(dns: &Dns, guard: AddressGuard) -> Self {
        let servers = match dns {
            Dns::System => None,
            Dns::Cached => configured(guard),
            Dns::Servers(addresses) => given(addresses, guard),
        };
        Self { servers, system_places: Semaphore::new(SYSTEM_QUESTIONS) }
    }

    /// Asks for `host`.
    pub(super) async fn ask(&self, host: &str) -> Answer {
        if is_home(host) {
            return self.system("localhost").await;
        }
        let Some(servers) = self.servers.as_ref().filter(|servers| servers.are_asked_for(host)) else {
            return self.system(host).await;
        };
        let _place = servers.places.acquire().await;
        match servers.ask(host).await {
            Ok(found) => Ok(servers.found(&found)),
            Err(error) if servers.are_silent(&error) => self.system(host).await,
            Err(error) => Err(unknown(&error)),
        }
    }

    async fn system(&self, host: &str) -> Answer {
        let _place = self.system_places.acquire().await;
        let found: io::Result<Vec<_>> =
            tokio::net::lookup_host((host, 0)).await.map(|found| found.map(|address| address.ip()).collect());
        match found {
            Ok(addresses) => Ok(Found { addresses, good_for: SYSTEM_GOOD_FOR }),
            Err(error) => Err(Unknown { reason: error.to_string(), good_for: UNKNOWN_FOR.0 }),
        }
    }
}

/// The system's name servers; `None` where none can be made out.
fn configured(guard: AddressGuard) -> Option<Servers> {
    let built = TokioResolver::builder_tokio().and_then(|builder| Servers::new(builder, guard, FallBack::System));
    built.inspect_err(|error| tracing::debug!("names are left to the system: {error}")).ok()
}

fn given(addresses: &[SocketAddr], guard: AddressGuard) -> Option<Servers> {
    let servers = addresses.iter().map(|address| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = address.port();
            connection
        });
        NameServerConfig::new(address.ip(), true, connections.to_vec())
    });
    let config = ResolverConfig::from_name_servers(servers.collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().use_hosts_file = ResolveHosts::Never;
    let built = Servers::new(builder, guard, FallBack::Nothing);
    built.inspect_err(|error| tracing::warn!("names are left to the system: {error}")).ok()
}

impl Servers {
    fn new(
        mut builder: ResolverBuilder<TokioRuntimeProvider>,
        guard: AddressGuard,
        fall_back: FallBack,
    ) -> Result<Self, NetError> {
        set(builder.options_mut());
        let resolver = builder.build()?;
        let places = Semaphore::new(QUESTIONS);
        Ok(Self { resolver, places, fall_back, answered: AtomicBool::new(false), guard })
    }

    /// Names without a dot are the system's, where it is there.
    fn are_asked_for(&self, host: &str) -> bool {
        self.fall_back == FallBack::Nothing || host.contains('.')
    }

    async fn ask(&self, host: &str) -> Result<LookupIp, NetError> {
        let name = self.name(host).map_err(NetError::from)?;
        let answer = self.resolver.lookup_ip(name).await;
        if matches!(answer, Ok(_) | Err(NetError::Dns(_))) {
            self.answered.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// URLs of the open web name hosts in full: trying each with the search domains as well, as systems do, multiplies
    /// the questions for hosts that are gone. Private networks have names that need them.
    fn name(&self, host: &str) -> Result<Name, ProtoError> {
        let mut name = Name::from_ascii(host)?;
        if self.guard == AddressGuard::PublicOnly {
            name.set_fqdn(true);
        }
        Ok(name)
    }

    fn found(&self, found: &LookupIp) -> Found {
        let left = found.valid_until().saturating_duration_since(Instant::now());
        Found { addresses: found.iter().collect(), good_for: left.clamp(GOOD_FOR.0, GOOD_FOR.1) }
    }

    /// Whether no server has said anything yet, so that the fault may lie in reaching them.
    fn are_silent(&self, error: &NetError) -> bool {
        let is_answer = matches!(error, NetError::Dns(_) | NetError::Proto(_));
        self.fall_back == FallBack::System && !is_answer && !self.answered.load(Ordering::Relaxed)
    }
}

fn set(options: &mut ResolverOpts) {
    // Answers are kept here, with the questions under way.
    options.cache_size = 0;
    options.ip_strategy = if has_ipv4() { LookupIpStrategy::Ipv4thenIpv6 } else { LookupIpStrategy::Ipv6thenIpv4 };
    options.ndots = 1;
    options.timeout = ANSWER_TIMEOUT;
    options.attempts = REPEATS;
    options.num_concurrent_reqs = 1;
    options.max_active_requests = QUESTIONS;
    options.preserve_intermediates = false;
}

/// Whether there is a way to addresses of version 4. Nothing is sent.
fn has_ipv4() -> bool {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    socket.is_ok_and(|socket| socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).is_ok())
}

fn unknown(error: &NetError) -> Unknown {
    let said = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.negative_ttl,
        _ => None,
    };
    let good_for = said.map_or(UNKNOWN_FOR.0, |seconds| Duration::from_secs(seconds.into()));
    let reason = match error {
        _ if error.is_nx_domain() => "there is no such name".into(),
        NetError::Dns(DnsError::NoRecordsFound(_)) => "the name has no address".into(),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the name server says {code}"),
        NetError::Timeout => "the name server does not answer".into(),
        error => error.to_string(),
    };
    Unknown { reason, good_for: good_for.clamp(UNKNOWN_FOR.0, UNKNOWN_FOR.1) }
}

/// `localhost` and what is below it is this machine (RFC 6761), with the dot of a full name too, which not every system
/// knows.
fn is_home(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    name == "localhost" || name.ends_with(".localhost")
}
