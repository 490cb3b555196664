//! Rows that finished before an earlier one of their shard: held until it does, their pictures on the disk where there are
//! many. So one host that takes its time to fail holds up neither memory nor the rows behind it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use super::row::RowOutcome;
use crate::error::{Error, Result};

/// Pictures that are held in memory, in all: the disk is asked only where some host is slow.
const HELD_BYTES: usize = 4 << 20;

/// What came early, by place.
#[derive(Default)]
pub(super) struct Early {
    outcomes: BTreeMap<usize, Waiting>,
    held: usize,
    spool: Option<Spool>,
}

struct Waiting {
    outcome: RowOutcome,
    /// Where the picture is, if not with the outcome.
    spooled: Option<(u64, usize)>,
}

/// A file without a name, gone with the process.
struct Spool {
    file: File,
    end: u64,
}

impl Early {
    /// Holds an outcome until its place comes.
    pub(super) fn insert(&mut self, place: usize, mut outcome: RowOutcome) -> Result<()> {
        let mut spooled = None;
        if let Ok(processed) = &mut outcome.result {
            let length = processed.image.len();
            if self.held + length > HELD_BYTES {
                spooled = Some((self.spool()?.append(&processed.image)?, length));
                processed.image = Bytes::new();
                outcome.share = None;
            } else {
                self.held += length;
            }
        }
        self.outcomes.insert(place, Waiting { outcome, spooled });
        Ok(())
    }

    /// The outcome of a place, if it came.
    pub(super) fn take(&mut self, place: usize) -> Result<Option<RowOutcome>> {
        let Some(Waiting { mut outcome, spooled }) = self.outcomes.remove(&place) else { return Ok(None) };
        match (&mut outcome.result, spooled) {
            (Ok(processed), Some((offset, length))) => processed.image = self.spool()?.read(offset, length)?,
            (Ok(processed), None) => self.held -= processed.image.len(),
            (Err(_), _) => {}
        }
        Ok(Some(outcome))
    }

    fn spool(&mut self) -> Result<&mut Spool> {
        match &mut self.spool {
            Some(spool) => Ok(spool),
            none => Ok(none.insert(Spool::create()?)),
        }
    }
}

impl Spool {
    fn create() -> Result<Self> {
        let file = tempfile::tempfile().map_err(Error::io("create a file in", &std::env::temp_dir()))?;
        Ok(Self { file, end: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        let offset = self.end;
        let written = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.write_all(bytes));
        written.map_err(Self::failed("write early pictures to"))?;
        self.end += bytes.len() as u64;
        Ok(offset)
    }

    fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).map_err(Self::failed("read early pictures from"))?;
        Ok(bytes.into())
    }

    fn failed(action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        Error::io(action, Path::new(&std::env::temp_dir()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::Trace;
    use crate::process::Processed;
    use crate::url_list::UrlRow;

    fn outcome(length: usize) -> RowOutcome {
        let row = UrlRow { index: 0, url: "http://a/".into(), caption: None, extra: Vec::new() };
        let image = Bytes::from(vec![length as u8; length]);
        let processed = Processed { image, size: None, original_size: None, exif: None, hash: None };
        RowOutcome { row, result: Ok(processed), trace: Trace::default(), share: None }
    }

    #[test]
    fn pictures_come_back_from_memory_and_from_the_disk() {
        let mut early = Early::default();
        let lengths = [1000, HELD_BYTES - 1000, 3_000_000, 70_000];
        for (place, length) in lengths.into_iter().enumerate() {
            early.insert(place + 5, outcome(length)).unwrap();
        }
        assert_eq!(early.held, HELD_BYTES);
        assert!(early.take(4).unwrap().is_none());
        for (place, length) in lengths.into_iter().enumerate() {
            let taken = early.take(place + 5).unwrap().unwrap();
            assert_eq!(taken.result.unwrap().image, outcome(length).result.unwrap().image);
        }
        assert_eq!(early.held, 0);
    }
}
