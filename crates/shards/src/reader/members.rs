//! The file members of a tar, one after the other, under their full names.

use std::io::{self, Read};

use super::IncompleteReason;
use super::blocks::{BLOCK, Blocks};
use super::header::{Header, Kind, PaxRecords, text};
use crate::key::split_name;

/// Names and pax records longer than this are made to fill memory.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;

/// The header of a file member, whose content comes next.
pub(super) struct Entry {
    pub(super) name: String,
    /// Where its header begins, that of its long name included.
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// What comes next in a tar.
pub(super) enum Event {
    Member(Entry),
    End,
}

/// Why nothing can come next.
pub(super) enum Stop {
    /// The bytes end; `name` is that of the member they end in.
    Cut { offset: u64, reason: IncompleteReason, name: Option<String> },
    /// All samples are there, but what should end the tar, from `offset` on, is not as it should be.
    AfterSamples { offset: u64, reason: IncompleteReason },
    /// The bytes are no tar, or more than a shard may hold; `name` is that of the member where it is found out.
    Malformed { offset: u64, reason: String, name: Option<String> },
}

pub(super) struct Members<R> {
    blocks: Blocks<R>,
    pub(super) max_member_bytes: u64,
    /// Links, devices, kinds not known, and files that their names make part of no sample; not folders and reserved names.
    pub(super) left_out: u64,
}

/// What extension headers say of the member behind them.
#[derive(Default)]
struct Overrides {
    long_name: Option<String>,
    pax: PaxRecords,
}

impl<R: Read> Members<R> {
    pub(super) fn new(source: R, max_member_bytes: u64) -> Self {
        Self { blocks: Blocks::new(source), max_member_bytes, left_out: 0 }
    }

    /// The next file member whose name makes it part of a sample. Its content has to be taken, or passed over, before the
    /// next call.
    pub(super) fn next_event(&mut self) -> Result<Event, Stop> {
        let mut overrides = Overrides::default();
        let mut start = self.blocks.offset();
        loop {
            let offset = self.blocks.offset();
            let Some(header) = self.read_header()? else {
                // A name without a member behind it.
                self.left_out += u64::from(overrides.long_name.is_some() || overrides.pax != PaxRecords::default());
                return self.finish(offset);
            };
            match header.kind {
                Kind::PaxRecords => {
                    let records = self.read_extension(offset, header.size)?;
                    overrides.pax = PaxRecords::parse(&records).map_err(|reason| malformed(offset, reason))?;
                    continue;
                }
                Kind::LongName => {
                    overrides.long_name = Some(text(&self.read_extension(offset, header.size)?));
                    continue;
                }
                Kind::Sparse => {
                    let reason = format!("member `{}` is sparse, which is not supported", header.name);
                    return Err(Stop::Malformed { offset, reason, name: Some(header.name) });
                }
                Kind::File | Kind::Passed | Kind::Unknown | Kind::Link | Kind::Folder => {}
            }
            let Overrides { long_name, pax } = std::mem::take(&mut overrides);
            let name = pax.path.or(long_name).unwrap_or(header.name);
            let size = pax.size.unwrap_or(header.size);
            let is_reserved = is_reserved(&name);
            if header.kind == Kind::File && !is_reserved && split_name(&name).is_some() {
                return Ok(Event::Member(Entry { name, offset: start, size }));
            }
            let is_meant = matches!(header.kind, Kind::File | Kind::Link | Kind::Unknown);
            self.left_out += u64::from(is_meant && !is_reserved);
            if matches!(header.kind, Kind::File | Kind::Passed | Kind::Unknown) {
                self.pass_over(&Entry { name, offset: start, size })?;
            }
            start = self.blocks.offset();
        }
    }

