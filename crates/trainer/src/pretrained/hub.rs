//! Files of the Hugging Face hub: looked up in the cache, else fetched, resumed where an earlier try was cut off, and checked
//! against the checksum that the hub announces.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, LOCATION, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use super::cache::{Repository, is_plain};
use crate::error::{Error, Result};

/// Tries of a request that fails in passing, the first included.
const TRIES: u32 = 5;
/// Pause before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// A server that sends nothing for so long has forgotten us.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the hub is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// Address of the hub or of a mirror.
    pub endpoint: String,
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Take what the cache has, and ask for nothing.
    pub offline: bool,
    /// Token of an account, sent to the endpoint alone.
    pub token: Option<String>,
}

/// How far a download is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The file within its repository.
    pub file: String,
    /// Bytes that are here.
    pub received: u64,
    /// Bytes of the whole file, where the server said so.
    pub total: Option<u64>,
}

/// The hub with its cache.
pub struct Hub {
    config: HubConfig,
    listener: RefCell<Box<dyn FnMut(Progress)>>,
}

/// What the hub says of a file before its bytes.
struct Announced {
    commit: String,
    etag: String,
    url: Url,
}

impl Hub {
    /// A hub whose downloads `listener` hears of.
    pub fn new(config: HubConfig, listener: impl FnMut(Progress) + 'static) -> Self {
        Self { config, listener: RefCell::new(Box::new(listener)) }
    }

    /// A file of a repository.
    ///
    /// # Errors
    /// [`Error::NoSuchFile`] where the repository has none of that name; [`Error::Download`] when it cannot be had.
    pub fn file(&self, repository: &str, file: &str) -> Result<PathBuf> {
        let place = Repository::new(&self.config.cache, repository)?;
        if !is_plain(file) {
            return Err(Error::NoSuchFile { repository: repository.to_owned(), file: file.to_owned() });
        }
        match place.find(file) {
            Some(path) => Ok(path),
            None if self.config.offline => {
                let reason = format!("not in the cache `{}`, and offline", self.config.cache.display());
                Err(Error::Download { repository: repository.to_owned(), file: file.to_owned(), reason })
            }
            None => self.fetch(repository, &place, file),
        }
    }

    /// The first of some files that the repository has.
    ///
    /// # Errors
    /// As [`Hub::file`].
    pub fn first_of(&self, repository: &str, files: &[&str]) -> Result<PathBuf> {
        let place = Repository::new(&self.config.cache, repository)?;
        if let Some(path) = files.iter().find_map(|file| place.find(file)) {
            return Ok(path);
        }
        let mut first = None;
        for file in files {
            match self.file(repository, file) {
                Err(error @ Error::NoSuchFile { .. }) => first = first.or(Some(error)),
                other => return other,
            }
        }
        Err(first.unwrap_or_else(|| Error::NoSuchFile { repository: repository.to_owned(), file: String::new() }))
    }

    fn fetch(&self, repository: &str, place: &Repository, file: &str) -> Result<PathBuf> {
        let failed =
            |reason: String| Error::Download { repository: repository.to_owned(), file: file.to_owned(), reason };
        let runtime = runtime().map_err(|error| failed(error.to_string()))?;
        let announced = runtime.block_on(self.announced(repository, file)).map_err(failed)?;
        let Some(announced) = announced else {
            return Err(Error::NoSuchFile { repository: repository.to_owned(), file: file.to_owned() });
        };
        let (blob, growing) = place.blob(&announced.etag)?;
        if !blob.is_file() {
            runtime.block_on(self.grow(&announced, &growing, file)).map_err(failed)?;
            check(&growing, &announced.etag).inspect_err(|_| drop(std::fs::remove_file(&growing))).map_err(failed)?;
            std::fs::rename(&growing, &blob).map_err(Error::io("rename", &growing))?;
        }
        place.publish(&blob, &announced.commit, file)
    }

    /// Asks the hub for a file without following it to its store; `None` where there is no such file.
    async fn announced(&self, repository: &str, file: &str) -> Out<Option<Announced>> {
        let endpoint = self.config.endpoint.trim_end_matches('/');
        let url = Url::parse(&format!("{endpoint}/{repository}/resolve/main/{file}")).map_err(|e| e.to_string())?;
        let client = client(Policy::none())?;
        let response = again(async || {
            let request = client.get(url.clone());
            let request = match &self.config.token {
                Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
                None => request,
            };
            request.send().await
        })
        .await?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() && !status.is_redirection() {
            return Err(refusal(status, &url));
        }
        let headers = response.headers();
        let header = |names: &[&str]| names.iter().find_map(|name| text(headers, name));
        let etag = header(&["x-linked-etag", ETAG.as_str()]).ok_or_else(|| format!("`{url}` announces no ETag"))?;
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
        let commit = header(&["x-repo-commit"]).unwrap_or_else(|| "main".to_owned());
        if !is_plain(&etag) || !is_plain(&commit) {
            return Err(format!("`{url}` announces an ETag or commit that is no name"));
        }
        let url = match header(&[LOCATION.as_str()]).filter(|_| status.is_redirection()) {
            Some(location) => url.join(&location).map_err(|error| format!("`{location}`: {error}"))?,
            None => url,
        };
        Ok(Some(Announced { commit, etag, url }))
    }

