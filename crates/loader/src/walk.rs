//! The samples of one stream that can be trained on, in the order of the plan. Those without picture or caption end here,
//! counted; shards that fail are tried again, then given up, counted.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shards::reader::{IncompleteReason, ShardEnd, ShardReader};
use shards::{Error as ShardError, Sample, SampleKey};

use crate::candidate::{Candidate, Content};
use crate::caption::caption;
use crate::config::RETRY_PAUSE;
use crate::context::{Context, Shard};
use crate::error::{Error, Result};
use crate::plan::{Pass, Visit};
use crate::position::{Cursor, Loss};
use crate::seed::{Domain, Draws};
use crate::split::Share;
use crate::stats::{LoaderStats, is_worth_a_line};
use crate::stop::Stop;

/// What comes next in a walk.
pub(crate) enum Step {
    Candidate(Candidate),
    PassEnd,
}

/// A walk over the shards of a stream.
pub(crate) struct ShardWalk {
    context: Arc<Context>,
    shards: Arc<[Shard]>,
    stream: usize,
    stop: Stop,
    /// The next sample.
    at: Cursor,
    visits: Vec<Visit>,
    /// The first sample that is read in the visit under way.
    began_at: u64,
    open: Option<Open>,
    /// Shards that an earlier process gave up, which gives the same samples again only if they are given up again.
    known_losses: Vec<Loss>,
    /// Shards given up since the last call of [`ShardWalk::take_losses`].
    losses: Vec<Loss>,
}

/// The shard being read.
struct Open {
    reader: ShardReader<Box<dyn Read + Send>>,
    visit: Visit,
    tries: u32,
    /// The last sample before the next one, by which a second try knows that it reads the same shard.
    last: Option<SampleKey>,
    /// No sample from this one on is delivered.
    ends_at: u64,
    must_match: bool,
}

/// What a try to read on gave.
enum Taken {
    Sample(Sample),
    /// The shard is over, or opened anew.
    Nothing,
}

impl ShardWalk {
    pub(crate) fn new(
        context: Arc<Context>,
        shards: Arc<[Shard]>,
        stream: usize,
        at: Cursor,
        losses: &[Loss],
        stop: Stop,
    ) -> Self {
        let visits = context.plan.visits(pass_of(at), stream);
        let known_losses = losses.to_vec();
        Self { context, shards, stream, stop, at, visits, began_at: 0, open: None, known_losses, losses: Vec::new() }
    }

    /// The place of the next sample.
    pub(crate) fn cursor(&self) -> Cursor {
        self.at
    }

