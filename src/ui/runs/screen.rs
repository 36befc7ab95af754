//! The loop of the list: keys, news of the folder and the clock in; frames and jobs out.

use super::jobs::Jobs;
use crate::app::picker::Ground;
use crate::app::runs::{Effect, Message, Overlay, Runs, update};
use crate::run::listing::Listing;
use crate::terminal::Screen;
use crate::terminal::signals::Signals;
use crate::theme::Theme;
use crate::ui::input::Typed;
use crate::ui::pacing::Pacing;
use crate::ui::screen::Ending;
use crate::ui::setup::{self, Source};
use crate::ui::{WatchOptions, input, options, picture, screen, study};
use crate::{Error, Result};
use crossterm::event::Event;
use std::path::Path;
use std::time::Duration;

/// So long the first frame waits for the runs.
const FIRST: Duration = Duration::from_millis(30);
/// News are looked for so often while no key is pressed.
const LOOK: Duration = Duration::from_millis(100);

/// Shows the runs in `folder` until the user leaves; no run is touched by that.
///
/// # Errors
/// When the terminal cannot be used.
pub fn list(folder: &Path, options: &WatchOptions) -> Result<()> {
    let signals = Signals::take()?;
    let (screen, theme) = options.claim()?;
    let jobs = Jobs::new(folder)?;
    let mut list = Runs::new(&folder.display().to_string());
    list.ground = Ground { folder: std::env::current_dir().unwrap_or_default(), home: etcetera::home_dir().ok() };
    list.themes = options::themes(&theme);
    let mut turning =
        Loop { list, folder, options, theme, signals, screen, jobs, pacing: Pacing::new(LOOK, options.slow_link) };
    let result = turning.turn();
    let Loop { screen, jobs, .. } = turning;
    // The terminal first: what is still being done may take a moment.
    drop(screen);
    crate::terminal::record::stop();
    jobs.finish();
    result
}

/// What the loop works on.
struct Loop<'a> {
    list: Runs,
    folder: &'a Path,
    options: &'a WatchOptions,
    theme: Theme,
    signals: Signals,
    screen: Screen,
    jobs: Jobs,
    pacing: Pacing,
}

impl Loop<'_> {
    fn turn(&mut self) -> Result<()> {
        if let Some(message) = self.jobs.first(FIRST) {
            update(&mut self.list, message);
        }
        loop {
            if self.signals.quit() {
                return Ok(());
            }
            self.pacing.dirty |= self.screen.heed(&self.signals)?;
            self.tick();
            for message in self.jobs.news().collect::<Vec<_>>() {
                self.pacing.dirty = true;
                update(&mut self.list, message);
            }
            if self.pacing.draws() {
                self.dress();
                let (list, theme) = (&self.list, &self.theme);
                self.screen.draw(|frame| super::draw(list, theme, frame))?;
                if let Some(sentence) = crate::terminal::record::failure() {
                    self.pacing.dirty = true;
                    update(&mut self.list, Message::Toast(sentence));
                }
            }
            if self.keys(self.pacing.wait(false))? {
                return Ok(());
            }
        }
    }

    /// The clock: ages, toasts, and a log that may have grown.
    fn tick(&mut self) {
        let now = crate::run::now();
        if !self.pacing.ticks(now) {
            return;
        }
        self.pacing.dirty = true;
        update(&mut self.list, Message::Tick(now));
        // A second draws anyway.
        if let Err(e) = self.options.refresh(&mut self.theme) {
            update(&mut self.list, Message::Toast(e.to_string()));
        }
        if let Some(Overlay::Log { path, .. }) = &self.list.overlay {
            self.jobs.begin(Effect::ReadLog(path.clone()));
        }
    }

    /// Puts on the theme that the user wants.
    fn dress(&mut self) {
        if let Err(e) = self.options.dress(&mut self.theme, &mut self.list.themes) {
            update(&mut self.list, Message::Toast(e.to_string()));
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
            for effect in update(&mut self.list, message) {
                if effect == Effect::Quit {
                    return Ok(true);
                }
                self.carry_out(effect)?;
            }
        }
        Ok(false)
    }

    fn carry_out(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Watch(path) => self.watch(&path)?,
            Effect::Study(path) => self.study(&path)?,
            Effect::New => self.set_up(&Source::New(None))?,
            Effect::Clone(path) => self.set_up(&Source::Run(path, Vec::new()))?,
            Effect::Edit(path) => self.set_up(&Source::File(path))?,
            Effect::Suspend => self.screen.suspend(&self.signals)?,
            Effect::Redraw => self.screen.redraw()?,
            other => self.jobs.begin(other),
        }
        Ok(())
    }

    /// The screen of a run, and back.
    fn watch(&mut self, path: &Path) -> Result<()> {
        self.jobs.look(false);
        self.dress();
        let result = screen::show(path, self.options, &mut self.theme, &mut self.screen, &self.signals, true);
        match result {
            Ok(Ending { set_up: Some(rules), .. }) => self.set_up(&Source::Run(path.to_path_buf(), rules)),
            other => self.back(other.map(drop)),
        }
    }

    /// The screen of an evaluation or a sweep, and back.
    fn study(&mut self, path: &Path) -> Result<()> {
        self.jobs.look(false);
        self.dress();
        let result = study::screen::show(path, self.options, &mut self.theme, &mut self.screen, &self.signals);
        self.back(result)
    }

    /// The recipe form, and back.
    fn set_up(&mut self, source: &Source) -> Result<()> {
        self.jobs.look(false);
        self.dress();
        let (theme, signals) = (&mut self.theme, &self.signals);
        let result = setup::screen::show(source, self.folder, self.options, theme, &mut self.screen, signals);
        self.back(result)
    }

    fn back(&mut self, result: Result<()>) -> Result<()> {
        self.jobs.look(true);
        self.pacing.dirty = true;
        self.list.themes = options::themes(&self.theme);
        match result {
            Ok(()) => Ok(()),
            // The run may be gone; the terminal is still there.
            Err(e @ Error::User(_)) => {
                update(&mut self.list, Message::Toast(e.to_string()));
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
}

/// The list of `folder` at `size` after `keys`, as SVG.
///
/// # Errors
/// When the folder cannot be read, or a key has no meaning or would change something.
pub fn picture_of_list(folder: &Path, theme: &Theme, (width, height): (u16, u16), keys: &[String]) -> Result<String> {
    let mut list = Runs::new(&folder.display().to_string());
    update(&mut list, Message::Tick(crate::run::now()));
    update(&mut list, Message::Rows(Listing::new(folder).scan_all()?));
    for key in keys {
        picture::check_key(key)?;
        for effect in update(&mut list, Message::Key(key.clone())) {
            match effect {
                Effect::Compare(_) | Effect::ReadLog(_) => {
                    for message in super::jobs::work(effect, folder)? {
                        update(&mut list, message);
                    }
                }
                Effect::Redraw | Effect::Suspend | Effect::Quit => {}
                _ => return Err(Error::user(format!("the key {key:?} leads out of the list; a picture does not"))),
            }
        }
    }
    list.toast = None;
    let buffer = picture::drawn((width, height), |frame| super::draw(&list, theme, frame))?;
    Ok(crate::ui::export::svg(&buffer, theme.picture))
}
