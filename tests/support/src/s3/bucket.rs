//! The objects of a bucket, and what each operation does to them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Operation;
use super::wire::{Answer, Head};

struct Object {
    body: Vec<u8>,
    tag: String,
    modified: SystemTime,
    /// The headers `x-amz-meta-…`.
    described: Vec<(&'static str, String)>,
}

struct Upload {
    key: String,
    described: Vec<(&'static str, String)>,
    parts: BTreeMap<usize, Vec<u8>>,
}

/// All objects and unfinished uploads.
pub(super) struct Bucket {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
    begun: usize,
    pub page_size: usize,
}

impl Bucket {
    pub(super) fn new() -> Self {
        Self { objects: BTreeMap::new(), uploads: BTreeMap::new(), begun: 0, page_size: 1000 }
    }

    pub(super) fn put(&mut self, key: &str, body: Vec<u8>, modified: SystemTime) {
        let object = Object { tag: tag(&body), body, modified, described: Vec::new() };
        self.objects.insert(key.into(), object);
    }

    pub(super) fn objects(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let rest = |(key, object): (&String, &Object)| Some((key.strip_prefix(prefix)?.into(), object.body.clone()));
        self.objects.iter().filter_map(rest).collect()
    }

    pub(super) fn open_uploads(&self) -> Vec<String> {
        self.uploads.values().map(|upload| upload.key.clone()).collect()
    }

    /// Does what is asked.
    pub(super) fn answer(&mut self, operation: Operation, key: &str, head: &Head, body: Vec<u8>) -> Answer {
        match operation {
            Operation::Put => self.put_if(key, head, body),
            Operation::Get | Operation::Head => self.get(key, head),
            Operation::Delete => self.delete(key),
            Operation::List => self.list(head),
            Operation::Begin => self.begin(key, head),
            Operation::Part => self.part(head, body),
            Operation::Complete => self.complete(key, head, &body),
            Operation::Abort => match self.uploads.remove(&head.query["uploadId"]) {
                Some(_) => Answer::empty(204),
                None => Answer::error(404, "NoSuchUpload"),
            },
        }
    }

    fn put_if(&mut self, key: &str, head: &Head, body: Vec<u8>) -> Answer {
        let before = self.objects.get(key);
        if head.headers.contains_key("if-none-match") && before.is_some() {
            return Answer::error(412, "PreconditionFailed");
        }
        match (head.headers.get("if-match"), before) {
            (Some(_), None) => return Answer::error(404, "NoSuchKey"),
            (Some(expected), Some(object)) if *expected != object.tag => {
                return Answer::error(412, "PreconditionFailed");
            }
            _ => {}
        }
        let tag = tag(&body);
        self.put(key, body, SystemTime::now());
        Answer { headers: vec![("etag", tag)], ..Answer::empty(200) }
    }

    fn get(&self, key: &str, head: &Head) -> Answer {
        let Some(object) = self.objects.get(key) else { return Answer::error(404, "NoSuchKey") };
        if head.headers.get("if-match").is_some_and(|expected| *expected != object.tag) {
            return Answer::error(412, "PreconditionFailed");
        }
        let mut headers = object.described.clone();
        headers.extend([("etag", object.tag.clone()), ("last-modified", http_date(object.modified))]);
        let Some(range) = head.headers.get("range") else {
            return Answer { status: 200, headers, body: object.body.clone() };
        };
        let first = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
        let Some(rest) = first.and_then(|first| object.body.get(first..)) else {
            return Answer::error(416, "InvalidRange");
        };
        let (size, first) = (object.body.len(), object.body.len() - rest.len());
        headers.push(("content-range", format!("bytes {first}-{}/{size}", size.saturating_sub(1))));
        Answer { status: 206, headers, body: rest.to_vec() }
    }

    fn delete(&mut self, key: &str) -> Answer {
        self.objects.remove(key);
        Answer::empty(204)
    }

