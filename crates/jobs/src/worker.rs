//! The worker loop: claims jobs under a lease, keeps their pulse, finishes or fails them under the fence.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{Class, Fault};
use store::{Beat, Failed, JobProgress, JobRow};
use tokio::{
    sync::watch,
    time::{self, Instant},
};
use ulid::Ulid;

use crate::{
    Error, KINDS, Registry,
    kinds::{Kind, Run},
    meter::Meter,
    parentage::ask_for_due,
    resketch::Outdated,
    rights::still_may,
    watch::look_around,
};

/// How long a job may go on after the process was told to end, and then again for its present block.
const GRACE: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(5) };

/// Seconds between two questions whether a look at a watched author is due.
const LOOK: u64 = 10;

/// Most seconds between two tries while the database refuses.
const LONGEST_PAUSE: u64 = 30;

/// Most seconds that a job waits for a Hub that says when it may be asked again.
const LONGEST_WAIT: u64 = 3_600;

/// How often a worker clears away what others left.
const SWEEP: Duration = Duration::from_hours(1);

/// Progress of one running job and its stop sign; cheap to clone, safe to call from any thread.
#[derive(Clone, Default)]
pub struct Pulse {
    inner: Arc<PulseState>,
}

#[derive(Default)]
struct PulseState {
    step: Mutex<String>,
    /// What the log does not say yet.
    untold: Mutex<Vec<String>>,
    done: AtomicU64,
    total: AtomicU64,
    kept: AtomicU64,
    stopped: AtomicBool,
}

impl Pulse {
    /// Starts a step of `total` bytes.
    pub fn begin(&self, step: &str, total: u64) {
        if let Ok(mut current) = self.inner.step.lock()
            && *current != step
        {
            step.clone_into(&mut current);
            self.tell(step.to_owned());
        }
        self.inner.done.store(0, Ordering::Relaxed);
        self.inner.kept.store(0, Ordering::Relaxed);
        self.inner.total.store(total, Ordering::Relaxed);
    }

    /// Counts `bytes` that an earlier attempt had done.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub fn keep(&self, bytes: u64) -> Result<(), weights::Error> {
        self.inner.kept.fetch_add(bytes, Ordering::Relaxed);
        self.advance(bytes)
    }

    /// Bytes of the step that an earlier attempt had done.
    pub fn kept(&self) -> u64 {
        self.inner.kept.load(Ordering::Relaxed)
    }

    /// Counts `bytes` more.
    ///
    /// # Errors
    /// When the job was cancelled or taken over: stop here.
    pub fn advance(&self, bytes: u64) -> Result<(), weights::Error> {
        self.inner.done.fetch_add(bytes, Ordering::Relaxed);
        if self.cancelled() { Err(weights::Error::Stopped) } else { Ok(()) }
    }

    /// Whether the job should stop.
    pub fn cancelled(&self) -> bool {
        self.inner.stopped.load(Ordering::Relaxed)
    }

    /// Step, bytes done, bytes in all.
    pub fn snapshot(&self) -> (String, u64, u64) {
        let step = self.inner.step.lock().map(|s| s.clone()).unwrap_or_default();
        (step, self.inner.done.load(Ordering::Relaxed), self.inner.total.load(Ordering::Relaxed))
    }

    /// Adds a line to the job's log.
    pub fn tell(&self, line: String) {
        if let Ok(mut untold) = self.inner.untold.lock() {
            untold.push(line);
        }
    }

    fn untold(&self) -> Vec<String> {
        self.inner.untold.lock().map(|mut untold| std::mem::take(&mut *untold)).unwrap_or_default()
    }

    pub(crate) fn stop(&self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
    }
}

