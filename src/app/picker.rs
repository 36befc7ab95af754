//! A fuzzy picker: a line to type in and what fits it; a text with a slash in it goes through folders. What the hub has
//! may stand below.

pub mod far;

pub use far::Far;

use super::clean;
use super::prompt::Line;
use crate::hub::reference::{Reference, SCHEME};
use crate::hub::search::Facets;
use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use std::path::{Path, PathBuf};

/// Something to pick.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// What it is called; safe to show.
    pub label: String,
    /// What else there is to say; safe to show.
    pub detail: String,
    /// What picking it means.
    pub value: PathBuf,
    /// Whether it is a folder.
    pub folder: bool,
    /// Why it cannot be picked.
    pub problem: Option<String>,
    /// Where it is, in a word, where that is to be told: `here`, `cached`, `hub`, `gated`, `private`.
    pub mark: &'static str,
    /// Figures in place of `detail`; safe to show.
    pub columns: Vec<String>,
    /// What filters sift it by.
    pub facets: Facets,
}

impl Item {
    /// A file or folder by its name.
    pub fn of_path(path: &Path, folder: bool) -> Self {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let problem = path.to_str().is_none().then(|| "its path is not Unicode: a recipe cannot name it".to_owned());
        Self { label: clean::line(&name), value: path.to_path_buf(), folder, problem, ..Self::default() }
    }
}

/// Where paths are typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ground {
    /// Relative paths start here.
    pub folder: PathBuf,
    /// `~/` means this.
    pub home: Option<PathBuf>,
}

impl Ground {
    /// A path as typed, as a whole one.
    pub fn whole(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ if text == "~" => self.home.clone().unwrap_or_default(),
            _ => self.folder.join(text),
        }
    }

    /// A path as a recipe of this folder writes it: relative where it lies below.
    pub fn written(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.folder).ok().filter(|p| !p.as_os_str().is_empty());
        below.unwrap_or(path).to_string_lossy().into_owned()
    }
}

/// The picker while it is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Picker {
    /// What is picked.
    pub title: String,
    /// What was typed.
    pub input: Line,
    /// What there is to pick, `None` while it is looked for.
    items: Option<Vec<Item>>,
    /// The folder that the text names, and what it holds once that was read.
    listed: Option<(PathBuf, Option<Vec<Item>>)>,
    /// What fits the text, the best first.
    pub found: Vec<Item>,
    /// The one that Enter picks.
    pub at: usize,
    /// Whether a folder is picked, not a file.
    pub wants_folder: bool,
    /// Why the last Enter picked nothing, or what was left out of the items.
    pub note: Option<String>,
    /// How many items are not in `found` because they don't say what a filter asks for.
    pub unsaid: usize,
    /// What the hub has, where that is of use; it stands below `found`.
    pub far: Option<Box<Far>>,
    /// Enter came before what is looked for.
    entered: bool,
    ground: Ground,
}

/// What came of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Pressed {
    /// It stays open; this folder is to be read, if any.
    Open(Box<Picker>, Option<PathBuf>),
    /// The user left.
    Left,
    /// This was picked.
    Picked(Item),
}

impl Picker {
    /// A picker whose items come later; on no ground, paths cannot be typed.
    pub fn new(title: &str, wants_folder: bool, ground: Ground) -> Self {
        Self {
            title: title.to_owned(),
            input: Line::default(),
            items: None,
            listed: None,
            found: Vec::new(),
            at: 0,
            wants_folder,
            note: None,
            unsaid: 0,
            far: None,
            entered: false,
            ground,
        }
    }

    /// The items that there are.
    #[must_use]
    pub fn with(mut self, items: Vec<Item>) -> Self {
        self.fill(items);
        self
    }

    /// A path to begin with, as if it was typed: the folder to read, if it names one. A name alone is one of the
    /// ground's folder.
    pub fn begin_with(&mut self, path: &str) -> Option<PathBuf> {
        let here = if path.contains('/') || path.is_empty() { "" } else { "./" };
        self.input = Line::default();
        self.input.insert(&format!("{here}{path}"));
        if let Some(far) = &mut self.far {
            far.begun = Some(self.input.text().to_owned()).filter(|text| !text.is_empty());
        }
        self.typed()
    }

