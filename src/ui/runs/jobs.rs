//! What the list has others do: each on a thread of its own, so that a slow disk never holds up a key.

use crate::app::runs::{Effect, Message};
use crate::recipe::Recipe;
use crate::run::control::Command;
use crate::run::listing::{Listing, Summary};
use crate::run::{RunDir, compare, control, launch, remove};
use crate::ui::files;
use crate::ui::threads::{Running, thread, wait_for};
use crate::{Error, Result, demo, study};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// The folder is looked at so often.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes of a log's end that are shown.
const LOG: u64 = 64 * 1024;

/// Threads at work for the list, and what they have to say.
#[derive(Debug)]
pub(super) struct Jobs {
    folder: PathBuf,
    sender: Sender<Message>,
    news: Receiver<Message>,
    /// Wakes the scanner before its time.
    wake: Sender<()>,
    /// Nobody looks at the list: the scanner rests.
    away: Arc<AtomicBool>,
    running: Running,
}

impl Jobs {
    /// Begins to look at `folder`.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let (sender, news) = mpsc::channel();
        let (wake, woken) = mpsc::channel::<()>();
        let away = Arc::new(AtomicBool::new(false));
        let (to, rests, mut listing) = (sender.clone(), Arc::clone(&away), Listing::new(folder));
        thread("runs", move || {
            let mut last: Option<Result<Vec<Summary>>> = None;
            loop {
                if !rests.load(Ordering::Relaxed) {
                    let now = listing.scan_all();
                    if last.as_ref() != Some(&now) {
                        let message = match &now {
                            Ok(rows) => Message::Rows(rows.clone()),
                            Err(e) => Message::Unreadable(e.to_string()),
                        };
                        if to.send(message).is_err() {
                            return;
                        }
                        last = Some(now);
                    }
                }
                match woken.recv_timeout(LOOK) {
                    // Several wishes are one look.
                    Ok(()) => while woken.try_recv().is_ok() {},
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { folder: folder.to_path_buf(), sender, news, wake, away, running: Running::default() })
    }

    /// What was said since the last call.
    pub(super) fn news(&self) -> impl Iterator<Item = Message> + '_ {
        self.news.try_iter()
    }

    /// What is said first, within `wait`.
    pub(super) fn first(&self, wait: Duration) -> Option<Message> {
        self.news.recv_timeout(wait).ok()
    }

    /// Whether somebody looks at the list.
    pub(super) fn look(&self, there: bool) {
        self.away.store(!there, Ordering::Relaxed);
        self.wake.send(()).ok();
    }

    /// Begins what an effect asks for; what concerns the terminal is not for this room.
    pub(super) fn begin(&mut self, effect: Effect) {
        let (sender, wake, folder) = (self.sender.clone(), self.wake.clone(), self.folder.clone());
        let begun = self.running.begin(move || {
            for message in work(effect, &folder).unwrap_or_else(|e| vec![Message::Toast(e.to_string())]) {
                sender.send(message).ok();
            }
            wake.send(()).ok();
        });
        if let Err(e) = begun {
            self.sender.send(Message::Toast(e.to_string())).ok();
        }
    }

    /// Waits for what was begun: nothing is left half deleted or half started.
    pub(super) fn finish(self) {
        self.running.finish();
    }
}

/// Does what an effect asks for, and says what came of it.
pub(super) fn work(effect: Effect, folder: &Path) -> Result<Vec<Message>> {
    let said = |text: String| Ok(vec![Message::Toast(text)]);
    match effect {
        Effect::Save(path, notes) => notes.write(&path).map(|()| Vec::new()),
        Effect::Send(path, Command::Stop) if study::is_one(&path) => {
            said(format!("stop: sent to {}", study::stop(&path)?))
        }
        Effect::Send(path, command) => {
            let name = command.name();
            control::send(&path, command)?;
            said(format!("{name}: sent to {}", RunDir::open(&path)?.name()))
        }
        Effect::Resume(path) if study::is_one(&path) => {
            wait_for(study::launch::resume(&path)?)?;
            said("it goes on: what is finished is not run again".to_owned())
        }
        Effect::Resume(path) => begin(&RunDir::open(&path)?),
        Effect::Demo => {
            let recipe = Recipe::read(&demo::prepare()?)?;
            recipe.check_files()?;
            begin(&RunDir::create(folder, &recipe.name, &recipe)?)
        }
        Effect::Delete(path) if study::is_one(&path) => {
            study::remove(&path)?;
            said(format!("deleted {}", path.file_name().unwrap_or_default().to_string_lossy()))
        }
        Effect::Delete(path) => {
            let run = RunDir::open(&path)?;
            remove::remove(&run)?;
            said(format!("deleted {}", run.name()))
        }
        Effect::Compare(paths) => {
            let runs = paths.iter().map(|path| RunDir::open(path)).collect::<Result<Vec<_>>>()?;
            Ok(vec![Message::Compared(compare::all(&runs)?)])
        }
        Effect::Recipes(place) => Ok(vec![Message::Recipes(files::recipes(&place, None))]),
        Effect::ListFolder(place) => Ok(vec![Message::Listed(place.clone(), files::list(&place))]),
        Effect::ReadLog(path) => Ok(vec![Message::Log(path.clone(), log(&path)?)]),
        Effect::New | Effect::Clone(_) | Effect::Edit(_) => Ok(Vec::new()),
        Effect::Watch(_) | Effect::Study(_) | Effect::Quit | Effect::Suspend | Effect::Redraw => Ok(Vec::new()),
    }
}

/// Starts a worker on the run.
fn begin(run: &RunDir) -> Result<Vec<Message>> {
    wait_for(launch::launch(run)?)?;
    let text = format!("{} has a worker; enter watches it", run.name());
    Ok(vec![Message::Begun(run.path().to_path_buf()), Message::Toast(text)])
}

/// The last lines of `worker.log`; the first of them is left out where it is cut.
fn log(run: &Path) -> Result<Vec<String>> {
    let path = run.join("worker.log");
    let mut file = match crate::bounded::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", &path, &e)),
    };
    let mut read = || {
        let length = file.metadata()?.len();
        let from = length.saturating_sub(LOG);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        (&mut file).take(LOG).read_to_end(&mut bytes)?;
        Ok((bytes, from > 0))
    };
    let (bytes, cut) = read().map_err(|e: std::io::Error| Error::io("read", &path, &e))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().skip(usize::from(cut)).map(str::to_owned).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_read() {
        let run = tempfile::tempdir().unwrap();
        assert!(log(run.path()).unwrap().is_empty());
        let text: Vec<String> = (0..20_000).map(|i| format!("line {i}")).collect();
        std::fs::write(run.path().join("worker.log"), text.join("\n") + "\n").unwrap();
        let lines = log(run.path()).unwrap();
        assert!(lines.len() > 5000 && lines.len() < 10_000, "{}", lines.len());
        assert!(lines[0].starts_with("line 1") && lines[0].len() == 10, "{}", lines[0]);
        assert_eq!(lines.last().map(String::as_str), Some("line 19999"));
    }
}