    pub(crate) fn take_losses(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.losses)
    }

    /// The next candidate, or the end of the pass, after which the next pass begins.
    pub(crate) fn next(&mut self) -> Result<Step> {
        loop {
            if self.stop.is_set() {
                return Ok(Step::PassEnd);
            }
            if self.open.is_none() {
                if self.at.turn as usize >= self.visits.len() {
                    self.at = Cursor { pass: self.at.pass + 1, turn: 0, sample: 0, ..self.at };
                    self.visits = self.context.plan.visits(pass_of(self.at), self.stream);
                    return Ok(Step::PassEnd);
                }
                self.begin()?;
                continue;
            }
            if let Some(candidate) = self.read()? {
                return Ok(Step::Candidate(candidate));
            }
        }
    }

    fn shard(&self, visit: &Visit) -> &Shard {
        &self.shards[visit.portion.shard]
    }

    /// Opens the shard whose turn it is.
    fn begin(&mut self) -> Result<()> {
        let visit = self.visits[self.at.turn as usize].clone();
        self.at.sample = self.at.sample.max(visit.portion.share.start());
        self.began_at = self.at.sample;
        let known = self.known_losses.iter().find(|loss| (loss.pass, loss.turn) == (self.at.pass, self.at.turn));
        let ends_at = known.map_or(u64::MAX, |loss| loss.samples);
        if ends_at <= self.at.sample {
            return self.leave_known_loss(ends_at, &visit);
        }
        if let Some(arrival) = &self.context.config.arrival {
            let shard = self.shard(&visit);
            let started = Instant::now();
            let waited = arrival.wait(&shard.uri, &self.stop);
            self.context.tally.times().read.add(started.elapsed());
            waited.map_err(|reason| Error::NeverCame { shard: shard.name.to_string(), reason })?;
            if self.stop.is_set() {
                return Ok(());
            }
        }
        let mut tries = 0;
        loop {
            match self.open_at(&visit, self.at.sample) {
                Ok(reader) => {
                    self.open = Some(Open { reader, visit, tries, last: None, ends_at, must_match: false });
                    return Ok(());
                }
                Err(error) if tries < self.context.config.policy.retries && self.is_worth_a_try(&error) => {
                    self.pause(tries, &error.to_string());
                    tries += 1;
                }
                Err(error) => {
                    let count = self.count_bad(&visit, |counts| counts.shards_failed += 1);
                    return self.give_up(&visit, 0, count, &told(&error), || error.into());
                }
            }
        }
    }

    fn open_at(
        &self,
        visit: &Visit,
        sample: u64,
    ) -> std::result::Result<ShardReader<Box<dyn Read + Send>>, ShardError> {
        let started = Instant::now();
        let shard = self.shard(visit);
        let opened = match &self.context.config.cache {
            Some(cache) => ShardReader::open_cached(&shard.uri, cache),
            None => ShardReader::open(&shard.uri),
        };
        let mut reader = opened?.with_proof(shard.proof);
        reader.pass_over(sample);
        self.context.tally.times().read.add(started.elapsed());
        Ok(reader)
    }

    /// Reads one sample; `None` where it is no candidate, or the shard is over.
    fn read(&mut self) -> Result<Option<Candidate>> {
        let Some(open) = &mut self.open else { return Ok(None) };
        if open.visit.portion.share.ends_before(self.at.sample) {
            self.leave()?;
            return Ok(None);
        }
        if self.at.sample >= open.ends_at {
            let (ends_at, visit) = (open.ends_at, open.visit.clone());
            self.leave_known_loss(ends_at, &visit)?;
            return Ok(None);
        }
        let Taken::Sample(sample) = self.read_sample()? else { return Ok(None) };
        let Some(open) = &mut self.open else { return Ok(None) };
        open.last = Some(sample.key.clone());
        let index = self.at.sample;
        self.at.sample += 1;
        if !open.visit.portion.share.contains(index) {
            return Ok(None);
        }
        let [a, b, c, d] = open.visit.place;
        let source = self.shards[open.visit.portion.shard].source;
        candidate(&self.context, sample, source, self.at.pass, [a, b, c, d, index])
    }

    fn read_sample(&mut self) -> Result<Taken> {
        let started = Instant::now();
        let Some(open) = &mut self.open else { return Ok(Taken::Nothing) };
        let next = open.reader.next();
        self.context.tally.times().read.add(started.elapsed());
        let end = match next {
            Some(Ok(sample)) if !open.must_match => return Ok(Taken::Sample(sample)),
            Some(Ok(sample)) => {
                open.must_match = false;
                if open.reader.passed_key() == open.last.as_ref() {
                    return Ok(Taken::Sample(sample));
                }
                None
            }
            // The end of the shard says what the error is.
            Some(Err(_)) | None => open.reader.end().cloned(),
        };
        self.shard_ended(end)?;
        Ok(Taken::Nothing)
    }

    /// Decides what follows where a shard gives no more samples; `None` where it is not the one that was begun.
    fn shard_ended(&mut self, end: Option<ShardEnd>) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (reason, offset, key) = match end {
            Some(ShardEnd::Complete { samples }) => {
                self.context.count_complete(samples, &open.reader);
                return self.leave();
            }
            Some(ShardEnd::Incomplete { reason, offset, key, .. }) => (reason, offset, key),
            None => (IncompleteReason::Malformed("it has other samples than before".to_owned()), 0, None),
        };
        let visit = open.visit.clone();
        let may_pass = matches!(reason, IncompleteReason::Source(_)) && !self.stop.is_set();
        if may_pass && open.tries < self.context.config.policy.retries {
            let (tries, last, ends_at) = (open.tries, open.last.clone(), open.ends_at);
            self.open = None;
            self.pause(tries, &format!("shard `{}`: {reason}", self.shard(&visit).name));
            self.context.tally.lock().counts.shards_retried += 1;
            if let Ok(reader) = self.open_at(&visit, self.at.sample) {
                let must_match = last.is_some();
                self.open = Some(Open { reader, visit, tries: tries + 1, last, ends_at, must_match });
                return Ok(());
            }
        }
        self.incomplete(&visit, &reason, offset, key)
    }

    fn incomplete(
        &mut self,
        visit: &Visit,
        reason: &IncompleteReason,
        offset: u64,
        key: Option<SampleKey>,
    ) -> Result<()> {
        let count =
            self.count_bad(visit, |counts| *counts.shards_incomplete.entry(reason.kind().into()).or_default() += 1);
        let (shard, samples) = (self.shard(visit).name.to_string(), self.at.sample);
        let lost = key.map(|key| format!(", sample `{key}` is lost")).unwrap_or_default();
        let reason = reason.to_string();
        let told = format!("shard `{shard}` is incomplete: {reason} (at byte {offset}, after {samples} samples{lost})");
        let error = || Error::ShardIncomplete { shard, reason, offset, samples };
        self.give_up(visit, samples, count, &told, error)
    }

    /// Counts a shard that is given up; how many there are now. One that was ended with the run is none.
    fn count_bad(&self, visit: &Visit, count: impl FnOnce(&mut LoaderStats)) -> u64 {
        let mut stats = self.context.tally.lock();
        if !self.stop.is_set() {
            count(&mut stats.counts);
            stats.bad_shards += 1;
            stats.given_up.insert(visit.portion.shard);
            stats.counts.shards_bad = stats.given_up.len() as u64;
        }
        stats.bad_shards
    }

    /// By the policy: the end of everything, or a warning and the next shard.
    fn give_up(
        &mut self,
        visit: &Visit,
        samples: u64,
        count: u64,
        told: &str,
        error: impl FnOnce() -> Error,
    ) -> Result<()> {
        // Sources that were ended with the run have errors to tell, which are none.
        if !self.stop.is_set() {
            self.context.config.policy.on_shard_error.judge("shards", count, error)?;
            tracing::warn!("{told}");
            self.context.tally.lock().last_trouble = Some(told.to_owned());
        }
        self.losses.push(Loss { pass: self.at.pass, turn: self.at.turn, samples });
        self.turn_over(visit)
    }

    fn leave_known_loss(&mut self, samples: u64, visit: &Visit) -> Result<()> {
        self.losses.push(Loss { pass: self.at.pass, turn: self.at.turn, samples });
        self.turn_over(visit)
    }

    fn leave(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        self.turn_over(&open.visit)
    }

    fn turn_over(&mut self, visit: &Visit) -> Result<()> {
        self.open = None;
        self.at = Cursor { turn: self.at.turn + 1, sample: 0, ..self.at };
        // Who goes on within a shard has not seen what is before.
        let saw_all = self.began_at == 0 && visit.portion.share == Share::all();
        self.context.leave(visit.portion.shard, saw_all)
    }

    /// A file that is not there stays away.
    fn is_worth_a_try(&self, error: &ShardError) -> bool {
        matches!(error, ShardError::Source { .. }) && !self.stop.is_set()
    }

    /// Waits before another try, in pieces, so that a stop is heard.
    fn pause(&self, tries: u32, why: &str) {
        const PIECE: Duration = Duration::from_millis(50);
        tracing::warn!("{why}; trying again");
        let until = Instant::now() + RETRY_PAUSE * 2u32.saturating_pow(tries.min(6));
        while Instant::now() < until && !self.stop.is_set() {
            std::thread::sleep(PIECE);
        }
    }
}