    /// The items that there are, after all.
    pub fn fill(&mut self, items: Vec<Item>) {
        if let Some(far) = &mut self.far {
            far.cached(&items);
        }
        let before = self.found.len();
        let below = self.at.checked_sub(before).filter(|at| self.far.as_ref().is_some_and(|far| *at < far.len()));
        let here = self.found.get(self.at).filter(|_| self.at > 0).map(|item| item.value.clone());
        self.items = Some(items);
        self.renew();
        // The cursor stays on what it is on.
        if let Some(at) = here.and_then(|here| self.found.iter().position(|item| item.value == here)) {
            self.at = at;
        }
        // Who is among the hub's results stays there.
        if let Some(at) = below.filter(|at| *at > 0 || before > 0) {
            self.at = self.found.len() + at;
        }
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.found.len() + self.far.as_ref().map_or(0, |far| far.len())
    }

    /// The entry at a place.
    pub fn item(&self, at: usize) -> Option<&Item> {
        match self.found.get(at) {
            Some(item) => Some(item),
            None => self.far.as_ref()?.item(at - self.found.len()),
        }
    }

    /// The cursor's place among the hub's results, 0 above them.
    pub(super) fn far_at(&self) -> usize {
        self.at.saturating_sub(self.found.len())
    }

    /// After the number of entries has changed.
    pub(super) fn keep_within(&mut self) {
        self.at = self.at.min(self.count().saturating_sub(1));
    }

    /// Whether something is still looked for.
    pub fn is_waiting(&self) -> bool {
        match &self.listed {
            Some((_, entries)) => entries.is_none(),
            None => self.items.is_none(),
        }
    }

    /// What a folder holds; of no use if the text names another one by now.
    pub fn list(&mut self, folder: &Path, entries: Vec<Item>) {
        if let Some((wanted, held)) = &mut self.listed
            && wanted == folder
        {
            *held = Some(entries);
            self.renew();
        }
    }

    /// Whether Enter waited for what has come by now, so that it counts now; asked once.
    pub fn is_entered(&mut self) -> bool {
        let now = self.entered && !self.is_waiting();
        self.entered &= !now;
        now
    }

    /// A key: Enter picks, Tab completes, Esc leaves, arrows move, the rest is typed.
    pub fn press(mut self, key: &str) -> Pressed {
        self.note = None;
        self.entered = false;
        let last = self.count().saturating_sub(1);
        match key {
            "esc" => return Pressed::Left,
            "enter" => return self.pick(),
            "tab" if !self.takes_paths() => self.at = (self.at + 1).min(last),
            "tab" => {
                if let Some(item) = self.found.get(self.at).filter(|i| i.value.is_absolute()) {
                    let end = if item.folder { "/" } else { "" };
                    self.input = Line::new(&format!("{}{end}", self.ground.written(&item.value)));
                }
            }
            "down" | "ctrl-n" => self.at = (self.at + 1).min(last),
            "up" | "ctrl-p" => self.at = self.at.saturating_sub(1),
            "page-down" => self.at = (self.at + 10).min(last),
            "page-up" => self.at = self.at.saturating_sub(10),
            _ => drop(self.input.key(key)),
        }
        self.go_on(!matches!(key, "down" | "up" | "ctrl-n" | "ctrl-p" | "page-down" | "page-up"))
    }

    /// A paste: its first line.
    pub fn paste(mut self, text: &str) -> Pressed {
        self.input.insert(text.lines().next().unwrap_or_default());
        self.go_on(true)
    }

    fn go_on(mut self, typed: bool) -> Pressed {
        if typed && self.far.is_some() {
            self.at = 0;
        }
        let read = if typed { self.typed() } else { None };
        Pressed::Open(Box::new(self), read)
    }

    fn pick(mut self) -> Pressed {
        let Some(item) = self.item(self.at).cloned() else {
            // What is typed out in full needs no list.
            let text = self.input.text().trim();
            if self.far.is_some()
                && let Some(reference) = Reference::of_recipe(Path::new(text))
            {
                return match reference {
                    Ok(reference) => Pressed::Picked(Item {
                        label: reference.id.clone(),
                        value: reference.link().into(),
                        ..Item::default()
                    }),
                    Err(e) => {
                        self.note = Some(clean::line(&e.to_string()));
                        Pressed::Open(Box::new(self), None)
                    }
                };
            }
            self.entered = self.is_waiting();
            if text.is_empty() || self.entered || !self.takes_paths() {
                return Pressed::Open(Box::new(self), None);
            }
            let path = self.ground.whole(text);
            return Pressed::Picked(Item::of_path(&path, self.wants_folder));
        };
        if let Some(problem) = item.problem {
            self.note = Some(problem);
            return Pressed::Open(Box::new(self), None);
        }
        if item.folder && !self.wants_folder {
            self.input = Line::new(&format!("{}/", self.ground.written(&item.value)));
            return self.go_on(true);
        }
        Pressed::Picked(item)
    }

