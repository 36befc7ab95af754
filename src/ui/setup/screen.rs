//! The loop of the form: keys, news of what was looked at and the clock in; frames and jobs out.

use super::super::input::Typed;
use super::super::{WatchOptions, files, input, screen};
use super::jobs::Jobs;
use super::unsaved;
use crate::app::setup::{Effect, Message, Setup, update};
use crate::recipe::draft::NEW;
use crate::run::RunDir;
use crate::terminal::Screen;
use crate::terminal::signals::Signals;
use crate::theme::Theme;
use crate::{Error, Result};
use crossterm::event::Event;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// At most thirty frames a second.
const FRAME: Duration = Duration::from_millis(33);
/// News are looked for so often while no key is pressed.
const LOOK: Duration = Duration::from_millis(50);

/// What the form begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A new recipe in this file, which must not be there; in a free one if none is named.
    New(Option<PathBuf>),
    /// A recipe that is there.
    File(PathBuf),
    /// A copy of a run's recipe, in a free file.
    Run(PathBuf),
}

impl Source {
    /// The form on it.
    ///
    /// # Errors
    /// When the file is there and should not be, cannot be read, or is no TOML.
    pub(super) fn form(&self) -> Result<Setup> {
        let whole = |path: &Path| std::path::absolute(path).map_err(|e| Error::io("find", path, &e));
        let home = etcetera::home_dir().ok();
        match self {
            Self::New(file) => {
                let file = match file {
                    Some(file) => whole(file)?,
                    None => files::free_recipe(&whole(Path::new("recipe.toml"))?.with_file_name(""), "recipe"),
                };
                if file.exists() {
                    let place = file.display();
                    return Err(Error::user(format!("{place} is there already; `lopper edit` opens it")));
                }
                let folder = file.parent().unwrap_or(Path::new("/"));
                if !folder.is_dir() {
                    return Err(Error::io("write in", folder, &std::io::Error::from(std::io::ErrorKind::NotFound)));
                }
                Setup::new(&file, NEW, None, home)
            }
            Self::File(path) => {
                let path = whole(path)?;
                let text = files::read_recipe(&path)?;
                let place = crate::text::printable(&path.display().to_string()).into_owned();
                Setup::new(&path, &text, Some(text.clone()), home).map_err(|e| e.at(place))
            }
            Self::Run(path) => {
                let run = RunDir::open(path)?;
                let recipe = run.recipe()?;
                let file = files::free_recipe(&whole(Path::new("x"))?.with_file_name(""), &recipe.name);
                let text = format!("# From the run {}.\n{}", crate::text::printable(&run.name()), recipe.to_toml()?);
                Setup::new(&file, &text, None, home)
            }
        }
    }
}

/// Opens the form until the user leaves; its runs go into `runs`.
///
/// # Errors
/// When the recipe cannot be opened or the terminal cannot be used.
pub fn edit(source: &Source, runs: &Path, options: &WatchOptions) -> Result<()> {
    let form = source.form()?;
    let signals = Signals::take()?;
    let (mut screen, theme) = options.claim()?;
    let result = turn(form, runs, options, &theme, &mut screen, &signals);
    // The terminal first: what is still being done may take a moment.
    drop(screen);
    crate::terminal::record::stop();
    result?.finish();
    Ok(())
}

/// Opens the form on a screen that is ours already.
///
/// # Errors
/// When the recipe cannot be opened, or the terminal is gone.
pub fn show(
    source: &Source,
    runs: &Path,
    options: &WatchOptions,
    theme: &Theme,
    screen: &mut Screen,
    signals: &Signals,
) -> Result<()> {
    turn(source.form()?, runs, options, theme, screen, signals)?.finish();
    Ok(())
}

fn turn(
    form: Setup,
    runs: &Path,
    options: &WatchOptions,
    theme: &Theme,
    screen: &mut Screen,
    signals: &Signals,
) -> Result<Jobs> {
    let jobs = Jobs::new(runs)?;
    let mut turning = Loop { form, options, theme, screen, signals, jobs, dirty: true };
    // What is said at once stays as long as what is said later.
    update(&mut turning.form, Message::Tick(crate::run::now()));
    let first = turning.form.begin();
    turning.carry_out(first)?;
    turning.turn()?;
    Ok(turning.jobs)
}

/// What the loop works on.
struct Loop<'a> {
    form: Setup,
    options: &'a WatchOptions,
    theme: &'a Theme,
    screen: &'a mut Screen,
    signals: &'a Signals,
    jobs: Jobs,
    dirty: bool,
}

impl Loop<'_> {
    fn turn(&mut self) -> Result<()> {
        let mut drawn: Option<Instant> = None;
        let mut second = 0;
        loop {
            if self.signals.quit() {
                return Ok(());
            }
            self.dirty |= self.screen.heed(self.signals)?;
            let now = crate::run::now();
            if now as u64 != second {
                second = now as u64;
                self.dirty |= self.form.toast.is_some();
                update(&mut self.form, Message::Tick(now));
            }
            for message in self.jobs.news().collect::<Vec<_>>() {
                if self.take(message)? {
                    return Ok(());
                }
            }
            if self.dirty && drawn.is_none_or(|at| at.elapsed() >= FRAME) {
                let (form, theme) = (&self.form, self.theme);
                self.screen.draw(|frame| super::draw(form, theme, frame))?;
                drawn = Some(Instant::now());
                self.dirty = false;
            }
            let wait = match drawn {
                Some(at) if self.dirty => FRAME.saturating_sub(at.elapsed()),
                _ => LOOK,
            };
            if self.keys(wait)? {
                return Ok(());
            }
        }
    }

    /// Takes everything that is typed within `wait`; true to leave.
    fn keys(&mut self, mut wait: Duration) -> Result<bool> {
        while let Some(event) = self.screen.event(wait)? {
            wait = Duration::ZERO;
            self.dirty |= matches!(event, Event::Resize(..));
            let message = input::typed(event).map(|typed| match typed {
                Typed::Key(key) => Message::Key(key),
                Typed::Paste(text) => Message::Paste(text),
            });
            if let Some(message) = message
                && self.take(message)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One message and what comes of it; true to leave.
    fn take(&mut self, message: Message) -> Result<bool> {
        self.dirty = true;
        let effects = update(&mut self.form, message);
        let leaves = self.carry_out(effects)?;
        // What is left by intention is saved or dropped.
        self.jobs.keep(self.form.kept().filter(|_| !leaves));
        Ok(leaves)
    }

    /// What comes of a message; true to leave.
    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<bool> {
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(true),
                Effect::Watch(path) => self.watch(&path)?,
                Effect::Suspend => self.screen.suspend(self.signals)?,
                Effect::Redraw => self.screen.redraw()?,
                Effect::Recover { file, saved } => {
                    // Before the first key: it asks a question.
                    let found = unsaved::find(&file, saved.as_deref());
                    update(&mut self.form, Message::Unsaved(found));
                }
                other => self.jobs.begin(other),
            }
        }
        Ok(false)
    }

    /// The screen of a run, and back.
    fn watch(&mut self, path: &Path) -> Result<()> {
        let result = screen::show(path, self.options, self.theme, self.screen, self.signals, true);
        self.dirty = true;
        match result {
            Ok(_) => Ok(()),
            // The run may be gone; the terminal is still there.
            Err(e @ Error::User(_)) => {
                update(&mut self.form, Message::Toast(e.to_string()));
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
}
