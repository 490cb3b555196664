//! Names, asked for at a name server of the test's own.

use std::str::FromStr;

use support::{NameServer, Naming};

use super::*;
use crate::fetch::address_guard::ForbiddenHost;

const PUBLIC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(8, 8, 8, 8));
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn asking(server: &NameServer) -> Names {
    Names::new(&Dns::Servers(vec![server.address()]), AddressGuard::PublicOnly)
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
    let server = NameServer::start([("flips.example", Naming::Turns(vec![PUBLIC, HOME]))]);
    let mut names = asking(&server);
    Arc::get_mut(&mut names.0).unwrap().answers = None;
    assert_eq!(resolved(&names, "flips.example").await, Ok(vec![PUBLIC]));
    assert_eq!(resolved(&names, "flips.example").await, Err("forbidden: 127.0.0.1".into()));
}

#[tokio::test]
async fn an_answer_that_is_good_for_no_time_is_kept_for_a_moment_and_vetted_each_time() {
    let server = NameServer::start([("flips.example", Naming::Turns(vec![HOME, PUBLIC]))]);
    let names = asking(&server);
    for _ in 0..3 {
        assert_eq!(resolved(&names, "flips.example").await, Err("forbidden: 127.0.0.1".into()));
    }
    assert_eq!(server.asked(), ["flips.example"]);
}

#[tokio::test]
async fn private_addresses_among_public_ones_are_left_out() {
    let mixed = Naming::Addresses { addresses: vec![HOME, PUBLIC, [169, 254, 169, 254].into()], ttl: 60 };
    let server = NameServer::start([("mixed.example", mixed)]);
    assert_eq!(resolved(&asking(&server), "mixed.example").await, Ok(vec![PUBLIC]));
}

#[tokio::test]
async fn names_that_spell_a_private_address_are_refused_in_either_version() {
    let at = |address: &str| Naming::Addresses { addresses: vec![address.parse().unwrap()], ttl: 60 };
    let cases = [
        ("127.0.0.1.nip.example", "127.0.0.1"),
        ("10-0-0-1.sslip.example", "10.0.0.1"),
        ("metadata.example", "169.254.169.254"),
        ("a.very.deep.name.example", "192.168.0.1"),
        ("six.example", "::1"),
        ("mapped.example", "::ffff:127.0.0.1"),
        ("translated.example", "64:ff9b::a9fe:a9fe"),
        ("under_score.example", "fd00:ec2::254"),
    ];
    let server = NameServer::start(cases.map(|(host, address)| (host, at(address))));
    let names = asking(&server);
    for (host, address) in cases {
        assert_eq!(resolved(&names, host).await, Err(format!("forbidden: {address}")), "{host}");
    }
    assert_eq!(resolved(&names, "metadata.example.").await, Err("forbidden: 169.254.169.254".into()));
}

#[tokio::test]
async fn why_there_is_no_address_is_told() {
    let server = NameServer::start([
        ("failing.example", Naming::Fails(2)),
        ("refused.example", Naming::Fails(5)),
        ("empty.example", Naming::Addresses { addresses: Vec::new(), ttl: 60 }),
    ]);
    let names = asking(&server);
    for (host, reason) in [
        ("nowhere.example", "there is no such name"),
        ("empty.example", "the name has no address"),
        ("failing.example", "the name server says Server Failure"),
        ("refused.example", "the name server says Query Refused"),
    ] {
        let expected = Err(format!("host `{host}` has no address: {reason}"));
        assert_eq!(resolved(&names, host).await, expected);
    }
}

#[tokio::test]
async fn names_of_the_open_web_are_not_tried_with_search_domains() {
    let server = NameServer::start([]);
    assert!(resolved(&asking(&server), "nowhere.example").await.is_err());
    assert!(server.asked().iter().all(|name| name == "nowhere.example"), "{:?}", server.asked());
}

#[tokio::test]
async fn names_of_this_machine_are_known_without_asking() {
    let server = NameServer::start([]);
    for dns in [Dns::Cached, Dns::System, Dns::Servers(vec![server.address()])] {
        let names = Names::new(&dns, AddressGuard::AllowPrivate);
        for host in ["localhost", "localhost.", "a.localhost"] {
            assert!(resolved(&names, host).await.unwrap().iter().all(IpAddr::is_loopback), "{host}");
        }
    }
    assert!(server.asked().is_empty());
}
