//! Files behind `s3://`, by the SDK's own configuration: environment, profiles, roles.
//! `AWS_ENDPOINT_URL` leads to another server than Amazon's, which is then addressed with the
//! bucket in the path; `AWS_NO_SIGN_REQUEST` set to 1 or true sends no credentials.

use std::future::Future;
use std::io::Read;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::remote::{Body, Chunks, runtime};
use crate::error::{Error, Result};

/// Used where the configuration names no region; other servers than Amazon's do not care.
const DEFAULT_REGION: &str = "us-east-1";

/// Asks for the object and reads it as it comes.
pub(super) fn open(bucket: &str, key: &str) -> Result<Box<dyn Read + Send>> {
    let failed = |reason: String| failed(bucket, key, reason);
    let runtime = runtime().map_err(|e| failed(e.to_string()))?;
    let client = CLIENT.get_or_init(|| runtime.block_on(client_of_environment()));
    get(client, bucket, key).map_err(failed)
}

static CLIENT: OnceLock<Client> = OnceLock::new();

/// Runs one request to its end, with the process's client. Failures name the object.
pub(super) fn ask<T, E, F>(bucket: &str, key: &str, request: impl FnOnce(&'static Client) -> F) -> Result<T>
where
    E: std::error::Error + 'static,
    F: Future<Output = std::result::Result<T, E>>,
{
    asked(bucket, key, request)?.map_err(|error| failed(bucket, key, reason(&error)))
}

/// The same, with the failure as the SDK has it.
fn asked<T, E, F>(
    bucket: &str,
    key: &str,
    request: impl FnOnce(&'static Client) -> F,
) -> Result<std::result::Result<T, E>>
where
    F: Future<Output = std::result::Result<T, E>>,
{
    let runtime = runtime().map_err(|error| failed(bucket, key, error.to_string()))?;
    let client = CLIENT.get_or_init(|| runtime.block_on(client_of_environment()));
    Ok(runtime.block_on(request(client)))
}

pub(super) fn failed(bucket: &str, key: &str, reason: String) -> Error {
    Error::Source { uri: format!("s3://{bucket}/{key}"), reason }
}

/// A whole object; `None` where there is none.
pub(super) fn read(bucket: &str, key: &str) -> Result<Option<Vec<u8>>> {
    let object = asked(bucket, key, |client| client.get_object().bucket(bucket).key(key).send())?;
    let object = match object {
        Err(error) if status(&error) == Some(404) => return Ok(None),
        object => object.map_err(|error| failed(bucket, key, reason(&error)))?,
    };
    let bytes = ask(bucket, key, |_| object.body.collect())?;
    Ok(Some(bytes.to_vec()))
}

/// An object's size; `None` where there is none.
pub(super) fn size(bucket: &str, key: &str) -> Result<Option<u64>> {
    match asked(bucket, key, |client| client.head_object().bucket(bucket).key(key).send())? {
        Err(error) if status(&error) == Some(404) => Ok(None),
        head => {
            let head = head.map_err(|error| failed(bucket, key, reason(&error)))?;
            Ok(head.content_length.and_then(|length| u64::try_from(length).ok()))
        }
    }
}

/// What follows `prefix/` in the keys that have no further slash.
pub(super) fn names(bucket: &str, prefix: &str) -> Result<Vec<String>> {
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let (mut names, mut token) = (Vec::new(), None);
    loop {
        let page = ask(bucket, &prefix, |client| {
            let list = client.list_objects_v2().bucket(bucket).prefix(&prefix).delimiter("/");
            list.set_continuation_token(token.take()).send()
        })?;
        let keys = page.contents().iter().filter_map(|object| object.key());
        names.extend(keys.filter_map(|key| key.strip_prefix(&prefix)).map(String::from));
        token = page.next_continuation_token;
        if token.is_none() {
            return Ok(names);
        }
    }
}

pub(super) fn delete(bucket: &str, key: &str) -> Result<()> {
    ask(bucket, key, |client| client.delete_object().bucket(bucket).key(key).send()).map(drop)
}

/// Puts an empty object unless there is one; whether it did.
pub(super) fn put_new(bucket: &str, key: &str) -> Result<bool> {
    let put = asked(bucket, key, |client| client.put_object().bucket(bucket).key(key).if_none_match("*").send())?;
    took_effect(bucket, key, put)
}

/// Puts an empty object in the place of one that is older than `age`; whether it did.
pub(super) fn replace_older(bucket: &str, key: &str, age: Duration) -> Result<bool> {
    let head = asked(bucket, key, |client| client.head_object().bucket(bucket).key(key).send())?;
    let Ok(head) = head else { return Ok(false) };
    let written = head.last_modified.map_or(u64::MAX, |time| u64::try_from(time.secs()).unwrap_or(0));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (Some(tag), true) = (head.e_tag, now.saturating_sub(written) > age.as_secs()) else { return Ok(false) };
    let put = asked(bucket, key, |client| client.put_object().bucket(bucket).key(key).if_match(tag).send())?;
    took_effect(bucket, key, put)
}

/// 412 and 409 say that somebody else was there first.
fn took_effect<T, E>(bucket: &str, key: &str, put: std::result::Result<T, SdkError<E>>) -> Result<bool>
where
    E: std::error::Error + 'static,
{
    match put {
        Ok(_) => Ok(true),
        Err(error) if matches!(status(&error), Some(409 | 412)) => Ok(false),
        Err(error) => Err(failed(bucket, key, reason(&error))),
    }
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn get(client: &Client, bucket: &str, key: &str) -> std::result::Result<Box<dyn Read + Send>, String> {
    let request = client.get_object().bucket(bucket).key(key).send();
    let object = runtime().map_err(|e| e.to_string())?.block_on(request).map_err(|e| reason(&e))?;
    let announced = object.content_length.and_then(|length| u64::try_from(length).ok());
    Ok(Box::new(Body::new(object.body, announced)))
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
    let mut builder = Builder::from(&config).force_path_style(has_endpoint);
    if config.region().is_none() {
        builder = builder.region(Region::from_static(DEFAULT_REGION));
    }
    Client::from_conf(builder.build())
}

/// The SDK's errors say little themselves; what they wrap says more.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

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
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::from_static(DEFAULT_REGION))
            .force_path_style(true)
            .allow_no_auth()
            .build();
        let mut text = String::new();
        get(&Client::from_conf(config), "bucket", "d/0.tar").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "shard");
        assert!(server.join().unwrap().starts_with("GET /bucket/d/0.tar"));
    }
}
