//! The loop of the form: keys, news of what was looked at and the clock in; frames and jobs out.

use super::super::input::Typed;
use super::super::pacing::Pacing;
use super::super::{WatchOptions, files, input, options, screen, study};
use super::jobs::Jobs;
use super::places::Places;
use super::unsaved;
use crate::app::setup::{Effect, Message, Setup, update};
use crate::recipe::draft::NEW;
use crate::recipe::ratios::Rule;
use crate::run::RunDir;
use crate::terminal::Screen;
use crate::terminal::signals::Signals;
use crate::theme::Theme;
use crate::{Error, Result};
use crossterm::event::Event;
use ratatui::layout::Rect;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// News are looked for so often while no key is pressed.
const LOOK: Duration = Duration::from_millis(50);

/// What the form begins with.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A new recipe in this file, which must not be there; in a free one if none is named.
    New(Option<PathBuf>),
    /// A recipe that is there.
    File(PathBuf),
    /// A copy of a run's recipe, in a free file, with these prune rules in the place of its own if there are any.
    Run(PathBuf, Vec<Rule>),
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
            Self::Run(path, rules) => {
                let run = RunDir::open(path)?;
                let mut recipe = run.recipe()?;
                if !rules.is_empty() {
                    recipe.prune.rules.clone_from(rules);
                }
                let file = files::free_recipe(&whole(Path::new("x"))?.with_file_name(""), &recipe.name);
                let text = format!("# From the run {}.\n{}", crate::text::printable(&run.name()), recipe.to_toml()?);
                let mut form = Setup::new(&file, &text, None, home)?;
                form.run = Some(run.path().to_path_buf());
                Ok(form)
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
    let (mut screen, mut theme) = options.claim()?;
    let result = turn(form, runs, options, &mut theme, &mut screen, &signals);
    // The terminal first: what is still being done may take a moment.
    drop(screen);
    crate::terminal::record::stop();
    result?.finish();
    Ok(())
}

/// Opens the form on a screen that is ours already; `theme` is the one that is on in the end.
///
/// # Errors
/// When the recipe cannot be opened, or the terminal is gone.
pub fn show(
    source: &Source,
    runs: &Path,
    options: &WatchOptions,
    theme: &mut Theme,
    screen: &mut Screen,
    signals: &Signals,
) -> Result<()> {
    turn(source.form()?, runs, options, theme, screen, signals)?.finish();
    Ok(())
}

fn turn(
    mut form: Setup,
    runs: &Path,
    options: &WatchOptions,
    theme: &mut Theme,
    screen: &mut Screen,
    signals: &Signals,
) -> Result<Jobs> {
    let jobs = Jobs::new(runs)?;
    form.themes = options::themes(theme);
    let mut turning =
        Loop { form, options, theme, screen, signals, jobs, pacing: Pacing::new(LOOK, options.slow_link), runs };
    // What is said at once stays as long as what is said later.
    update(&mut turning.form, Message::Tick(crate::run::now()));
    let first = turning.form.begin();
    turning.carry_out(first)?;
    turning.turn()?;
    // What was chosen with the last keys was not drawn any more.
    turning.dress();
    Ok(turning.jobs)
}

/// What the loop works on.
struct Loop<'a> {
    form: Setup,
    options: &'a WatchOptions,
    theme: &'a mut Theme,
    screen: &'a mut Screen,
    signals: &'a Signals,
    jobs: Jobs,
    pacing: Pacing,
    /// The folder of the runs.
    runs: &'a Path,
}