    /// Whether paths can be typed.
    pub fn takes_paths(&self) -> bool {
        !self.ground.folder.as_os_str().is_empty()
    }

    /// The folder part of the text, if it names one.
    fn folder_part(&self) -> Option<(PathBuf, String)> {
        if !self.takes_paths() {
            return None;
        }
        let text = self.input.text();
        if self.far.is_some() && text.starts_with(SCHEME) {
            return None;
        }
        let (folder, rest) = text.rsplit_once('/')?;
        let folder = if folder.is_empty() { PathBuf::from("/") } else { self.ground.whole(folder) };
        Some((folder, rest.to_owned()))
    }

    /// After the text has changed: the folder to read, if it is another one.
    fn typed(&mut self) -> Option<PathBuf> {
        let folder = self.folder_part().map(|(folder, _)| folder);
        let held = self.listed.as_ref().map(|(folder, _)| folder.clone());
        let read = folder.clone().filter(|f| Some(f) != held.as_ref());
        if folder != held {
            self.listed = folder.map(|f| (f, None));
        }
        self.renew();
        read
    }

    fn renew(&mut self) {
        // A name of the hub has a slash too.
        let far = self.far.as_ref().filter(|_| !far::is_path(self.input.text()));
        let query = far.map(|_| crate::hub::search::typed(self.input.text()).0);
        let words = query.as_ref().map_or(self.input.text(), |query| &query.text);
        let lets = |item: &&Item| query.as_ref().is_none_or(|query| query.lets(&item.facets) == Some(true));
        let silent = |item: &&Item| query.as_ref().is_some_and(|query| query.lets(&item.facets).is_none());
        // What is no model has nothing to say.
        let silent = |item: &&Item| silent(item) && !item.value.as_os_str().is_empty();
        self.unsaid = match &self.items {
            Some(items) if query.is_some() => search(items.iter().filter(silent), words).len(),
            _ => 0,
        };
        let found = match (&self.listed, &self.items) {
            (Some((_, entries)), Some(items)) if far.is_some() && entries.as_ref().is_none_or(Vec::is_empty) => {
                search(items.iter().filter(lets), words)
            }
            (Some((_, Some(entries))), _) => {
                let rest = self.folder_part().map(|(_, rest)| rest).unwrap_or_default();
                let fits = |item: &&Item| {
                    (item.folder || !self.wants_folder) && (rest.starts_with('.') || !item.label.starts_with('.'))
                };
                search(entries.iter().filter(fits), &rest)
            }
            (Some((_, None)), _) | (None, None) => Vec::new(),
            (None, Some(items)) => search(items.iter().filter(lets), words),
        };
        if let Some(far) = &mut self.far {
            far.beside(&found);
        }
        if found != self.found {
            // The very path that is typed comes before what only is like it.
            let typed = self.ground.whole(self.input.text().trim());
            let at = found.iter().position(|item| item.value == typed).filter(|_| self.takes_paths());
            (self.found, self.at) = (found, at.unwrap_or(0));
        }
    }
}

