//! What the form has others do, on threads of their own: a slow disk never holds up a key.

use super::super::files;
use super::super::threads::{Running, thread, wait_for};
use super::keep::Keeper;
use crate::app::setup::{Effect, Kept, Looked, Message, Named, Purpose};
use crate::data::preview::{self, Preview};
use crate::hub::desk::{Ask, Desk};
use crate::hub::environment::Environment;
use crate::hub::outline;
use crate::hub::reference::Reference;
use crate::hub::supply::{self, Halt};
use crate::hub::{self, place};
use crate::recipe::Recipe;
use crate::recipe::draft::{Draft, Place};
use crate::run::{RunDir, compare, estimate, origin, start, write_aside};
use crate::{Error, Result, study};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::SystemTime;

/// Examples of each split that are shown.
const EXAMPLES: usize = 3;

/// A wish to look at what a recipe names.
struct Wish {
    ticket: u64,
    text: String,
    file: PathBuf,
    outlines: BTreeMap<Reference, PathBuf>,
}

/// Threads at work for the form, and what they have to say.
#[derive(Debug)]
pub(super) struct Jobs {
    runs: PathBuf,
    sender: Sender<Message>,
    news: Receiver<Message>,
    wishes: Sender<Wish>,
    running: Running,
    keeper: Keeper,
    desk: Option<Desk>,
    /// Ends a start that waits for the hub.
    halt: Halt,
}

impl Jobs {
    /// Ready to look; runs are started in `runs`.
    pub(super) fn new(runs: &Path) -> Result<Self> {
        let (sender, news) = mpsc::channel();
        let (wishes, wished) = mpsc::channel();
        let mut looker = Looker { runs: runs.to_path_buf(), to: sender.clone(), wished, read: None };
        thread("look", move || looker.serve())?;
        let keeper = Keeper::new(sender.clone());
        Ok(Self {
            runs: runs.to_path_buf(),
            sender,
            news,
            wishes,
            running: Running::default(),
            keeper,
            desk: None,
            halt: Halt::default(),
        })
    }

    /// What was said since the last call.
    pub(super) fn news(&self) -> impl Iterator<Item = Message> + '_ {
        self.news.try_iter()
    }

    /// Begins what an effect asks for; what concerns the terminal is not for this room.
    pub(super) fn begin(&mut self, effect: Effect) {
        let effect = match effect {
            Effect::Look { ticket, text, file, outlines } => {
                self.wishes.send(Wish { ticket, text, file, outlines }).ok();
                return;
            }
            Effect::Hub(ask) => return self.ask(ask),
            Effect::GiveUp => return self.halt.ask(),
            Effect::Adopt(copy) => {
                let begun = self.keeper.adopt(copy);
                return self.say(begun);
            }
            Effect::Forget(copy) => {
                let begun = self.keeper.forget(copy);
                return self.say(begun);
            }
            other => other,
        };
        let starts = matches!(effect, Effect::Start(_) | Effect::Evaluate(..));
        if starts {
            // What was given up before is no wish of this start.
            self.halt = Halt::default();
        }
        let (sender, runs, halt) = (self.sender.clone(), self.runs.clone(), self.halt.clone());
        let failed = if starts { Message::NotStarted } else { Message::Toast };
        let begun = self.running.begin(move || {
            for message in work(effect, &runs, &halt).unwrap_or_else(|e| vec![failed(e.to_string())]) {
                sender.send(message).ok();
            }
        });
        self.say(begun);
    }

    /// Asks the hub, whose desk opens with the first question.
    fn ask(&mut self, ask: Ask) {
        if self.desk.is_none() {
            if ask == Ask::Leave {
                return;
            }
            let sender = self.sender.clone();
            let tell = move |answer| drop(sender.send(Message::Hub(answer)));
            match Desk::open(Environment::read, tell) {
                Ok(desk) => self.desk = Some(desk),
                Err(e) => return self.say(Err(e)),
            }
        }
        if let Some(desk) = &self.desk {
            desk.ask(ask);
        }
    }

    /// What there is to keep, as long as it is not saved.
    pub(super) fn keep(&mut self, kept: Option<Kept>) {
        let begun = self.keeper.keep(kept);
        self.say(begun);
    }

    fn say(&self, begun: Result<()>) {
        if let Err(e) = begun {
            self.sender.send(Message::Toast(e.to_string())).ok();
        }
    }

    /// Whether nothing is at work but what looks at the recipe.
    pub(super) fn is_done(&self) -> bool {
        self.running.is_done()
    }

    /// Waits for what was begun, so that nothing is half written or half started; not for what is only looked at, nor
    /// for the hub.
    pub(super) fn finish(self) {
        self.halt.ask();
        self.running.finish();
    }
}