/// Runs jobs until `shutdown` turns true or is dropped; a job in hand then has a few seconds to end, and is given back.
pub async fn run_worker(registry: Registry, mut shutdown: watch::Receiver<bool>) {
    registry.sweep().await;
    registry.collect_garbage();
    let name = format!("worker-{}", Ulid::generate());
    let ids: Vec<&str> = KINDS.iter().map(|kind| kind.id).collect();
    let mut swept = Instant::now();
    let look = Duration::from_secs(registry.limits.watch_seconds.clamp(1, LOOK));
    let mut looked: Option<Instant> = None;
    let mut refused = 0_u32;
    let mut outdated = Outdated::default();
    while !*shutdown.borrow() && shutdown.has_changed().is_ok() {
        if swept.elapsed() > SWEEP {
            registry.sweep().await;
            registry.collect_garbage();
            swept = Instant::now();
        }
        if looked.is_none_or(|at| at.elapsed() >= look) {
            if let Err(error) = look_around(&registry).await {
                tracing::warn!("watched authors are not looked at: {error}");
            }
            looked = Some(Instant::now());
        }
        let claimed = registry.store.claim(&ids, &name, registry.limits.lease_seconds).await;
        refused = if claimed.is_ok() { 0 } else { refused + 1 };
        match claimed {
            Ok(Some(job)) => run_one(&registry, job, shutdown.clone()).await,
            // What is owed to imports is looked at while nothing else is to be done.
            Ok(None) if asked_for_due(&registry).await || outdated.asked(&registry).await => {}
            Ok(None) => {
                tokio::select! {
                    () = registry.queued.notified() => {}
                    () = time::sleep(Duration::from_secs(1)) => {}
                    _ = shutdown.changed() => {}
                }
            }
            Err(error) => {
                tracing::warn!("no job can be claimed: {error}");
                tokio::select! {
                    () = time::sleep(Duration::from_secs((1 << refused.min(5)).min(LONGEST_PAUSE))) => {}
                    _ = shutdown.changed() => {}
                }
            }
        }
    }
}

/// How the line of a job's log begins that names the device of an attempt.
pub const COMPUTES_ON: &str = "computes on ";

async fn asked_for_due(registry: &Registry) -> bool {
    ask_for_due(registry).await.unwrap_or_else(|error| {
        tracing::warn!("no look at lineage is queued: {error}");
        false
    })
}

/// Why a job was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Cancelled,
    LeaseLost,
    Shutdown,
}

async fn run_one(registry: &Registry, job: JobRow, shutdown: watch::Receiver<bool>) {
    let Some(kind) = KINDS.iter().find(|kind| kind.id == job.kind) else {
        return;
    };
    tracing::info!(job = %job.id, kind = kind.id, "job {} starts: {}", job.id, kind.title);
    log(registry, &job, &[format!("attempt {}", job.attempts)]).await;
    log(registry, &job, &[format!("{COMPUTES_ON}{}", registry.devices.present())]).await;
    let (stop, outcome) = supervise(registry, kind, &job, shutdown.clone()).await;
    log(registry, &job, &[told(stop, &outcome)]).await;
    if matches!(
        (stop, &outcome),
        (Some(Stop::LeaseLost), _) | (_, Err(Error::Store(store::Error::LeaseLost(_))))
    ) {
        return;
    }
    let mut pause = 1;
    while let Err(error) = record(registry, &job, (stop, &outcome)).await {
        tracing::warn!(job = %job.id, "the end of job {} is not recorded yet: {error}", job.id);
        if matches!(error, store::Error::LeaseLost(_)) || pause > LONGEST_PAUSE || *shutdown.borrow() {
            break;
        }
        // What the attempt left may be what fills the disk; the next one begins anew.
        if error.is_full() {
            registry.drop_job(&job.id);
        }
        time::sleep(Duration::from_secs(pause)).await;
        pause *= 2;
    }
    registry.clear_job(&job.id).await;
}

/// Writes down how an attempt ended.
async fn record(
    registry: &Registry,
    job: &JobRow,
    (stop, outcome): (Option<Stop>, &Result<serde_json::Value, Error>),
) -> Result<(), store::Error> {
    let store = &registry.store;
    match (stop, outcome) {
        (_, Ok(result)) => store.finish(&job.hold(), result.clone()).await,
        (Some(Stop::Cancelled), Err(_)) | (_, Err(Error::Store(store::Error::Cancelled(_)))) => {
            store.set_cancelled(&job.hold()).await
        }
        (Some(Stop::Shutdown), Err(_)) => store.give_back(&job.hold()).await,
        (_, Err(error)) => {
            tracing::warn!(job = %job.id, code = error.code(), "job {} failed: {error}", job.id);
            let temporary = matches!(error.class(), Class::Unavailable | Class::Full);
            let retry = (temporary && job.attempts < registry.limits.attempts)
                .then(|| again_after(job.attempts, error.wait()));
            let failed = Failed { code: error.code(), message: &error.to_string(), retry_after: retry };
            store.fail(&job.hold(), failed).await
        }
    }
}

/// Seconds from an attempt that failed to the next one: those that were asked for, or twice as many each time.
fn again_after(attempts: i32, asked: Option<u64>) -> i64 {
    let usual = 1_i64 << attempts.clamp(0, 10);
    asked.map_or(usual, |wait| usual.max(wait.min(LONGEST_WAIT).cast_signed()))
}