    /// Appends to `growing` until it is whole.
    async fn grow(&self, announced: &Announced, growing: &Path, file: &str) -> Out<()> {
        let client = client(Policy::limited(5))?;
        let mut stalled = 0;
        loop {
            let before = length(growing);
            match self.append(&client, announced, growing, file).await {
                Ok(()) => return Ok(()),
                Err(Interrupted::For(reason)) => return Err(reason),
                Err(Interrupted::Passing(reason)) => {
                    stalled = if length(growing) > before { 1 } else { stalled + 1 };
                    if stalled >= TRIES {
                        return Err(reason);
                    }
                    tokio::time::sleep(PAUSE * 2u32.pow(stalled)).await;
                }
            }
        }
    }

    async fn append(
        &self,
        client: &Client,
        announced: &Announced,
        growing: &Path,
        file: &str,
    ) -> std::result::Result<(), Interrupted> {
        let here = length(growing);
        let request = client.get(announced.url.clone());
        // The token stays with the endpoint: a store has its own signature in the address.
        let own = self.config.token.as_ref().filter(|_| self.is_endpoint(&announced.url));
        let request = match own {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        let request = if here > 0 { request.header(RANGE, format!("bytes={here}-")) } else { request };
        let mut response = request.send().await.map_err(|error| Interrupted::Passing(cause(&error)))?;
        let status = response.status();
        let start = match status {
            StatusCode::PARTIAL_CONTENT => here,
            StatusCode::OK => 0,
            // What is here is the whole, or more: the checksum tells.
            StatusCode::RANGE_NOT_SATISFIABLE => return Ok(()),
            _ if is_passing(status) => return Err(Interrupted::Passing(refusal(status, &announced.url))),
            _ => return Err(Interrupted::For(refusal(status, &announced.url))),
        };
        let total = response.content_length().map(|rest| start + rest);
        let wrote = |error: std::io::Error| Interrupted::For(format!("cannot write `{}`: {error}", growing.display()));
        let mut to = open(growing, start).map_err(wrote)?;
        let mut received = start;
        while let Some(chunk) = next(&mut response).await.map_err(Interrupted::Passing)? {
            to.write_all(&chunk).map_err(wrote)?;
            received += chunk.len() as u64;
            (self.listener.borrow_mut())(Progress { file: file.to_owned(), received, total });
        }
        to.sync_all().map_err(wrote)?;
        match total {
            Some(total) if total != received => {
                Err(Interrupted::Passing(format!("the body ends early (expected {total} bytes, got {received})")))
            }
            _ => Ok(()),
        }
    }

    fn is_endpoint(&self, url: &Url) -> bool {
        Url::parse(&self.config.endpoint).is_ok_and(|endpoint| endpoint.origin() == url.origin())
    }
}

/// Errors as text; who calls adds repository and file.
type Out<T> = std::result::Result<T, String>;

enum Interrupted {
    /// Another try may go on.
    Passing(String),
    /// No other try would do better.
    For(String),
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn client(policy: Policy) -> Out<Client> {
    let builder = Client::builder().redirect(policy).connect_timeout(PATIENCE).read_timeout(PATIENCE);
    builder.build().map_err(|error| cause(&error))
}

/// Sends a request until it is answered with something that does not pass.
async fn again(send: impl AsyncFn() -> reqwest::Result<Response>) -> Out<Response> {
    let mut tried = 1;
    loop {
        let reason = match send().await {
            Ok(response) if !is_passing(response.status()) => return Ok(response),
            Ok(response) => format!("status {}", response.status()),
            Err(error) => cause(&error),
        };
        if tried == TRIES {
            return Err(format!("{reason}, {TRIES} times"));
        }
        tokio::time::sleep(PAUSE * 2u32.pow(tried)).await;
        tried += 1;
    }
}

async fn next(response: &mut Response) -> Out<Option<bytes::Bytes>> {
    response.chunk().await.map_err(|error| cause(&error))
}

fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

fn refusal(status: StatusCode, url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!(
                "{host} answers {status}: the repository may be private or ask for a licence; HF_TOKEN names an account"
            )
        }
        _ => format!("{host} answers {status}"),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The innermost cause, which says what happened.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(deeper) = inner.source() {
        inner = deeper;
    }
    inner.to_string()
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Opens for writing behind the first `start` bytes.
fn open(path: &Path, start: u64) -> std::io::Result<File> {
    if start == 0 { File::create(path) } else { OpenOptions::new().append(true).open(path) }
}

/// Compares a file with its ETag where that is a SHA-256, as it is for large files.
fn check(path: &Path, etag: &str) -> Out<()> {
    if etag.len() != 64 || !etag.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(());
    }
    let read = |error: std::io::Error| format!("cannot read `{}`: {error}", path.display());
    let mut file = File::open(path).map_err(read)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0u8; 1 << 20]);
    loop {
        let count = file.read(&mut buffer).map_err(read)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    let got: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if got.eq_ignore_ascii_case(etag) { Ok(()) } else { Err(format!("its SHA-256 is {got}, expected {etag}")) }
}