    fn list(&self, head: &Head) -> Answer {
        let prefix = &head.query["prefix"];
        let after = head.query.get("continuation-token").cloned().unwrap_or_default();
        let is_flat = head.query.get("delimiter").is_some_and(|delimiter| delimiter == "/");
        let fits = |key: &&String| key.strip_prefix(prefix).is_some_and(|rest| !is_flat || !rest.contains('/'));
        let mut keys: Vec<&String> = self.objects.keys().filter(fits).filter(|key| **key > after).collect();
        let is_truncated = keys.len() > self.page_size;
        keys.truncate(self.page_size);
        let mut xml = format!("<ListBucketResult><IsTruncated>{is_truncated}</IsTruncated>");
        for key in &keys {
            xml.push_str(&format!("<Contents><Key>{key}</Key></Contents>"));
        }
        if let (true, Some(last)) = (is_truncated, keys.last()) {
            xml.push_str(&format!("<NextContinuationToken>{last}</NextContinuationToken>"));
        }
        Answer::xml(format!("{xml}</ListBucketResult>"))
    }

    fn begin(&mut self, key: &str, head: &Head) -> Answer {
        self.begun += 1;
        let id = format!("upload-{}", self.begun);
        let token = head.headers.get("x-amz-meta-upload").cloned();
        let described = token.map(|token| ("x-amz-meta-upload", token)).into_iter().collect();
        self.uploads.insert(id.clone(), Upload { key: key.into(), described, parts: BTreeMap::new() });
        let names = format!("<Bucket>bucket</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>");
        Answer::xml(format!("<InitiateMultipartUploadResult>{names}</InitiateMultipartUploadResult>"))
    }

    fn part(&mut self, head: &Head, body: Vec<u8>) -> Answer {
        let Some(upload) = self.uploads.get_mut(&head.query["uploadId"]) else {
            return Answer::error(404, "NoSuchUpload");
        };
        let Ok(number) = head.query["partNumber"].parse() else { return Answer::error(400, "InvalidArgument") };
        let tag = tag(&body);
        upload.parts.insert(number, body);
        Answer { headers: vec![("etag", tag)], ..Answer::empty(200) }
    }

    /// The object is made of the parts that the list names, which must have come with these tags.
    fn complete(&mut self, key: &str, head: &Head, list: &[u8]) -> Answer {
        let id = &head.query["uploadId"];
        let Some(upload) = self.uploads.get(id) else { return Answer::error(404, "NoSuchUpload") };
        let list = String::from_utf8_lossy(list).replace("&quot;", "\"");
        let mut body = Vec::new();
        for part in list.split("<Part>").skip(1) {
            let number = between(part, "<PartNumber>").parse::<usize>().ok();
            let Some(sent) = number.and_then(|number| upload.parts.get(&number)) else {
                return Answer::error(400, "InvalidPart");
            };
            if between(part, "<ETag>") != tag(sent) {
                return Answer::error(400, "InvalidPart");
            }
            body.extend_from_slice(sent);
        }
        let described = upload.described.clone();
        self.uploads.remove(id);
        self.put(key, body, SystemTime::now());
        if let Some(object) = self.objects.get_mut(key) {
            object.described = described;
        }
        Answer::xml(format!("<CompleteMultipartUploadResult><Key>{key}</Key></CompleteMultipartUploadResult>"))
    }
}

fn between<'a>(text: &'a str, start: &str) -> &'a str {
    text.split_once(start).map_or("", |(_, rest)| rest.split('<').next().unwrap_or_default())
}

/// Amazon's tags are MD5 sums at times, and nobody may rely on that.
fn tag(body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// `Thu, 01 Jan 1970 00:00:00 GMT`.
fn http_date(time: SystemTime) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    let (weekday, hour, minute) = (DAYS[(days % 7) as usize], clock / 3600, clock / 60 % 60);
    format!("{weekday}, {:02} {} {year} {hour:02}:{minute:02}:{:02} GMT", left + 1, MONTHS[month], clock % 60)
}

#[test]
fn dates_are_told_as_http_has_them() {
    let time = UNIX_EPOCH + std::time::Duration::from_secs(951_827_696);
    assert_eq!(http_date(time), "Tue, 29 Feb 2000 12:34:56 GMT");
}
