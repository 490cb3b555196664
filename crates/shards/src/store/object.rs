//! Files on S3: sent in parts as they are written, and there once the last part is acknowledged.

use std::io::{self, Write};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};

use super::s3::{ask, asked, asked_once, failed, head, refusal, status, token};
use crate::error::Result;

/// Parts are at least 5 MiB, and at most 10,000 to a file: these do for 80 GiB.
const PART_BYTES: usize = 8 << 20;

/// Metadata of an object sent in parts (`x-amz-meta-upload`), by which the writer knows it for its own.
const TOKEN: &str = "upload";

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
    token: String,
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
            return self.put(&body);
        }
        if !self.part.is_empty() {
            self.send_part()?;
        }
        if let Some(upload) = &self.upload {
            self.complete(upload)?;
        }
        // Complete: there is nothing left to abort.
        self.upload = None;
        Ok(())
    }

    fn put(&self, body: &Bytes) -> Result<()> {
        let put = |client: &'static Client| {
            client.put_object().bucket(&self.bucket).key(&self.key).body(ByteStream::from(body.clone())).send()
        };
        ask(&self.bucket, &self.key, put).map(drop)
    }

    fn complete(&self, upload: &Upload) -> Result<()> {
        let complete = |client: &'static Client| {
            let list = CompletedMultipartUpload::builder().set_parts(Some(upload.parts.clone())).build();
            let request = client.complete_multipart_upload().bucket(&self.bucket).key(&self.key);
            request.upload_id(&upload.id).multipart_upload(list).send()
        };
        match asked(&self.bucket, &self.key, complete)? {
            Ok(_) => Ok(()),
            // An upload is unknown once it is complete: the answer to an earlier try may have been lost.
            Err(error) if status(&error) == Some(404) && self.is_made_of(upload)? => Ok(()),
            Err(error) => Err(failed(&self.bucket, &self.key, refusal(&error))),
        }
    }

    /// Whether the object that is there is this upload's.
    fn is_made_of(&self, upload: &Upload) -> Result<bool> {
        let metadata = head(&self.bucket, &self.key)?.and_then(|head| head.metadata).unwrap_or_default();
        Ok(metadata.get(TOKEN) == Some(&upload.token))
    }

    fn begin(&self) -> Result<Upload> {
        let token = token();
        let begin = |client: &'static Client| {
            let request = client.create_multipart_upload().bucket(&self.bucket).key(&self.key);
            request.metadata(TOKEN, &token).send()
        };
        let id = ask(&self.bucket, &self.key, begin)?.upload_id;
        let id = id.ok_or_else(|| failed(&self.bucket, &self.key, "the upload in parts got no name".into()))?;
        Ok(Upload { id, token, parts: Vec::new() })
    }

    fn send_part(&mut self) -> Result<()> {
        let mut upload = match self.upload.take() {
            Some(upload) => upload,
            None => self.begin()?,
        };
        let body = self.part.split().freeze();
        let sent = self.put_part(&upload, &body);
        // Put back before any error is, so that the upload is aborted.
        let sent = sent.map(|part| upload.parts.push(part));
        self.upload = Some(upload);
        sent
    }

    fn put_part(&self, upload: &Upload, body: &Bytes) -> Result<CompletedPart> {
        let number = i32::try_from(upload.parts.len() + 1).unwrap_or(i32::MAX);
        let put = |client: &'static Client| {
            let request = client.upload_part().bucket(&self.bucket).key(&self.key);
            request.upload_id(&upload.id).part_number(number).body(ByteStream::from(body.clone())).send()
        };
        let tag = ask(&self.bucket, &self.key, put)?.e_tag;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(tag).build())
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
        let abort = |client: &'static Client| {
            let request = client.abort_multipart_upload().bucket(&self.bucket).key(&self.key);
            request.upload_id(&upload.id).send()
        };
        let error = match asked_once(&self.bucket, &self.key, abort) {
            Ok(Ok(_)) => return,
            // Aborted already, by a try whose answer was lost.
            Ok(Err(error)) if status(&error) == Some(404) => return,
            Ok(Err(error)) => failed(&self.bucket, &self.key, refusal(&error)),
            Err(error) => error,
        };
        tracing::warn!("unfinished parts are left behind (a lifecycle rule clears them): {error}");
    }
}
