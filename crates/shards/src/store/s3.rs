//! Files behind `s3://`, by the SDK's own configuration: environment, profiles, roles.
//! `AWS_ENDPOINT_URL` leads to another server than Amazon's, which is then addressed with the
//! bucket in the path; `AWS_NO_SIGN_REQUEST` set to 1 or true sends no credentials.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::remote::patience::{self, Attempt};
use super::remote::{Body, Chunks, Refusal, Remote, block_on};
use crate::error::{Error, Result};

/// Used where the configuration names no region; other servers than Amazon's do not care.
const DEFAULT_REGION: &str = "us-east-1";

/// A server that begins no answer for so long has forgotten us.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// How the SDK says that it found no credentials.
const CREDENTIALS_MISSING: [&str; 2] =
    ["no providers in chain provided credentials", "the credential provider was not enabled"];

static CLIENT: OnceLock<Client> = OnceLock::new();

/// Asks for the object and reads it as it comes.
pub(super) fn open(bucket: &str, key: &str) -> Result<Box<dyn Read + Send>> {
    let object = ask(bucket, key, |client| client.get_object().bucket(bucket).key(key).send())?;
    let remote = object.e_tag.clone().map(|tag| Object { bucket: bucket.into(), key: key.into(), tag });
    Ok(Box::new(body_of(remote, object)))
}

/// A state of an object.
struct Object {
    bucket: String,
    key: String,
    tag: String,
}

impl Remote for Object {
    type Body = ByteStream;

    async fn rest(&self, offset: u64) -> std::result::Result<ByteStream, Refusal> {
        // Its first bytes came by this client.
        let client = CLIENT.get().ok_or_else(|| Refusal::Final("no client".into()))?;
        let request = client.get_object().bucket(&self.bucket).key(&self.key);
        match request.range(format!("bytes={offset}-")).if_match(&self.tag).send().await {
            Ok(object) => {
                let range = object.content_range.unwrap_or_default();
                let fits = range.starts_with(&format!("bytes {offset}-"));
                let reason = || format!("expected bytes from {offset} on, got `{range}`");
                if fits { Ok(object.body) } else { Err(Refusal::Final(reason())) }
            }
            Err(error) if status(&error) == Some(412) => Err(Refusal::Final("the object has changed".into())),
            Err(error) if is_transient(&error) => Err(Refusal::Passing(refusal(&error))),
            Err(error) => Err(Refusal::Final(refusal(&error))),
        }
    }
}