/// How an attempt ended, in words.
fn told(stop: Option<Stop>, outcome: &Result<serde_json::Value, Error>) -> String {
    match (stop, outcome) {
        (Some(Stop::LeaseLost), _) => "another worker took it over".to_owned(),
        (_, Ok(_)) => "done".to_owned(),
        (Some(Stop::Cancelled), Err(_)) => "stopped, as somebody asked".to_owned(),
        (Some(Stop::Shutdown), Err(_)) => "given back: this worker ends".to_owned(),
        (None, Err(error)) => format!("{}: {error}", error.code()),
    }
}

/// The log is for people: a job goes on without it.
async fn log(registry: &Registry, job: &JobRow, lines: &[String]) {
    if let Err(error) = registry.store.log_job(&job.id, lines).await {
        tracing::warn!("{} lines of the log of job {} are not written: {error}", lines.len(), job.id);
    }
}

/// Runs the job beside its heartbeat; a lost lease, a cancel or the end of this process stops the work at its
/// next block.
async fn supervise(
    registry: &Registry,
    kind: &Kind,
    job: &JobRow,
    mut shutdown: watch::Receiver<bool>,
) -> (Option<Stop>, Result<serde_json::Value, Error>) {
    let pulse = Pulse::default();
    let own = Registry { pulse: Some(pulse.clone()), devices: registry.devices.afresh(), ..registry.clone() };
    let run = Run { registry: own, job: job.clone(), pulse: pulse.clone() };
    let (asked, go) = ((registry.clone(), job.clone()), kind.run);
    let mut work = tokio::spawn(async move {
        still_may(&asked.0, &asked.1).await?;
        go(run).await
    });
    let mut beat = time::interval(Duration::from_millis(250));
    let mut watch = Watch::new(pulse);
    let mut leaving = shutdown.clone();
    let mut grace = std::pin::pin!(async {
        let _ = shutdown.wait_for(|over| *over).await;
        time::sleep(GRACE).await;
    });
    let mut end = std::pin::pin!(async {
        let _ = leaving.wait_for(|over| *over).await;
        time::sleep(2 * GRACE).await;
    });
    loop {
        tokio::select! {
            outcome = &mut work => {
                // The last word on progress, so that a finished job does not look half done.
                if let Err(error) = report(registry, job, (&watch.pulse, None)).await {
                    tracing::warn!("the progress of job {} is not written: {error}", job.id);
                }
                return (watch.stop, outcome.unwrap_or_else(|panic| Err(panic.into())));
            }
            () = &mut grace, if watch.stop.is_none() => {
                watch.stop = Some(Stop::Shutdown);
                watch.pulse.stop();
            }
            // Storing and surveying hear no pulse. What they pinned is swept if nobody comes to need it.
            () = &mut end, if !watch.dropped => {
                watch.dropped = true;
                work.abort();
            }
            // Of a lost job another worker makes the same; its blocks must not keep this one.
            () = time::sleep_until(watch.patience), if watch.ends() && !watch.dropped => {
                watch.dropped = true;
                work.abort();
            }
            _ = beat.tick() => watch.beat(registry, job).await,
        }
    }
}

/// What is known of a job while it runs.
struct Watch {
    pulse: Pulse,
    begun: Instant,
    meter: Meter,
    /// Why it is to stop.
    stop: Option<Stop>,
    /// What the pulse said at the last beat, and at how many beats since it changed.
    said: (String, u64, u64),
    unchanged: u32,
    /// Until when it may go on after it was told to stop.
    patience: Instant,
    /// Whether it was given up before it ended.
    dropped: bool,
}

impl Watch {
    fn new(pulse: Pulse) -> Self {
        let begun = Instant::now();
        Self {
            pulse,
            begun,
            meter: Meter::default(),
            stop: None,
            said: (String::new(), u64::MAX, 0),
            unchanged: 0,
            patience: begun + 2 * GRACE,
            dropped: false,
        }
    }

    /// Writes down how far the job is, and hears what is asked of it.
    async fn beat(&mut self, registry: &Registry, job: &JobRow) {
        let now = self.pulse.snapshot();
        let done = now.1.saturating_sub(self.pulse.kept());
        let rate = self.meter.rate(self.begun.elapsed(), &now.0, done);
        self.unchanged = if now == self.said { self.unchanged + 1 } else { 0 };
        self.said = now;
        // An unchanged job is written down only often enough to hear of a cancel.
        if !self.unchanged.is_multiple_of(4) {
            return;
        }
        match report(registry, job, (&self.pulse, rate)).await {
            Ok(Beat::Go) => {}
            Ok(Beat::Cancel) => self.told(Stop::Cancelled),
            Ok(Beat::Lost) => self.told(Stop::LeaseLost),
            Err(error) => tracing::warn!("heartbeat of job {} failed: {error}", job.id),
        }
    }

