//! What has arrived of a body: held in memory as far as there is room without waiting, else set aside in a file without
//! a name. So bodies that come slowly keep nobody from memory, and none of them waits for memory in the midst of it.

use std::fs::File;
use std::io::{self, Read, Seek};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use super::budget::Reservation;

/// Bodies of unknown length are held in pieces of one size, which the allocator can give from one body to the next.
pub(super) const PIECE: usize = 256 << 10;

/// A body as it grows.
pub(super) struct Held<'a> {
    /// What is in memory, all but the last piece full to their capacity.
    pieces: Vec<Vec<u8>>,
    /// The file that all is in, once there is one.
    aside: Option<tokio::fs::File>,
    length: u64,
    /// Bytes of decoders, for as long as the body is read.
    beside: u64,
    share: &'a mut Reservation,
}

/// A whole body.
#[derive(Debug)]
pub(super) enum Content {
    /// In memory, within its row's share.
    Memory(Bytes),
    /// In a file of this length.
    Aside(File, u64),
}

impl<'a> Held<'a> {
    /// Nothing yet; what arrives takes of `share`, which has room for one piece already.
    pub(super) fn new(share: &'a mut Reservation) -> Self {
        Self { pieces: Vec::new(), aside: None, length: 0, beside: 0, share }
    }

    /// Sets room aside for an announced length, to be joined from nothing. Pages that nothing is written to cost nothing,
    /// so what arrives is counted and not the announcement, which is only a claim.
    pub(super) fn expect(&mut self, announced: Option<u64>) {
        let mut room = Vec::new();
        let length = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        if length > 0 && room.try_reserve_exact(length).is_ok() {
            self.pieces.push(room);
        }
    }

    /// Waits for the memory that decoders take.
    pub(super) async fn wait_beside(&mut self, bytes: u64) {
        self.beside = bytes;
        self.share.grow(PIECE as u64 + bytes).await;
    }

    /// Bytes that arrived.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Keeps `chunk`, copied: a server that sends single bytes would make each cost a buffer.
    ///
    /// # Errors
    /// When there is no room for it on the disk either.
    pub(super) async fn push(&mut self, mut chunk: &[u8]) -> io::Result<()> {
        self.length += chunk.len() as u64;
        if self.aside.is_none() && !self.share.grow_at_once(self.length.next_multiple_of(PIECE as u64) + self.beside) {
            self.set_aside().await?;
        }
        if let Some(file) = &mut self.aside {
            return file.write_all(chunk).await;
        }
        while !chunk.is_empty() {
            match self.pieces.last_mut() {
                Some(piece) if piece.len() < piece.capacity() => {
                    let (now, later) = chunk.split_at(chunk.len().min(piece.capacity() - piece.len()));
                    piece.extend_from_slice(now);
                    chunk = later;
                }
                _ => self.pieces.push(Vec::with_capacity(PIECE)),
            }
        }
        Ok(())
    }

    /// All of it.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) async fn finish(mut self) -> io::Result<Content> {
        if self.pieces.len() > 1 && !self.share.grow_at_once(self.length * 2 + self.beside) {
            self.set_aside().await?;
        }
        if let Some(mut file) = self.aside.take() {
            file.flush().await?;
            return Ok(Content::Aside(file.into_std().await, self.length));
        }
        if self.pieces.len() > 1 {
            self.pieces = vec![self.pieces.concat()];
        }
        self.share.shrink(self.length);
        Ok(Content::Memory(self.pieces.pop().unwrap_or_default().into()))
    }

    /// Moves what is in memory to a file, and gives the memory back but for one piece on its way.
    async fn set_aside(&mut self) -> io::Result<()> {
        let mut file = tokio::fs::File::from_std(spawn_blocking(tempfile::tempfile).await??);
        file.set_max_buf_size(PIECE);
        for piece in std::mem::take(&mut self.pieces) {
            file.write_all(&piece).await?;
        }
        self.aside = Some(file);
        self.share.shrink(PIECE as u64 + self.beside);
        Ok(())
    }
}

impl Content {
    /// The body in memory. One that was set aside waits for room, in the order of rows: by now that is nobody's time but
    /// the machine's.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) async fn load(self, share: &mut Reservation) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes),
            Self::Aside(file, length) => {
                share.grow(length).await;
                spawn_blocking(move || read(file, length)).await?.map(Bytes::from)
            }
        }
    }
}

fn read(mut file: File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    match bytes.len() as u64 == length {
        true => Ok(bytes),
        false => Err(io::Error::other(format!("expected {length} bytes set aside, got {}", bytes.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ByteBudget;
    use super::*;

    /// What comes back of `length` bytes that arrive in chunks, with a pool of `pool` bytes, and whether it was set aside.
    async fn kept(length: usize, chunk: usize, pool: u64) -> (Bytes, bool) {
        let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let budget = ByteBudget::new(pool);
        let mut share = budget.reserve().await.unwrap();
        let mut held = Held::new(&mut share);
        for chunk in bytes.chunks(chunk) {
            held.push(chunk).await.unwrap();
        }
        assert_eq!(held.length(), length as u64);
        let content = held.finish().await.unwrap();
        let aside = matches!(content, Content::Aside(..));
        let loaded = content.load(&mut share).await.unwrap();
        assert_eq!(loaded, bytes);
        (loaded, aside)
    }

    #[tokio::test]
    async fn bytes_come_back_in_their_order_from_memory_and_from_the_disk() {
        for (length, pool, expected) in [
            (PIECE * 2 + 7, 1 << 30, false),
            (PIECE - 1, 1 << 30, false),
            (PIECE * 9 + 5, PIECE as u64 * 8, true),
            // Held in pieces, but there is no room to join them.
            (PIECE * 3, PIECE as u64 * 6, true),
        ] {
            assert_eq!(kept(length, 1000, pool).await.1, expected, "{length}");
        }
    }

    #[tokio::test]
    async fn what_is_set_aside_gives_its_memory_back() {
        let budget = ByteBudget::new(PIECE as u64 * 8);
        let (mut slow, mut other) = (budget.reserve().await.unwrap(), budget.reserve().await.unwrap());
        let mut held = Held::new(&mut slow);
        held.push(&vec![1; PIECE * 20]).await.unwrap();
        assert!(other.grow_at_once(PIECE as u64 * 3), "the rest of the pool is free");
    }
}
