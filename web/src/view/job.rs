//! Work in the background.

use super::{Bytes, When};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JobState {
    #[default]
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl JobState {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the stored word; anything unknown counts as queued.
    pub fn read(word: &str) -> Self {
        [Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == word)
            .unwrap_or_default()
    }

    /// Nothing more will happen.
    pub const fn over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// A result or an ingredient.
#[derive(Debug, Clone, Default)]
pub struct JobLink {
    pub label: String,
    /// An address on this site.
    pub href: String,
}

/// One job in the list.
#[derive(Debug, Clone, Default)]
pub struct JobRow {
    pub id: String,
    pub kind: String,
    pub state: JobState,
    pub step: Option<String>,
    /// The model that it makes or is about.
    pub output: Option<String>,
    pub done: u64,
    /// Zero when not known yet.
    pub total: u64,
    /// Bytes a second of late.
    pub rate: Option<u64>,
    /// Seconds until the step ends.
    pub eta: Option<u64>,
    pub created_at: i64,
    pub finished_at: Option<i64>,
}

impl JobRow {
    pub(crate) fn created(&self) -> When {
        When(self.created_at)
    }

    /// Whole percent done of the step, where that is known; full when the job has succeeded.
    pub(crate) fn percent(&self) -> Option<u64> {
        match self.total {
            _ if self.state == JobState::Succeeded => Some(100),
            0 => None,
            total => Some((u128::from(self.done.min(total)) * 100 / u128::from(total)) as u64),
        }
    }

    /// Its step; of a job that is over when that was, or where it failed.
    pub(crate) fn told(&self) -> String {
        let step = self.step.clone().unwrap_or_default();
        match (self.state, self.finished_at) {
            (JobState::Failed, _) if !step.is_empty() => format!("failed while {step}"),
            (state, Some(at)) if state.over() => format!("ended at {}", When(at).clock()),
            (state, _) if state.over() => String::new(),
            _ => step,
        }
    }

    /// The same in words; empty while it is not known.
    pub(crate) fn share(&self) -> String {
        match self.percent() {
            Some(_) if self.state == JobState::Succeeded => "100%".to_owned(),
            Some(percent) => format!("{percent}% of this step"),
            None => String::new(),
        }
    }

    /// `1.2 GiB of 3.4 GiB`; empty while it is not known.
    pub(crate) fn amount(&self) -> String {
        match self.total {
            0 => String::new(),
            total => format!("{} of {}", Bytes(self.done.min(total)), Bytes(total)),
        }
    }
}

impl JobRow {
    /// `12.0 MiB a second, 3 min 20 s left`; empty while nothing is known.
    pub(crate) fn pace(&self) -> String {
        let left = |eta: u64| match (eta / 3600, eta / 60 % 60, eta % 60) {
            (0, 0, seconds) => format!(", {seconds} s left"),
            (0, minutes, seconds) => format!(", {minutes} min {seconds} s left"),
            (hours, minutes, _) => format!(", {hours} h {minutes} min left"),
        };
        let rate = self.rate.filter(|_| self.state == JobState::Running);
        rate.map(|rate| format!("{} a second{}", Bytes(rate), self.eta.map(left).unwrap_or_default()))
            .unwrap_or_default()
    }
}

/// One job in full.
#[derive(Debug, Clone, Default)]
pub struct JobPage {
    pub row: JobRow,
    pub started_at: Option<i64>,
    pub attempts: u64,
    pub cancel_requested: bool,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub inputs: Vec<JobLink>,
    pub outputs: Vec<JobLink>,
    /// Numbers of the result, as label and text.
    pub facts: Vec<(&'static str, String)>,
    /// What computed it, and why.
    pub device: Option<String>,
    /// The request as text.
    pub request: Option<String>,
    /// The last lines of its log: unix seconds and text, oldest first.
    pub log: Vec<(i64, String)>,
    /// Jobs that wait and were asked for before it, while it waits itself.
    pub before: Option<u64>,
    /// Whether it can be asked for once more.
    pub again: bool,
    /// Whether whoever looks may stop it.
    pub stoppable: bool,
}

impl JobPage {
    /// How long its last attempt took, once it is over.
    pub(crate) fn took(&self) -> Option<String> {
        let seconds = u64::try_from(self.row.finished_at? - self.started_at?).ok()?;
        Some(match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, 0) => "less than a second".to_owned(),
            (0, 0, seconds) => format!("{seconds} s"),
            (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
            (hours, minutes, _) => format!("{hours} h {minutes} min"),
        })
    }

    /// What its error code means.
    pub(crate) fn meaning(&self) -> Option<&'static str> {
        let code = self.error_code.as_deref()?;
        http::CODES.iter().find(|known| known.code == code).map(|known| known.meaning)
    }

    /// Its log with the day before each line that begins one.
    pub(crate) fn lines(&self) -> Vec<(Option<When>, When, &str)> {
        let mut last = String::new();
        let mut lines = Vec::new();
        for (at, line) in &self.log {
            let at = When(*at);
            let before = std::mem::replace(&mut last, at.to_string());
            lines.push(((before != last).then_some(at), at, line.as_str()));
        }
        lines
    }

    /// How many wait before it, while it waits itself.
    pub(crate) fn place(&self) -> Option<String> {
        self.before.map(|before| match before {
            0 => "It is the next one.".to_owned(),
            before => format!("{} before it.", super::plural(before, "job waits", "jobs wait")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_over_tells_how_it_ended_and_how_long_it_took() {
        let row = |state| JobRow {
            state,
            step: Some("merging".to_owned()),
            finished_at: Some(1_732_400_125),
            ..JobRow::default()
        };
        let job = |row| JobPage { row, started_at: Some(1_732_400_000), ..JobPage::default() };

        assert_eq!(row(JobState::Running).told(), "merging");
        assert_eq!(row(JobState::Failed).told(), "failed while merging");
        assert_eq!(row(JobState::Succeeded).told(), "ended at 22:15:25");
        assert_eq!(job(row(JobState::Succeeded)).took().as_deref(), Some("2 min 5 s"));
        assert_eq!(JobPage::default().took(), None);
    }
}