/// The items that `text` fits, the best first; of equals those that can be picked, then the given order.
fn search<'a>(items: impl Iterator<Item = &'a Item>, text: &str) -> Vec<Item> {
    let text = text.trim();
    if text.is_empty() {
        return items.cloned().collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
    let pattern = Pattern::new(text, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy);
    let mut letters = Vec::new();
    let mut found: Vec<(u32, &Item)> = items
        .filter_map(|item| {
            let all = format!("{} {}", item.label, item.value.display());
            Some((pattern.score(Utf32Str::new(&all, &mut letters), &mut matcher)?, item))
        })
        .collect();
    found.sort_by_key(|(score, item)| (item.problem.is_some(), std::cmp::Reverse(*score)));
    found.into_iter().map(|(_, item)| item.clone()).collect()
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn ground() -> Ground {
        Ground { folder: "/work/x".into(), home: Some("/home/k".into()) }
    }

    fn item(label: &str, path: &str) -> Item {
        Item { label: label.into(), value: path.into(), ..Item::default() }
    }

    fn type_in(mut picker: Picker, keys: &[&str]) -> (Picker, Vec<PathBuf>) {
        let mut read = Vec::new();
        for key in keys {
            match picker.press(key) {
                Pressed::Open(open, folder) => {
                    picker = *open;
                    read.extend(folder);
                }
                other => panic!("{key}: {other:?}"),
            }
        }
        (picker, read)
    }

    #[test]
    fn letters_find_and_enter_picks_what_can_be_used() {
        let mut broken = item("SmolLM2-broken", "/m/broken");
        broken.problem = Some("its config.json is no JSON".into());
        let items = vec![broken, item("SmolLM2-135M", "/m/smol"), item("Qwen3", "/m/qwen")];
        let picker = Picker::new("base", true, ground()).with(items);
        assert_eq!(picker.found.len(), 3);
        let (picker, _) = type_in(picker, &["s", "m", "o", "l"]);
        assert_eq!(
            picker.found.iter().map(|i| i.label.as_str()).collect::<Vec<_>>(),
            ["SmolLM2-135M", "SmolLM2-broken"]
        );
        let (refused, _) = type_in(picker.clone(), &["down", "enter"]);
        assert!(refused.note.is_some_and(|note| note.contains("no JSON")));
        assert!(matches!(picker.press("enter"), Pressed::Picked(item) if item.value == Path::new("/m/smol")));
    }

    #[test]
    fn a_slash_reads_folders_and_tab_completes() {
        let picker = Picker::new("file", false, ground()).with(vec![item("a.jsonl", "/work/x/a.jsonl")]);
        let (mut picker, read) = type_in(picker, &["d", "/"]);
        assert_eq!(read, [PathBuf::from("/work/x/d")]);
        assert!(picker.is_waiting() && picker.found.is_empty());
        picker.list(Path::new("/elsewhere"), vec![item("no", "/no")]);
        assert!(picker.is_waiting());
        // Enter counts once the folder was read, unless another key came after it.
        let Pressed::Open(mut early, _) = picker.clone().press("enter") else { panic!("nothing is there yet") };
        assert!(!early.is_entered());
        early.list(Path::new("/work/x/d"), vec![item("dev.jsonl", "/work/x/d/dev.jsonl")]);
        assert!(early.is_entered() && !early.is_entered());
        assert!(matches!(early.press("enter"), Pressed::Picked(item) if item.label == "dev.jsonl"));
        let folder = Item::of_path(Path::new("/work/x/d/more"), true);
        let hidden = Item::of_path(Path::new("/work/x/d/.git"), true);
        picker.list(Path::new("/work/x/d"), vec![folder, hidden, item("dev.jsonl", "/work/x/d/dev.jsonl")]);
        assert_eq!(picker.found.len(), 2);
        let (picker, read) = type_in(picker, &["m", "enter"]);
        assert_eq!((picker.input.text(), read), ("d/more/", vec![PathBuf::from("/work/x/d/more")]));
        let (picker, read) = type_in(picker, &["ctrl-u", "~", "/"]);
        assert_eq!((picker.is_waiting(), read), (true, vec![PathBuf::from("/home/k")]));
    }

    #[test]
    fn a_path_to_begin_with_is_under_the_cursor_once_its_folder_was_read() {
        let mut picker = Picker::new("base", true, ground()).with(vec![item("other", "/hub/other")]);
        assert_eq!(picker.begin_with("m/smol"), Some("/work/x/m".into()));
        assert!(picker.is_waiting());
        let folder = |name: &str| Item::of_path(&Path::new("/work/x/m").join(name), true);
        picker.list(Path::new("/work/x/m"), vec![folder("my-smol-2"), folder("smol-2"), folder("smol")]);
        assert_eq!((picker.found.len(), picker.found[picker.at].label.as_str()), (3, "smol"));
        let (picker, read) = type_in(picker, &["ctrl-u"]);
        assert!(read.is_empty() && picker.found[0].label == "other");
        // A name alone lies in the ground's folder; an absolute path where it says.
        let mut picker = Picker::new("base", true, ground()).with(Vec::new());
        assert_eq!(picker.begin_with("smol").as_deref(), Some(Path::new("/work/x/.")));
        assert_eq!(picker.input.text(), "./smol");
        assert_eq!(picker.begin_with("/hub/smol").as_deref(), Some(Path::new("/hub")));
        assert_eq!(picker.begin_with(""), None);
    }

    #[test]
    fn a_path_that_no_list_has_is_taken_as_typed() {
        let (picker, _) = type_in(Picker::new("base", true, ground()).with(Vec::new()), &["m", "o"]);
        assert!(matches!(picker.press("enter"), Pressed::Picked(item) if item.value == Path::new("/work/x/mo")));
        let (empty, _) = type_in(Picker::new("base", true, ground()).with(Vec::new()), &["enter"]);
        assert!(empty.found.is_empty());
        assert_eq!(ground().written(Path::new("/work/x/a/b")), "a/b");
        assert_eq!(ground().written(Path::new("/other/b")), "/other/b");
        assert!(matches!(empty.press("esc"), Pressed::Left));
    }
}
