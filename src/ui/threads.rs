//! Threads that screens have others work on.

use crate::{Error, Result};
use std::process::Child;
use std::thread::JoinHandle;

/// Begins a thread.
///
/// # Errors
/// When the system has none left.
pub(super) fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(|e| Error::fault(format!("no thread could be started: {e}")))
}

/// Waits for a worker aside, so that it does not stay behind as a zombie while this process lives.
///
/// # Errors
/// As [`thread`].
pub(super) fn wait_for(mut worker: Child) -> Result<()> {
    thread("worker", move || drop(worker.wait())).map(drop)
}

/// Jobs under way.
#[derive(Debug, Default)]
pub(super) struct Running(Vec<JoinHandle<()>>);

impl Running {
    /// Begins a job.
    ///
    /// # Errors
    /// As [`thread`].
    pub(super) fn begin(&mut self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        self.0.retain(|job| !job.is_finished());
        self.0.push(thread("job", job)?);
        Ok(())
    }

    /// Whether nothing is under way.
    pub(super) fn is_done(&self) -> bool {
        self.0.iter().all(JoinHandle::is_finished)
    }

    /// Waits for all.
    pub(super) fn finish(self) {
        for job in self.0 {
            job.join().ok();
        }
    }
}