    fn told(&mut self, heard: Stop) {
        if !self.ends() {
            self.patience = Instant::now() + GRACE;
        }
        if self.stop.is_none() || heard == Stop::LeaseLost {
            self.stop = Some(heard);
        }
        self.pulse.stop();
    }

    /// Whether a job that was told to stop for this is dropped where it does not hear of it.
    fn ends(&self) -> bool {
        matches!(self.stop, Some(Stop::Cancelled | Stop::LeaseLost))
    }
}

/// Writes the progress down and renews the lease, and then the log.
async fn report(
    registry: &Registry,
    job: &JobRow,
    (pulse, rate): (&Pulse, Option<u64>),
) -> Result<Beat, store::Error> {
    let (step, done, total) = pulse.snapshot();
    let progress = JobProgress {
        step,
        done: i64::try_from(done).unwrap_or(i64::MAX),
        total: i64::try_from(total).unwrap_or(i64::MAX),
        rate: rate.map(|rate| i64::try_from(rate).unwrap_or(i64::MAX)),
    };
    let beat = registry.store.heartbeat(&job.hold(), progress, registry.limits.lease_seconds).await?;
    log(registry, job, &pulse.untold()).await;
    Ok(beat)
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use serde_json::json;
    use store::NewJob;

    use super::*;
    use crate::retry::plain;

    /// Hears no pulse.
    const DEAF: Kind =
        Kind { id: "deaf", title: "Deaf", run: |_| Box::pin(std::future::pending()), again: plain };

    /// The pulse of the job that was cancelled.
    static HEARD: OnceLock<Pulse> = OnceLock::new();

    /// Is cancelled once it runs, and looks at no pulse.
    const CANCELLED: Kind = Kind {
        id: "deaf",
        title: "Cancelled",
        run: |run| {
            Box::pin(async move {
                let _ = HEARD.set(run.pulse.clone());
                run.registry.store.cancel(&run.job.id).await?;
                std::future::pending().await
            })
        },
        again: plain,
    };

    /// A registry whose one job was claimed for so many seconds.
    async fn claimed(folder: &tempfile::TempDir, seconds: i64) -> (Registry, JobRow) {
        let store = crate::testing::store(folder).await;
        let new = NewJob { kind: "deaf".to_owned(), payload: json!({}), idempotency_key: None, output: None };
        store.enqueue(new, 1).await.unwrap();
        let job = store.claim(&["deaf"], "worker", seconds).await.unwrap().unwrap();
        (Registry::new(store, domain::Limits::default(), folder.path().join("scratch")), job)
    }

    #[test]
    fn a_job_waits_as_long_as_it_was_asked_to() {
        assert_eq!((again_after(1, None), again_after(2, None)), (2, 4));
        assert_eq!((again_after(1, Some(300)), again_after(4, Some(1))), (300, 16));
        assert_eq!(again_after(1, Some(u64::MAX)), 3_600);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_that_hears_nothing_is_dropped_when_another_worker_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let (registry, job) = claimed(&folder, -1).await;
        registry.store.claim(&["deaf"], "other", 60).await.unwrap().unwrap();
        let (_stop, stopped) = watch::channel(false);

        let (stop, outcome) = supervise(&registry, &DEAF, &job, stopped).await;

        assert!(stop == Some(Stop::LeaseLost) && outcome.is_err(), "{stop:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_that_hears_nothing_is_dropped_when_the_process_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (registry, job) = claimed(&folder, 60).await;
        let (_stop, stopped) = watch::channel(true);

        let (stop, outcome) = supervise(&registry, &DEAF, &job, stopped).await;

        assert!(stop == Some(Stop::Shutdown) && outcome.is_err(), "{stop:?}");
        record(&registry, &job, (stop, &outcome)).await.unwrap();
        let row = registry.store.job(&job.id).await.unwrap().unwrap();
        assert_eq!((row.state.as_str(), row.attempts), ("queued", 0), "as if it had never been taken");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_that_is_cancelled_while_it_runs_is_told_so_and_has_ended_as_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let (registry, job) = claimed(&folder, 60).await;
        let (_stop, stopped) = watch::channel(false);

        let supervised = supervise(&registry, &CANCELLED, &job, stopped);
        let (stop, outcome) = time::timeout(Duration::from_secs(60), supervised).await.unwrap();

        assert!(stop == Some(Stop::Cancelled) && outcome.is_err(), "{stop:?}");
        assert!(HEARD.get().unwrap().cancelled(), "nobody told the work");
        record(&registry, &job, (stop, &outcome)).await.unwrap();
        let row = registry.store.job(&job.id).await.unwrap().unwrap();
        assert_eq!((row.state.as_str(), row.finished_at.is_some()), ("cancelled", true));
    }
}
