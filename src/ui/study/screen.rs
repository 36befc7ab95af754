//! The loop of the screen: keys, news of the folder and the clock in; frames out.

use crate::app::study::{Effect, Message, Study, update};
use crate::run::RunDir;
use crate::study::{Reader, Standing};
use crate::terminal::Screen;
use crate::terminal::signals::Signals;
use crate::theme::Theme;
use crate::ui::input::Typed;
use crate::ui::pacing::Pacing;
use crate::ui::screen::Ending;
use crate::ui::setup::{self, Source};
use crate::ui::threads::thread;
use crate::ui::{WatchOptions, input, options, picture, screen};
use crate::{Error, Result};
use crossterm::event::Event;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

/// So long the first frame waits for the folder.
const FIRST: Duration = Duration::from_millis(30);
/// News are looked for so often while no key is pressed.
const LOOK: Duration = Duration::from_millis(100);
/// The folder is read so often.
const READ: Duration = Duration::from_secs(1);

/// Shows the evaluation or the sweep in `folder` until the user leaves; what is under way goes on.
///
/// # Errors
/// When it is none, or the terminal cannot be used.
pub fn watch(folder: &Path, options: &WatchOptions) -> Result<()> {
    let signals = Signals::take()?;
    let (mut screen, mut theme) = options.claim()?;
    let result = show(folder, options, &mut theme, &mut screen, &signals);
    drop(screen);
    crate::terminal::record::stop();
    result
}

/// Shows it on a screen that is ours already; `theme` is the one that is on in the end.
///
/// # Errors
/// When it is none, or the terminal is gone.
pub(in crate::ui) fn show(
    folder: &Path,
    options: &WatchOptions,
    theme: &mut Theme,
    screen: &mut Screen,
    signals: &Signals,
) -> Result<()> {
    let mut study = Study::new(&label(folder));
    study.themes = options::themes(theme);
    let follower = Follower::new(folder)?;
    let mut turning =
        Loop { study, folder, options, theme, screen, signals, follower, pacing: Pacing::new(LOOK, options.slow_link) };
    turning.turn()?;
    // What was chosen with the last keys was not drawn any more.
    turning.dress();
    Ok(())
}