/// Does what an effect asks for, and says what came of it.
fn work(effect: Effect, runs: &Path, halt: &Halt) -> Result<Vec<Message>> {
    Ok(match effect {
        Effect::Catalog(file) => match hub::roots(file.parent(), runs) {
            Ok(roots) => vec![Message::Catalog(hub::scan(&roots))],
            // Paths can be typed all the same.
            Err(e) => vec![Message::Catalog(hub::Catalog::default()), Message::Toast(e.to_string())],
        },
        Effect::Fits { against, file, adapters } => {
            let folder = file.parent().unwrap_or(Path::new("/"));
            let base = match &against.outline {
                Some(outline) => outline.clone(),
                None => place::resolved(Path::new(&against.base), folder)?,
            };
            // What is wrong with the base is told where the base is.
            let readable = hub::is_base(&base);
            let one = |adapter: PathBuf| {
                let fit = hub::fits(&base, &adapter).map_err(|e| outline::without(&e.to_string(), &adapter));
                (adapter, fit)
            };
            let fits = adapters.into_iter().filter(|_| readable).map(one).collect();
            vec![Message::Fits(against, fits)]
        }
        Effect::Search(purpose, file) => {
            let folder = file.parent().unwrap_or(Path::new("/"));
            let found = match purpose {
                Purpose::Open => files::recipes(folder, None),
                Purpose::Compare => files::recipes(folder, Some(runs)),
                _ => files::examples(folder),
            };
            vec![Message::Found(purpose, found)]
        }
        Effect::List(folder) => vec![Message::Listed(folder.clone(), files::list(&folder))],
        Effect::Save { path, text, expected, replace, then } => {
            vec![save(path, text, expected.as_ref(), replace, then)?]
        }
        Effect::Open(path) => {
            let text = files::read_recipe(&path)?;
            vec![Message::Opened(path, text)]
        }
        Effect::Compare { text, file, other } => {
            let theirs = std::fs::read_to_string(&other).map_err(|e| Error::io("read", &other, &e))?;
            vec![Message::Compared(compare::recipes([(&text, &file), (&theirs, &other)])?)]
        }
        Effect::Since(run) => vec![Message::Since(origin::since(&RunDir::open(&run)?)?)],
        Effect::Start(path) => {
            let (run, worker) = start::start_unless(&Recipe::read(&path)?, runs, halt)?;
            wait_for(worker)?;
            vec![Message::Started(run.path().to_path_buf())]
        }
        Effect::Evaluate(path, methods, seeds) => {
            let (folder, worker) = study::launch::begin(&path, &methods, &seeds, runs)?;
            wait_for(worker)?;
            vec![Message::Evaluating(folder)]
        }
        Effect::Look { .. }
        | Effect::Hub(_)
        | Effect::GiveUp
        | Effect::Recover { .. }
        | Effect::Adopt(_)
        | Effect::Forget(_)
        | Effect::Watch(_)
        | Effect::Study(_)
        | Effect::Quit
        | Effect::Suspend
        | Effect::Redraw => Vec::new(),
    })
}

/// Writes the recipe where the file is still what the form knows, or is to be replaced.
fn save(
    path: PathBuf,
    text: String,
    expected: Option<&String>,
    replace: bool,
    then: crate::app::setup::Then,
) -> Result<Message> {
    // A link stays one.
    let place = path.canonicalize().unwrap_or_else(|_| path.clone());
    let now = match std::fs::read_to_string(&place) {
        Ok(now) => Some(now),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) if replace => None,
        Err(e) => return Err(Error::io("read", &place, &e)),
    };
    if now.as_ref() == Some(&text) {
        return Ok(Message::Saved(path, text, then));
    }
    if !replace && now.as_ref() != expected {
        return Ok(Message::Differs(path, then));
    }
    write_aside(&place, text.as_bytes())?;
    Ok(Message::Saved(path, text, then))
}

/// What a preview was read from: base, data settings, and when the files were written.
type Source = (PathBuf, crate::recipe::Data, Vec<Option<SystemTime>>);

/// Looks at what the newest wish names.
struct Looker {
    runs: PathBuf,
    to: Sender<Message>,
    wished: Receiver<Wish>,
    /// The last preview: other settings do not change it.
    read: Option<(Source, Result<Preview, String>)>,
}

impl Looker {
    fn serve(&mut self) {
        let mut next = None;
        loop {
            let Some(mut wish) = next.take().or_else(|| self.wished.recv().ok()) else { return };
            while let Ok(newer) = self.wished.try_recv() {
                wish = newer;
            }
            next = self.look(&wish);
        }
    }

    fn say(&self, wish: &Wish, looked: Looked) {
        self.to.send(Message::Looked(wish.ticket, looked)).ok();
    }