/// Runs a request to its end with the process's client, again and again where that may help: so it has to be one that
/// may be carried out twice. Failures name the object.
pub(super) fn ask<T, E, F>(bucket: &str, key: &str, request: impl Fn(&'static Client) -> F) -> Result<T>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    F: Future<Output = std::result::Result<T, SdkError<E>>>,
{
    asked(bucket, key, request)?.map_err(|error| failed(bucket, key, refusal(&error)))
}

/// The same, with the failure as the SDK has it.
pub(super) fn asked<T, E, F>(bucket: &str, key: &str, request: impl Fn(&'static Client) -> F) -> Result<Answer<T, E>>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    F: Future<Output = Answer<T, E>>,
{
    let attempt = || {
        Ok(match asked_once(bucket, key, &request)? {
            Err(error) if is_transient(&error) => Attempt::Passing(error, Duration::ZERO),
            answer => Attempt::Over(answer),
        })
    };
    let told = |error: &SdkError<E>| failed(bucket, key, refusal(error));
    Ok(patience::attempts(attempt, told, |error| failed(bucket, key, error.to_string()))?.unwrap_or_else(Err))
}

/// Without pauses, for tidying up: what the SDK tries by itself has to do.
pub(super) fn asked_once<T, E, F>(
    bucket: &str,
    key: &str,
    request: impl FnOnce(&'static Client) -> F,
) -> Result<Answer<T, E>>
where
    F: Future<Output = Answer<T, E>>,
{
    let answer = block_on(async {
        if CLIENT.get().is_none() {
            let client = client_of_environment().await;
            CLIENT.get_or_init(|| client);
        }
        match CLIENT.get() {
            Some(client) => patience::in_time(request(client)).await,
            None => None,
        }
    });
    let answer = answer.map_err(|error| failed(bucket, key, error.to_string()))?;
    answer.ok_or_else(|| failed(bucket, key, patience::TOO_LATE.into()))
}

/// What comes of a request.
type Answer<T, E> = std::result::Result<T, SdkError<E>>;

/// Whether another try may have another end.
fn is_transient<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        // The SDK gives a kind to what it cannot name only where it is transient; missing credentials have none.
        SdkError::DispatchFailure(failure) => failure.is_timeout() || failure.is_io() || failure.as_other().is_some(),
        SdkError::ServiceError(refusal) => {
            let status = refusal.raw().status().as_u16();
            let code = refusal.err().code().unwrap_or_default();
            // An error may come with status 200, once the server has begun to answer.
            matches!(status, 200 | 408 | 429 | 500..) || matches!(code, "RequestTimeout" | "SlowDown")
        }
        _ => false,
    }
}

pub(super) fn failed(bucket: &str, key: &str, reason: String) -> Error {
    Error::Source { uri: format!("s3://{bucket}/{key}"), reason }
}

/// A text that no other process has, and no other call of this one.
pub(super) fn token() -> String {
    // Seeded by the system.
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// A whole object; `None` where there is none.
pub(super) fn read(bucket: &str, key: &str) -> Result<Option<Vec<u8>>> {
    let attempt = || {
        Ok(match read_once(bucket, key)? {
            Ok(found) => Attempt::Over(found),
            Err(error) => Attempt::Passing(error, Duration::ZERO),
        })
    };
    patience::attempts(attempt, Error::to_string, |error| failed(bucket, key, error.to_string()))?
}

/// The inner error is a body that breaks off, for which no request is sent again by itself.
fn read_once(bucket: &str, key: &str) -> Result<Result<Option<Vec<u8>>>> {
    let object = match asked(bucket, key, |client| client.get_object().bucket(bucket).key(key).send())? {
        Err(error) if status(&error) == Some(404) => return Ok(Ok(None)),
        object => object.map_err(|error| failed(bucket, key, refusal(&error)))?,
    };
    let mut bytes = Vec::new();
    let whole = body_of(None, object).read_to_end(&mut bytes);
    Ok(whole.map(|_| Some(bytes)).map_err(|error| failed(bucket, key, error.to_string())))
}

/// An object's size; `None` where there is none.
pub(super) fn size(bucket: &str, key: &str) -> Result<Option<u64>> {
    let head = head(bucket, key)?;
    Ok(head.and_then(|head| head.content_length).and_then(|length| u64::try_from(length).ok()))
}

/// What is known of an object; `None` where there is none.
pub(super) fn head(bucket: &str, key: &str) -> Result<Option<HeadObjectOutput>> {
    match asked(bucket, key, |client| client.head_object().bucket(bucket).key(key).send())? {
        Err(error) if status(&error) == Some(404) => Ok(None),
        head => head.map(Some).map_err(|error| failed(bucket, key, refusal(&error))),
    }
}

/// What follows `prefix/` in the keys that have no further slash.
pub(super) fn names(bucket: &str, prefix: &str) -> Result<Vec<String>> {
    list(bucket, prefix, Some("/"))
}

/// What follows `prefix/` in all keys, or in those without `delimiter` behind it.
fn list(bucket: &str, prefix: &str, delimiter: Option<&str>) -> Result<Vec<String>> {
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let (mut names, mut token) = (Vec::new(), None);
    loop {
        let page = ask(bucket, &prefix, |client| {
            let list = client.list_objects_v2().bucket(bucket).prefix(&prefix);
            list.set_delimiter(delimiter.map(String::from)).set_continuation_token(token.clone()).send()
        })?;
        let keys = page.contents().iter().filter_map(|object| object.key());
        let rest = keys.filter_map(|key| key.strip_prefix(&prefix)).filter(|rest| !rest.is_empty());
        names.extend(rest.map(String::from));
        token = page.next_continuation_token;
        if token.is_none() {
            return Ok(names);
        }
    }
}

/// Deletes an object, and all whose keys go on behind a slash.
pub(super) fn delete_all(bucket: &str, key: &str) -> Result<()> {
    for name in list(bucket, key, None)? {
        delete(bucket, &format!("{key}/{name}"))?;
    }
    delete(bucket, key)
}

fn delete(bucket: &str, key: &str) -> Result<()> {
    ask(bucket, key, |client| client.delete_object().bucket(bucket).key(key).send()).map(drop)
}

/// Deletes an object that holds this text, unless somebody has replaced it.
pub(super) fn delete_own(bucket: &str, key: &str, text: &str) -> Result<()> {
    if !holds(bucket, key, text)? {
        return Ok(());
    }
    let deleted = asked_once(bucket, key, |client| client.delete_object().bucket(bucket).key(key).send())?;
    deleted.map(drop).map_err(|error| failed(bucket, key, refusal(&error)))
}

/// Puts an object of this text, which nobody else has, where there is none; whether it did.
pub(super) fn put_new(bucket: &str, key: &str, text: &str) -> Result<bool> {
    let put = |client: &'static Client| {
        let put = client.put_object().bucket(bucket).key(key).if_none_match("*");
        put.body(ByteStream::from(text.as_bytes().to_vec())).send()
    };
    took_effect(bucket, key, text, asked(bucket, key, put)?)
}

/// Puts such an object in the place of one that is older than `age`; whether it did.
pub(super) fn replace_older(bucket: &str, key: &str, text: &str, age: Duration) -> Result<bool> {
    // Given back meanwhile.
    let Some(head) = head(bucket, key)? else { return put_new(bucket, key, text) };
    let written = head.last_modified.map_or(u64::MAX, |time| u64::try_from(time.secs()).unwrap_or(0));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (Some(tag), true) = (head.e_tag, now.saturating_sub(written) > age.as_secs()) else { return Ok(false) };
    replace(bucket, key, text, &tag)
}

/// Puts such an object in the place of the one with this tag; whether it did.
fn replace(bucket: &str, key: &str, text: &str, tag: &str) -> Result<bool> {
    let put = |client: &'static Client| {
        let put = client.put_object().bucket(bucket).key(key).if_match(tag);
        put.body(ByteStream::from(text.as_bytes().to_vec())).send()
    };
    took_effect(bucket, key, text, asked(bucket, key, put)?)
}

/// Puts an object of this text anew, so that it is young again, unless somebody has replaced it; whether it did.
pub(super) fn renew(bucket: &str, key: &str, text: &str) -> Result<bool> {
    let Some(tag) = head(bucket, key)?.and_then(|head| head.e_tag) else { return put_new(bucket, key, text) };
    Ok(holds(bucket, key, text)? && replace(bucket, key, text, &tag)?)
}

/// 412 and 409 say that somebody was there first, 404 that what was to be replaced is gone. Where the answer to a first
/// try was lost, it was ourselves.
fn took_effect<T, E>(bucket: &str, key: &str, text: &str, put: Answer<T, E>) -> Result<bool>
where
    E: std::error::Error + 'static,
{
    match put {
        Ok(_) => Ok(true),
        Err(error) if matches!(status(&error), Some(404 | 409 | 412)) => holds(bucket, key, text),
        Err(error) => Err(failed(bucket, key, refusal(&error))),
    }
}

fn holds(bucket: &str, key: &str, text: &str) -> Result<bool> {
    Ok(read(bucket, key)?.is_some_and(|found| found == text.as_bytes()))
}

pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn body_of(remote: Option<Object>, object: GetObjectOutput) -> Body<Object> {
    let announced = object.content_length.and_then(|length| u64::try_from(length).ok());
    Body::new(remote, object.body, announced)
}

impl Chunks for ByteStream {
    async fn next_chunk(&mut self) -> std::result::Result<Option<Bytes>, String> {
        self.try_next().await.map_err(|e| reason(&e))
    }
}

async fn client_of_environment() -> Client {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    let unsigned = std::env::var("AWS_NO_SIGN_REQUEST");
    if unsigned.is_ok_and(|value| value == "1" || value.eq_ignore_ascii_case("true")) {
        loader = loader.no_credentials();
    }
    let config = loader.load().await;
    let has_endpoint = config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    let timeouts = TimeoutConfig::builder().read_timeout(READ_TIMEOUT).build();
    let mut builder = Builder::from(&config).force_path_style(has_endpoint).timeout_config(timeouts);
    if config.region().is_none() {
        builder = builder.region(Region::from_static(DEFAULT_REGION));
    }
    Client::from_conf(builder.build())
}

/// What a server answered, by its status where its words say nothing, or what kept it from answering.
pub(super) fn refusal<E: std::error::Error + 'static>(error: &SdkError<E>) -> String {
    let text = reason(error);
    match status(error) {
        Some(status @ 400..) => format!("status {status}: {text}"),
        _ => text,
    }
}

/// The SDK's errors say little themselves; what they wrap says more.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    // The SDK then lists every place where it looked.
    if CREDENTIALS_MISSING.iter().any(|missing| text.contains(missing)) {
        return "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or AWS_NO_SIGN_REQUEST=1 \
                for what is open to all"
            .to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Without credentials, of a server of the tests.
    fn client_of(endpoint: &str) -> Client {
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::from_static(DEFAULT_REGION))
            .force_path_style(true)
            .allow_no_auth()
            .build();
        Client::from_conf(config)
    }

    #[test]
    fn an_object_of_another_server_is_read_by_its_path() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(std::io::Result::ok);
            let request = lines.next().unwrap_or_default();
            let _ = lines.find(String::is_empty);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nshard").unwrap();
            request
        });
        let mut text = String::new();
        let client = client_of(&endpoint);
        let object = block_on(client.get_object().bucket("bucket").key("d/0.tar").send()).unwrap().unwrap();
        body_of(None, object).read_to_string(&mut text).unwrap();
        assert_eq!(text, "shard");
        assert!(server.join().unwrap().starts_with("GET /bucket/d/0.tar"));
    }

    #[test]
    fn a_claim_is_renewed_as_long_as_it_is_ones_own() {
        let server = support::S3::start();
        let endpoint = server.environment()[0].1.clone();
        CLIENT.set(client_of(&endpoint)).unwrap();
        let object = || server.objects("").remove("a.claim");
        assert!(put_new("bucket", "a.claim", "mine").unwrap() && !put_new("bucket", "a.claim", "yours").unwrap());
        server.put("a.claim", b"mine", SystemTime::now() - Duration::from_secs(900));
        assert!(renew("bucket", "a.claim", "mine").unwrap());
        let stale = Duration::from_secs(600);
        assert!(!replace_older("bucket", "a.claim", "yours", stale).unwrap(), "it is young again");
        server.put("a.claim", b"yours", SystemTime::now());
        assert!(!renew("bucket", "a.claim", "mine").unwrap());
        assert_eq!(object().as_deref(), Some(&b"yours"[..]));
        delete("bucket", "a.claim").unwrap();
        assert!(renew("bucket", "a.claim", "mine").unwrap());
        assert_eq!(object().as_deref(), Some(&b"mine"[..]));
    }
}
