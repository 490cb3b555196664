//! Watches a run: counts its rows as they end, and tells of them while it lasts: live lines on a terminal, plain ones
//! elsewhere, events for machines, a file for Prometheus. A thread of its own does the telling, so that nothing of it
//! holds a download up.

mod hosts;
mod lines;
mod pace;
mod prometheus;
mod tally;

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ingest::{Ahead, Observer, RowEnd, SealedShard};
use serde_json::json;
use tools::terminal::LiveLines;
use tools::{json, terminal};

pub use self::hosts::HostCounts;
pub use self::tally::{Failures, Tally};

use self::lines::Moment;
use self::pace::Pace;
use crate::cli::Telling;

/// How often live lines change.
const LIVE_EVERY: Duration = Duration::from_millis(250);

/// How often a plain line, an event or a file is written.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Counts rows as they end.
pub struct Watch {
    tally: Mutex<Tally>,
    as_json: bool,
    /// Whether there are live lines, which say what else would be printed between them.
    is_live: bool,
}

impl Watch {
    /// Says that the run ends.
    pub fn stopping(&self) {
        self.tally().stopping = true;
        if !self.is_live {
            tools::note!("{}", terminal::STOPPING);
        }
    }

    /// The counts so far.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Watch {
    fn row_finished(&self, row: &RowEnd<'_>) {
        self.tally().add(row);
    }

    fn looked_ahead(&self, ahead: &Ahead) {
        self.tally().ahead = *ahead;
    }

    fn shard_opened(&self, _: &str) {
        self.tally().open_shards += 1;
    }

    fn shard_sealed(&self, shard: &SealedShard) {
        {
            let mut tally = self.tally();
            tally.shards += 1;
            tally.open_shards = tally.open_shards.saturating_sub(1);
        }
        if self.as_json {
            // A closed pipe ends the reader's interest, not the download.
            let _ = json::line("shard", &json!({ "name": shard.name, "stats": shard.summary }));
        }
    }
}

/// The thread that tells.
pub struct Teller {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Teller {
    /// Begins to tell of a run that begins now.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(telling: &Telling) -> std::io::Result<(Arc<Watch>, Self)> {
        let live = (!telling.json).then(terminal::live_lines);
        let is_live = live.as_ref().is_some_and(|live| !live.is_hidden());
        let watch = Arc::new(Watch { tally: Mutex::default(), as_json: telling.json, is_live });
        let now = Instant::now();
        let telling = Voice {
            watch: Arc::clone(&watch),
            live,
            prometheus: telling.prometheus_file.clone(),
            started: now,
            pace: Pace::starting(now),
        };
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(move || telling.tell(&stopped))?;
        Ok((watch, Self { stop, thread }))
    }

    /// Tells a last time, and wipes what is live.
    pub fn finish(self) {
        drop(self.stop);
        // Its panic is no reason to lose the result of a download.
        let _ = self.thread.join();
    }
}

/// How it is told.
struct Voice {
    watch: Arc<Watch>,
    live: Option<LiveLines>,
    prometheus: Option<PathBuf>,
    started: Instant,
    pace: Pace<3>,
}

impl Voice {
    fn tell(mut self, stopped: &mpsc::Receiver<()>) {
        let mut last = self.started;
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LIVE_EVERY) {
            let moment = self.moment();
            if let Some(live) = &self.live {
                live.show(&lines::all(&self.watch.tally(), &moment));
            }
            if last.elapsed() >= TOLD_EVERY {
                last = Instant::now();
                self.now_and_then(&moment);
            }
        }
        let moment = self.moment();
        if self.watch.as_json {
            self.event(&moment);
        }
        self.file(&moment);
        if let Some(live) = &self.live {
            live.wipe();
        }
    }

    fn moment(&mut self) -> Moment {
        let counts = {
            let tally = self.watch.tally();
            [tally.successes, tally.rows, tally.bytes]
        };
        let [images_per_second, rows_per_second, bytes_per_second] = self.pace.look(Instant::now(), counts);
        Moment { elapsed: self.started.elapsed(), images_per_second, rows_per_second, bytes_per_second }
    }

    fn now_and_then(&self, moment: &Moment) {
        match &self.live {
            None => self.event(moment),
            Some(live) if live.is_hidden() => tools::note!("{}", lines::one(&self.watch.tally(), moment)),
            Some(_) => {}
        }
        self.file(moment);
    }

    fn event(&self, moment: &Moment) {
        let tally = self.watch.tally();
        let event = json!({
            "rows": tally.rows,
            "rows_expected": tally.ahead.rows_in_all().map(|rows| rows.round() as u64),
            "eta_seconds": moment.left(&tally).map(|left| left.as_secs_f64()),
            "successes": tally.successes,
            "failed_to_download": tally.failed_to_download,
            "failed_to_resize": tally.failed_to_resize,
            "bytes_downloaded": tally.bytes,
            "shards": tally.shards,
            "open_shards": tally.open_shards,
            "seconds": moment.elapsed.as_secs_f64(),
            "rows_per_second": moment.rows_per_second,
            "images_per_second": moment.images_per_second,
            "bytes_per_second": moment.bytes_per_second,
        });
        drop(tally);
        // A closed pipe ends the reader's interest, not the download.
        let _ = json::line("progress", &event);
    }

    fn file(&self, moment: &Moment) {
        let Some(file) = &self.prometheus else { return };
        if let Err(error) = prometheus::write(file, &self.watch.tally(), moment) {
            tracing::warn!("cannot write `{}`: {error}", file.display());
        }
    }
}