fn pass_of(at: Cursor) -> Pass {
    Pass { epoch: at.epoch, pass: at.pass }
}

fn told(error: &ShardError) -> String {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("skipped: {error}{cause}")
}

/// What training needs of a sample; `None` for one that lacks it, counted.
fn candidate(
    context: &Context,
    sample: Sample,
    source: usize,
    pass: u64,
    place: [u64; 5],
) -> Result<Option<Candidate>> {
    let config = &context.config;
    let picture = sample.field(&config.image_extensions()).map(|field| field.bytes.clone());
    let caption = caption(&sample, &config.captions, || Draws::new(config.seed, Domain::Caption, &place));
    let mut stats = context.tally.lock();
    stats.counts.samples += 1;
    if let (Some(picture), Some(caption)) = (&picture, caption) {
        stats.per_source[source].found_usable();
        let (picture, shard) = (Content::Bytes(picture.clone()), sample.shard);
        return Ok(Some(Candidate { key: sample.key, shard, picture, caption, pass, place }));
    }
    let (count, what) = match picture {
        None => (&mut stats.counts.missing_image, "picture"),
        Some(_) => (&mut stats.counts.missing_caption, "caption"),
    };
    *count += 1;
    let (count, shard, key) = (*count, &sample.shard, &sample.key);
    stats.counts.leave_out(sample.fields.iter().map(|field| field.extension.as_str()));
    stats.bad_samples += 1;
    let bad = stats.bad_samples;
    drop(stats);
    let error = || Error::Sample { shard: shard.to_string(), key: key.to_string(), reason: format!("no {what}") };
    config.policy.on_sample_error.judge("samples", bad, error)?;
    if is_worth_a_line(count) {
        tracing::warn!("`{shard}`: sample `{key}` has no {what} and is left out ({count} so far)");
    }
    Ok(None)
}