impl Loop<'_> {
    fn turn(&mut self) -> Result<()> {
        loop {
            if self.signals.quit() {
                return Ok(());
            }
            self.pacing.dirty |= self.screen.heed(self.signals)?;
            self.tick();
            for message in self.jobs.news().collect::<Vec<_>>() {
                if self.take(message)? {
                    return Ok(());
                }
            }
            if self.pacing.draws() {
                self.dress();
                let (form, theme) = (&self.form, &*self.theme);
                self.screen.draw(|frame| super::draw(form, theme, frame))?;
                if let Some(sentence) = crate::terminal::record::failure() {
                    self.pacing.dirty = true;
                    update(&mut self.form, Message::Toast(sentence));
                }
                if let Some(places) = self.places()? {
                    let reach = places.reach(&self.form, self.theme);
                    update(&mut self.form, Message::Reach(reach));
                }
            }
            let wait = self.pacing.wait(self.form.awaits_hub());
            if self.keys(wait)? {
                return Ok(());
            }
        }
    }

    /// The clock: toasts, and a theme whose file may have been written. Once a second is enough.
    fn tick(&mut self) {
        let now = crate::run::now();
        if !self.pacing.ticks(now) {
            return;
        }
        self.pacing.dirty |= self.form.toast.is_some();
        update(&mut self.form, Message::Tick(now));
        match self.options.refresh(self.theme) {
            Ok(read) => self.pacing.dirty |= read,
            Err(e) => {
                self.pacing.dirty = true;
                update(&mut self.form, Message::Toast(e.to_string()));
            }
        }
    }

    /// Puts on the theme that the user wants.
    fn dress(&mut self) {
        if let Err(e) = self.options.dress(self.theme, &mut self.form.themes) {
            update(&mut self.form, Message::Toast(e.to_string()));
        }
    }

    /// Takes everything that is typed within `wait`; true to leave.
    fn keys(&mut self, mut wait: Duration) -> Result<bool> {
        while let Some(event) = self.screen.event(wait)? {
            wait = Duration::ZERO;
            self.pacing.dirty |= matches!(event, Event::Resize(..));
            let message = self.message(event)?;
            let Some(message) = message else { continue };
            self.pacing.keyed = true;
            if self.take(message)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What an event says to the form, if anything.
    fn message(&mut self, event: Event) -> Result<Option<Message>> {
        if let Event::Mouse(mouse) = event {
            let places = self.places()?;
            return Ok(places.and_then(|places| places.hit(&self.form, self.theme, mouse)).map(Message::Mouse));
        }
        Ok(input::typed(event).map(|typed| match typed {
            Typed::Key(key) => Message::Key(key),
            Typed::Paste(text) => Message::Paste(text),
        }))
    }

    /// Where everything is now.
    fn places(&mut self) -> Result<Option<Places>> {
        let (width, height) = self.screen.size()?;
        Ok(Places::new(&self.form, self.theme, Rect::new(0, 0, width, height)))
    }

    /// One message and what comes of it; true to leave.
    fn take(&mut self, message: Message) -> Result<bool> {
        self.pacing.dirty = true;
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
                Effect::Study(path) => self.study(&path)?,
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

    /// The screen of an evaluation, and back.
    fn study(&mut self, path: &Path) -> Result<()> {
        self.dress();
        let result = study::screen::show(path, self.options, self.theme, self.screen, self.signals);
        self.pacing.dirty = true;
        self.form.themes = options::themes(self.theme);
        match result {
            Err(e @ Error::User(_)) => {
                update(&mut self.form, Message::Toast(e.to_string()));
                Ok(())
            }
            other => other,
        }
    }

    /// The screen of a run, and back.
    fn watch(&mut self, path: &Path) -> Result<()> {
        self.dress();
        let result = screen::show(path, self.options, self.theme, self.screen, self.signals, true);
        self.pacing.dirty = true;
        self.form.themes = options::themes(self.theme);
        match result {
            Ok(screen::Ending { set_up: Some(rules), .. }) => {
                // Over this form, which is there again afterwards.
                let source = Source::Run(path.to_path_buf(), rules);
                let shown = show(&source, self.runs, self.options, self.theme, self.screen, self.signals);
                self.form.themes = options::themes(self.theme);
                shown
            }
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