fn label(folder: &Path) -> String {
    folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Reads the folder on a thread of its own, until it is dropped.
struct Follower {
    news: Receiver<Message>,
    wake: Sender<()>,
    /// Nobody looks: it rests.
    away: Arc<AtomicBool>,
}

impl Follower {
    fn new(folder: &Path) -> Result<Self> {
        let mut reader = Reader::new(folder)?;
        let (to, news) = mpsc::channel();
        let (wake, woken) = mpsc::channel::<()>();
        let away = Arc::new(AtomicBool::new(false));
        let rests = Arc::clone(&away);
        thread("study", move || {
            let mut last: Option<Result<Standing>> = None;
            loop {
                if !rests.load(Ordering::Relaxed) {
                    let now = reader.look();
                    if last.as_ref() != Some(&now) {
                        let message = match &now {
                            Ok(standing) => Message::Standing(Box::new(standing.clone())),
                            Err(e) => Message::Unreadable(e.to_string()),
                        };
                        if to.send(message).is_err() {
                            return;
                        }
                        last = Some(now);
                    }
                }
                match woken.recv_timeout(READ) {
                    Ok(()) => while woken.try_recv().is_ok() {},
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { news, wake, away })
    }

    fn look(&self, there: bool) {
        self.away.store(!there, Ordering::Relaxed);
        self.wake.send(()).ok();
    }
}

/// What the loop works on.
struct Loop<'a> {
    study: Study,
    folder: &'a Path,
    options: &'a WatchOptions,
    theme: &'a mut Theme,
    screen: &'a mut Screen,
    signals: &'a Signals,
    follower: Follower,
    pacing: Pacing,
}

impl Loop<'_> {
    fn turn(&mut self) -> Result<()> {
        if let Ok(message) = self.follower.news.recv_timeout(FIRST) {
            update(&mut self.study, message);
        }
        loop {
            if self.signals.quit() {
                return Ok(());
            }
            self.pacing.dirty |= self.screen.heed(self.signals)?;
            self.tick();
            for message in self.follower.news.try_iter().collect::<Vec<_>>() {
                self.pacing.dirty = true;
                update(&mut self.study, message);
            }
            if self.pacing.draws() {
                self.dress();
                let (study, theme) = (&self.study, &*self.theme);
                self.screen.draw(|frame| super::draw(study, theme, frame))?;
                if let Some(sentence) = crate::terminal::record::failure() {
                    self.pacing.dirty = true;
                    update(&mut self.study, Message::Toast(sentence));
                }
            }
            if self.keys(self.pacing.wait(false))? {
                return Ok(());
            }
        }
    }

    /// The clock: toasts, and a theme whose file may have been written.
    fn tick(&mut self) {
        let now = crate::run::now();
        if !self.pacing.ticks(now) {
            return;
        }
        self.pacing.dirty |= self.study.toast.is_some();
        update(&mut self.study, Message::Tick(now));
        match self.options.refresh(self.theme) {
            Ok(read) => self.pacing.dirty |= read,
            Err(e) => {
                self.pacing.dirty = true;
                update(&mut self.study, Message::Toast(e.to_string()));
            }
        }
    }

    /// Puts on the theme that the user wants.
    fn dress(&mut self) {
        if let Err(e) = self.options.dress(self.theme, &mut self.study.themes) {
            update(&mut self.study, Message::Toast(e.to_string()));
        }
    }

    /// Takes everything that is typed within `wait`; true to leave.
    fn keys(&mut self, mut wait: Duration) -> Result<bool> {
        while let Some(event) = self.screen.event(wait)? {
            wait = Duration::ZERO;
            self.pacing.dirty |= matches!(event, Event::Resize(..));
            let message = input::typed(event).map(|typed| match typed {
                Typed::Key(key) => Message::Key(key),
                Typed::Paste(text) => Message::Paste(text),
            });
            let Some(message) = message else { continue };
            (self.pacing.dirty, self.pacing.keyed) = (true, true);
            for effect in update(&mut self.study, message) {
                match effect {
                    Effect::Quit => return Ok(true),
                    Effect::Watch { run, method } => self.watch(&run, method.as_deref())?,
                    Effect::Suspend => self.screen.suspend(self.signals)?,
                    Effect::Redraw => self.screen.redraw()?,
                }
            }
        }
        Ok(false)
    }

    /// The screen of a run, at the method of the row, and back.
    fn watch(&mut self, path: &Path, method: Option<&str>) -> Result<()> {
        self.follower.look(false);
        self.dress();
        // A run that is gone is told here; the screen of a run would begin with nothing.
        let result = RunDir::open(path)
            .and_then(|_| screen::show_at(path, method, self.options, self.theme, self.screen, self.signals));
        let result = match result {
            Ok(Ending { set_up: Some(rules), .. }) => {
                let source = Source::Run(path.to_path_buf(), rules);
                let runs = self.folder.parent().unwrap_or(self.folder);
                setup::screen::show(&source, runs, self.options, self.theme, self.screen, self.signals)
            }
            other => other.map(drop),
        };
        self.follower.look(true);
        self.pacing.dirty = true;
        self.study.themes = options::themes(self.theme);
        match result {
            Ok(()) => Ok(()),
            // The terminal is still there.
            Err(e @ Error::User(_)) => {
                update(&mut self.study, Message::Toast(e.to_string()));
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
}

/// The screen of an evaluation or a sweep at `size` after `keys`, as SVG.
///
/// # Errors
/// When the folder cannot be read, or a key has no meaning or leads out of it.
pub fn picture_of_study(folder: &Path, theme: &Theme, size: (u16, u16), keys: &[String]) -> Result<String> {
    let mut study = Study::new(&label(folder));
    let standing = Reader::new(folder)?.look()?;
    update(&mut study, Message::Standing(Box::new(standing)));
    for key in keys {
        picture::check_key(key)?;
        for effect in update(&mut study, Message::Key(key.clone())) {
            if matches!(effect, Effect::Watch { .. }) {
                return Err(Error::user(format!("the key {key:?} leads out of the table; a picture does not")));
            }
        }
    }
    study.toast = None;
    let buffer = picture::drawn(size, |frame| super::draw(&study, theme, frame))?;
    Ok(crate::ui::export::svg(&buffer, theme.picture))
}
