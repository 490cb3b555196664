//! Files on S3: sent in parts as they are written, and there once the last part is acknowledged.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};

use super::s3::ask;
use crate::error::Result;

/// Parts are at least 5 MiB, and at most 10,000 to a file: these do for 80 GiB.
const PART_BYTES: usize = 8 << 20;

/// Seconds of pause before a request is sent anew; the SDK itself has tried three times by then.
const PAUSES: [u64; 4] = [1, 2, 4, 8];

/// A file on its way to S3.
pub struct ObjectWriter {
    bucket: String,
    key: String,
    uri: String,
    part: BytesMut,
    upload: Option<Upload>,
}

/// A file of more than one part.
struct Upload {
    id: String,
    parts: Vec<CompletedPart>,
}

impl ObjectWriter {
    /// Starts the object; nothing is sent before there is a whole part, or the end.
    pub(super) fn new(bucket: &str, key: &str) -> Self {
        let uri = format!("s3://{bucket}/{key}");
        Self { bucket: bucket.into(), key: key.into(), uri, part: BytesMut::new(), upload: None }
    }

    /// What messages call the file.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Sends what is left; the object is there when this returns.
    ///
    /// # Errors
    /// When S3 keeps refusing; the object is then as it was.
    pub fn seal(mut self) -> Result<()> {
        if self.upload.is_none() {
            let body = self.part.split().freeze();
            return self.patiently(|writer| writer.put(body.clone()));
        }
        if !self.part.is_empty() {
            self.send_part()?;
        }
        let parts = self.upload.as_ref().map(|upload| upload.parts.clone()).unwrap_or_default();
        self.patiently(|writer| writer.complete(parts.clone()))?;
        // Complete: there is nothing left to abort.
        self.upload = None;
        Ok(())
    }

    fn put(&self, body: Bytes) -> Result<()> {
        let put = |client: &'static aws_sdk_s3::Client| {
            client.put_object().bucket(&self.bucket).key(&self.key).body(ByteStream::from(body)).send()
        };
        ask(&self.bucket, &self.key, put).map(drop)
    }

    fn complete(&self, parts: Vec<CompletedPart>) -> Result<()> {
        let Some(upload) = &self.upload else { return Ok(()) };
        let list = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = |client: &'static aws_sdk_s3::Client| {
            let request = client.complete_multipart_upload().bucket(&self.bucket).key(&self.key);
            request.upload_id(&upload.id).multipart_upload(list).send()
        };
        ask(&self.bucket, &self.key, complete).map(drop)
    }

    fn begin(&self) -> Result<Upload> {
        let begin = |client: &'static aws_sdk_s3::Client| {
            client.create_multipart_upload().bucket(&self.bucket).key(&self.key).send()
        };
        let begun = ask(&self.bucket, &self.key, begin)?;
        Ok(Upload { id: begun.upload_id.unwrap_or_default(), parts: Vec::new() })
    }

    fn send_part(&mut self) -> Result<()> {
        if self.upload.is_none() {
            self.upload = Some(self.patiently(Self::begin)?);
        }
        let body = self.part.split().freeze();
        let Some(upload) = &self.upload else { return Ok(()) };
        let number = i32::try_from(upload.parts.len() + 1).unwrap_or(i32::MAX);
        let tag = self.patiently(|writer| writer.put_part(&upload.id, number, body.clone()))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(tag).build();
        if let Some(upload) = &mut self.upload {
            upload.parts.push(part);
        }
        Ok(())
    }

    fn put_part(&self, id: &str, number: i32, body: Bytes) -> Result<Option<String>> {
        let put = |client: &'static aws_sdk_s3::Client| {
            let request = client.upload_part().bucket(&self.bucket).key(&self.key);
            request.upload_id(id).part_number(number).body(ByteStream::from(body)).send()
        };
        Ok(ask(&self.bucket, &self.key, put)?.e_tag)
    }

    /// Every request here may be sent twice: parts and objects replace themselves.
    fn patiently<T>(&self, request: impl Fn(&Self) -> Result<T>) -> Result<T> {
        for pause in PAUSES {
            match request(self) {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::warn!("{error}; trying again in {pause} s");
                    thread::sleep(Duration::from_secs(pause));
                }
            }
        }
        request(self)
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..count]);
        if self.part.len() == PART_BYTES {
            self.send_part().map_err(io::Error::other)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let abort = |client: &'static aws_sdk_s3::Client| {
            let request = client.abort_multipart_upload().bucket(&self.bucket).key(&self.key);
            request.upload_id(&upload.id).send()
        };
        if let Err(error) = ask(&self.bucket, &self.key, abort) {
            tracing::warn!("unfinished parts are left behind (a lifecycle rule clears them): {error}");
        }
    }
}
