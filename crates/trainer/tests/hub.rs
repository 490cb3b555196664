//! Downloads from a hub on the loopback address: cached, resumed, checked, refused.

use std::path::Path;

use sha2::{Digest, Sha256};
use support::server::{Behaviour, Server};
use trainer::Error;
use trainer::pretrained::{Hub, HubConfig};

const FILE: &str = "open_clip_model.safetensors";
const PATH: &str = "/org/name/resolve/main/open_clip_model.safetensors";

fn body() -> Vec<u8> {
    (0..50_000u32).flat_map(u32::to_le_bytes).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hub's answer about a file: its bytes, and the headers that come before them.
fn announced(etag: &str) -> Behaviour {
    let headers = vec![("ETag", format!("\"{etag}\"")), ("X-Repo-Commit", "c0ffee".to_owned())];
    Behaviour::OkWith(body(), headers)
}

fn hub(endpoint: String, cache: &Path, offline: bool) -> Hub {
    let config = HubConfig { endpoint, cache: cache.to_owned(), offline, token: None };
    Hub::new(config, |progress| assert!(progress.received > 0))
}

#[test]
fn file_is_fetched_once_and_then_taken_from_the_cache() {
    let (server, cache) = (Server::start([(PATH, announced(&sha256(&body())))]), tempfile::tempdir().unwrap());
    let path = hub(server.url(""), cache.path(), false).file("org/name", FILE).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), body());
    assert!(path.ends_with(format!("models--org--name/snapshots/c0ffee/{FILE}")), "{}", path.display());
    let asked = server.hits(PATH);
    assert_eq!(hub(server.url(""), cache.path(), true).file("org/name", FILE).unwrap(), path);
    assert_eq!(hub(server.url(""), cache.path(), false).first_of("org/name", &["other", FILE]).unwrap(), path);
    assert_eq!(server.hits(PATH), asked);
}

#[test]
fn download_that_was_cut_off_goes_on_where_it_ended() {
    let etag = sha256(&body());
    let broken = Behaviour::Then(1, Box::new(Behaviour::HalfBody(body())), Box::new(Behaviour::Ranges(body())));
    let route = Behaviour::Then(1, Box::new(announced(&etag)), Box::new(broken));
    let (server, cache) = (Server::start([(PATH, route)]), tempfile::tempdir().unwrap());
    let path = hub(server.url(""), cache.path(), false).file("org/name", FILE).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), body());
    let ranged = server.requests().into_iter().filter(|request| request.headers.contains_key("range")).count();
    assert_eq!(ranged, 1);
}

#[test]
fn bytes_of_an_earlier_process_are_not_asked_for_again() {
    let etag = sha256(&body());
    let route = Behaviour::Then(1, Box::new(announced(&etag)), Box::new(Behaviour::Ranges(body())));
    let (server, cache) = (Server::start([(PATH, route)]), tempfile::tempdir().unwrap());
    let blobs = cache.path().join("models--org--name/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{etag}.incomplete")), &body()[..70_000]).unwrap();
    let path = hub(server.url(""), cache.path(), false).file("org/name", FILE).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), body());
    let last = server.requests().pop().unwrap();
    assert_eq!(last.headers.get("range").map(String::as_str), Some("bytes=70000-"));
}

#[test]
fn damaged_download_is_refused_and_leaves_nothing_behind() {
    let (server, cache) = (Server::start([(PATH, announced(&sha256(b"other")))]), tempfile::tempdir().unwrap());
    let error = hub(server.url(""), cache.path(), false).file("org/name", FILE).unwrap_err().to_string();
    assert!(error.contains("its SHA-256 is") && error.contains(FILE), "{error}");
    assert_eq!(std::fs::read_dir(cache.path().join("models--org--name/blobs")).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_had_is_named() {
    let (server, cache) =
        (Server::start([("/org/private/resolve/main/x", Behaviour::Status(401))]), tempfile::tempdir().unwrap());
    let online = hub(server.url(""), cache.path(), false);
    assert!(matches!(online.file("org/name", FILE), Err(Error::NoSuchFile { .. })));
    assert!(matches!(online.first_of("org/name", &["a", "b"]), Err(Error::NoSuchFile { file, .. }) if file == "a"));
    let told = online.file("org/private", "x").unwrap_err().to_string();
    assert!(told.contains("HF_TOKEN"), "{told}");
    let told = hub(server.url(""), cache.path(), true).file("org/name", FILE).unwrap_err().to_string();
    assert!(told.contains("and offline"), "{told}");
    assert!(online.file("org/name", "../../x").is_err());
}