    /// `None` for the first block of the end marker.
    fn read_header(&mut self) -> Result<Option<Header>, Stop> {
        let offset = self.blocks.offset();
        let mut block = [0; BLOCK];
        match self.blocks.read_block(&mut block) {
            Ok(BLOCK) if block == [0; BLOCK] => Ok(None),
            Ok(BLOCK) => Header::parse(&block).map(Some).map_err(|reason| malformed(offset, reason)),
            Ok(count) if block[..count].iter().all(|byte| *byte == 0) => {
                Err(cut(offset, IncompleteReason::NoEndMarker))
            }
            Ok(_) => Err(cut(offset, IncompleteReason::CutInHeader)),
            Err(e) => Err(failed(offset, None, &e)),
        }
    }

    /// Checks what follows the first zero block, which stands at `offset`.
    fn finish(&mut self, offset: u64) -> Result<Event, Stop> {
        let source = |e: io::Error| IncompleteReason::Source(e.to_string());
        let mut block = [0; BLOCK];
        match self.blocks.read_block(&mut block) {
            Ok(BLOCK) if block == [0; BLOCK] => {}
            Ok(BLOCK) => return Err(malformed(offset, "one lone block of zeros".into())),
            Ok(_) => return Err(Stop::AfterSamples { offset, reason: IncompleteReason::NoEndMarker }),
            Err(e) => return Err(Stop::AfterSamples { offset, reason: source(e) }),
        }
        let offset = self.blocks.offset();
        match self.blocks.only_zeros_remain() {
            Ok(true) => Ok(Event::End),
            Ok(false) => Err(Stop::AfterSamples { offset, reason: IncompleteReason::BytesAfterEnd }),
            Err(e) => Err(Stop::AfterSamples { offset, reason: source(e) }),
        }
    }

    fn read_extension(&mut self, offset: u64, size: u64) -> Result<Vec<u8>, Stop> {
        if size > MAX_EXTENSION_BYTES {
            let reason = format!("an extension header of {size} bytes (at most {MAX_EXTENSION_BYTES})");
            return Err(malformed(offset, reason));
        }
        match self.blocks.read_content(size) {
            Ok(Some(content)) => Ok(content),
            Ok(None) => Err(cut(offset, IncompleteReason::CutInHeader)),
            Err(e) => Err(failed(offset, None, &e)),
        }
    }

    /// The content of the member just met.
    pub(super) fn content(&mut self, entry: &Entry) -> Result<Vec<u8>, Stop> {
        let Entry { name, offset, size } = entry;
        let (offset, size) = (*offset, *size);
        if size > self.max_member_bytes {
            let reason = format!("member `{name}` has {size} bytes (at most {})", self.max_member_bytes);
            return Err(Stop::Malformed { offset, reason, name: Some(name.clone()) });
        }
        match self.blocks.read_content(size) {
            Ok(Some(content)) => Ok(content),
            Ok(None) => Err(Stop::Cut { offset, reason: IncompleteReason::CutInData, name: Some(name.to_string()) }),
            Err(e) => Err(failed(offset, Some(name.to_string()), &e)),
        }
    }

    /// Passes over the content of a member.
    pub(super) fn pass_over(&mut self, entry: &Entry) -> Result<(), Stop> {
        let (offset, name) = (entry.offset, || Some(entry.name.clone()));
        match self.blocks.skip_content(entry.size) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Stop::Cut { offset, reason: IncompleteReason::CutInData, name: name() }),
            Err(e) => Err(failed(offset, name(), &e)),
        }
    }
}

fn malformed(offset: u64, reason: String) -> Stop {
    Stop::Malformed { offset, reason, name: None }
}

fn cut(offset: u64, reason: IncompleteReason) -> Stop {
    Stop::Cut { offset, reason, name: None }
}

fn failed(offset: u64, name: Option<String>, error: &io::Error) -> Stop {
    Stop::Cut { offset, reason: IncompleteReason::Source(error.to_string()), name }
}

/// webdataset's rule: the first folder, or the name at the root, is like `__x__`.
fn is_reserved(name: &str) -> bool {
    match name.split_once('/') {
        None => name.starts_with("__") && name.ends_with("__"),
        Some((folder, _)) => folder.len() >= 4 && folder.starts_with("__") && folder.ends_with("__"),
    }
}