    /// One look; a newer wish, if there was one meanwhile.
    fn look(&mut self, wish: &Wish) -> Option<Wish> {
        let Ok(draft) = Draft::parse(&wish.text) else { return None };
        let whole = Recipe::parse_as(&wish.text, &wish.file).ok();
        let sound = draft.sound_recipe(&wish.file);
        let (named, missing) = named(&draft, &wish.file);
        let lacks = |key: &str| named.lacking.iter().any(|(of, _)| of == key);
        let mut files = whole.as_ref().or(sound.as_ref()).map(Recipe::file_problems).unwrap_or_default();
        // What the run fetches is no problem.
        files.retain(|(key, _)| !lacks(key));
        // Until it is here, its settings and headers stand in for it.
        let there = |folder: PathBuf| match missing.get(&folder) {
            Some(reference) => wish.outlines.get(reference).cloned(),
            None => Some(folder),
        };
        let base = folder_of(&draft, Place::of("", "base"), &wish.file);
        let entry = base.clone().filter(|folder| !missing.contains_key(folder)).as_deref().map(hub::base);
        let base = base.and_then(there);
        let mut adapters = BTreeMap::new();
        for i in 0..draft.adapters() {
            let path = folder_of(&draft, Place::of_adapter(i, "path"), &wish.file).and_then(there);
            if let (Some(base), Some(path)) = (&base, path) {
                adapters.insert(i, hub::fits(base, &path).map_err(|e| without(&e.to_string(), &wish.outlines)));
            }
        }
        let usable = adapters.values().all(Result::is_ok);
        let told = !lacks("base") || base.as_deref().is_some_and(outline::is_model);
        let readable = told && !files.iter().any(|(key, _)| key == "base" || key.starts_with("data."));
        let whole = whole.filter(|_| files.is_empty() && usable && told);
        // A recipe whose adapters have no stand-ins yet cannot be told of.
        let whole = whole.and_then(|mut recipe| {
            for path in recipe.adapters.iter_mut().filter_map(|adapter| adapter.path.as_mut()) {
                *path = there(path.clone())?;
            }
            recipe.base = there(recipe.base)?;
            Some(recipe)
        });
        let said = files.into_iter().map(|(key, error)| (key, error.to_string())).collect();
        self.say(wish, Looked::Named(named));
        self.say(wish, Looked::Paths(said, entry, adapters));
        if let Ok(newer) = self.wished.try_recv() {
            return Some(newer);
        }
        let sound = sound.filter(|_| readable).and_then(|recipe| {
            let base = there(recipe.base.clone())?;
            Some(Recipe { base, ..recipe })
        });
        let preview = sound.map(|recipe| self.preview(&recipe).map_err(|e| without(&e, &wish.outlines)));
        self.say(wish, Looked::Preview(preview.clone()));
        let estimate = match (whole, preview) {
            (Some(recipe), Some(Ok(preview))) => {
                let estimate = estimate::estimate(&recipe, &preview, &self.runs);
                Some(estimate.map_err(|e| without(&e.to_string(), &wish.outlines)))
            }
            _ => None,
        };
        self.say(wish, Looked::Estimate(estimate));
        self.say(wish, Looked::All);
        None
    }

    fn preview(&mut self, recipe: &Recipe) -> Result<Preview, String> {
        let data = &recipe.data;
        let written = [Some(&data.train), Some(&data.dev), data.test.as_ref()];
        let times = written.into_iter().flatten().map(|path| std::fs::metadata(path).ok()?.modified().ok()).collect();
        let source = (recipe.base.clone(), data.clone(), times);
        if let Some((of, read)) = &self.read
            && *of == source
        {
            return read.clone();
        }
        let read = preview::preview(recipe, EXAMPLES).map_err(|e| e.to_string());
        self.read = Some((source, read.clone()));
        read
    }
}

/// The folder that a recipe names at a place.
fn folder_of(draft: &Draft, place: Option<Place>, file: &Path) -> Option<PathBuf> {
    let value = draft.get(place?)?;
    let text = value.as_str().filter(|text| !text.is_empty())?;
    place::resolved(Path::new(text), file.parent().unwrap_or(Path::new("/"))).ok()
}

/// The repositories of the hub that a draft names, and the folders of those that are not whole.
fn named(draft: &Draft, file: &Path) -> (Named, BTreeMap<PathBuf, Reference>) {
    let (mut named, mut missing) = (Named::default(), BTreeMap::new());
    let name = |i| draft.get(Place::of_adapter(i, "name")?)?.as_str().map(|name| format!("adapter {name}"));
    let adapters = (0..draft.adapters()).filter_map(|i| Some((name(i)?, Place::of_adapter(i, "path"))));
    for (key, place) in [("base".to_owned(), Place::of("", "base"))].into_iter().chain(adapters) {
        let Some(folder) = folder_of(draft, place, file) else { continue };
        let Some(reference) = hub::place::of_cache(&folder) else { continue };
        if supply::is_whole(&folder) {
            named.cached.push(key);
        } else {
            missing.insert(folder, reference.clone());
            named.lacking.push((key, reference));
        }
    }
    (named, missing)
}

/// A sentence without the places of stand-ins, which mean nothing to the user.
fn without(sentence: &str, outlines: &BTreeMap<Reference, PathBuf>) -> String {
    outlines.iter().fold(sentence.to_owned(), |text, (reference, folder)| {
        let place = crate::text::printable(&folder.display().to_string()).into_owned();
        text.replace(&place, &reference.id)
    })
}
