//! Where a run comes from: what it takes to make it again, and whether that is still the same.

use super::event::EventBody;
use super::{RunDir, journal, memory};
use crate::Result;
use crate::recipe::Recipe;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a worker found when it began; part of [`super::event::Started`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The commit that this lopper was built from, with `+` behind it where files differed; empty where the build did
    /// not know it.
    pub commit: String,
    /// Version of the card's driver, empty where there is none.
    pub driver: String,
    /// Features of the build.
    pub features: Vec<String>,
    /// Seed of every random choice.
    pub seed: u64,
    /// The settings that a resume may change.
    pub settings: BTreeMap<String, String>,
    /// Base, adapters and data.
    pub inputs: Vec<Input>,
    /// Bytes of memory that were free.
    pub free: Option<u64>,
    /// Processes that the kernel has killed for want of memory since it started.
    pub oom_kills: Option<u64>,
    /// Layers that are forwarded again on the way back, and of how many; `None` of a worker of before this was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recomputed: Option<[usize; 2]>,
}

/// One input of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Input {
    /// Its key in the recipe: `base`, `adapter NAME`, `data.train`.
    pub key: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// When the newest of them was written, Unix time in seconds.
    pub modified: f64,
    /// SHA-256, in hexadecimal, over names, lengths and contents; of files of weights of a base, the header alone.
    pub sha256: String,
    /// The same over a few pieces of those files behind the header; empty where there are none, and of an earlier lopper.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pieces: String,
}

/// What is different of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// What is hashed of it.
    Contents,
    /// Only when it was written.
    Time,
}

impl Input {
    /// What is different of it by `now`.
    fn change(&self, now: &Self) -> Option<Change> {
        // Where one of the two tells no pieces, nothing is known of them.
        let told = !self.pieces.is_empty() && !now.pieces.is_empty();
        if self.sha256 != now.sha256 || (told && self.pieces != now.pieces) {
            return Some(Change::Contents);
        }
        (self.modified != now.modified).then_some(Change::Time)
    }

    /// Whether what is hashed of it is the same.
    pub fn has_contents_of(&self, other: &Self) -> bool {
        self.change(other) != Some(Change::Contents)
    }
}

/// Of a file of weights, so much is hashed where it is not read whole: headers are shorter.
const HEAD: u64 = 1 << 20;
/// Of the rest of such a file, so many pieces, evenly spread: another training changes all of it.
const PIECES: u64 = 16;
/// Bytes of a piece at most.
const PIECE: u64 = 4096;

/// The key of the base, ...
const BASE: &str = "base";
/// ... and what the keys of data begin with.
const DATA: &str = "data.";

/// The settings that a resume may change: none of them changes what is trained, or the user has said so.
pub const CHANGEABLE: [&str; 8] = [
    "device",
    "dtype",
    "train.micro_tokens",
    "train.recompute",
    "train.lr",
    "target.lr",
    "train.eval_every",
    "train.checkpoint_every",
];

/// The commit of this build, empty where it does not know.
pub fn commit() -> &'static str {
    env!("LOPPER_COMMIT")
}

/// What a worker begins with on `recipe`. What cannot be read is left out: loading will say so.
pub fn look(recipe: &Recipe) -> Origin {
    let built = [("cuda", cfg!(feature = "cuda")), ("amx", cfg!(feature = "amx"))];
    let features = built.into_iter().filter(|built| built.1).map(|built| built.0.to_owned()).collect();
    Origin {
        commit: commit().into(),
        driver: driver(),
        features,
        seed: recipe.seed,
        settings: settings(recipe),
        inputs: inputs(recipe),
        free: memory::free(),
        oom_kills: memory::kills(),
        // Known once the task is loaded.
        recomputed: None,
    }
}

/// Sentences about what is not as it was for the worker before.
pub fn changes(before: &Origin, now: &Origin) -> Vec<String> {
    let mut said = Vec::new();
    for (key, value) in &now.settings {
        if let Some(old) = before.settings.get(key).filter(|old| *old != value) {
            said.push(format!("{key} is {value}, it was {old} before"));
        }
    }
    if let (Some([old, _]), Some([again, of])) = (before.recomputed, now.recomputed)
        && old != again
    {
        said.push(format!(
            "of {of} layers {again} are forwarded again on the way back, {old} before: the numbers stay the same, \
             the pace may not"
        ));
    }
    for input in &now.inputs {
        let Some(old) = before.inputs.iter().find(|old| old.key == input.key) else { continue };
        let key = &input.key;
        match old.change(input) {
            Some(Change::Contents) => {
                said.push(format!("{key} has changed since the run began: the result is that of no single recipe"));
            }
            Some(Change::Time) => {
                said.push(format!("{key} was written again since the run began; what is compared of it is the same"));
            }
            None => {}
        }
    }
    if !before.commit.is_empty() && before.commit != now.commit {
        said.push(format!("lopper was built from {} before, this one from {}", before.commit, now.commit));
    }
    said
}

/// The inputs of a run's recipe that are not what its last worker found: each by its key; `None` where it cannot be read.
fn changed(run: &RunDir) -> Result<Vec<(String, Option<Change>)>> {
    let started = journal::last_of(&run.journal_file(), "started")?.map(|event| event.body);
    let Some(EventBody::Started(started)) = started else { return Ok(Vec::new()) };
    let now = inputs(&run.recipe()?);
    let become_of = |old: &Input| match now.iter().find(|input| input.key == old.key) {
        None => Some(None),
        Some(input) => old.change(input).map(Some),
    };
    Ok(started.origin.inputs.iter().filter_map(|old| Some((old.key.clone(), become_of(old)?))).collect())
}

/// The inputs of a run's recipe that are not what its last worker found: each by its key, with what has become of it.
///
/// # Errors
/// When the run's journal or recipe cannot be read.
pub fn since(run: &RunDir) -> Result<Vec<(String, &'static str)>> {
    let said = |change| match change {
        None => "cannot be read any more",
        Some(Change::Contents) => "has changed since that run",
        Some(Change::Time) => "was written again since that run; what is compared of it is the same",
    };
    Ok(changed(run)?.into_iter().map(|(key, change)| (key, said(change))).collect())
}

/// How the inputs of a run stand to what its last worker found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inputs {
    /// What is hashed of them is the same.
    Same,
    /// This one, by its key, has other contents.
    Other(String),
    /// This one cannot be read any more, which says nothing; no other one has other contents.
    Missing(String),
}

/// How the inputs of a run stand.
///
/// # Errors
/// When the run's journal or recipe cannot be read.
pub fn inputs_of(run: &RunDir) -> Result<Inputs> {
    let changed = changed(run)?;
    let first = |wanted: Option<Change>| changed.iter().find(|(_, of)| *of == wanted).map(|(key, _)| key.clone());
    let other = first(Some(Change::Contents)).map(Inputs::Other);
    Ok(other.or_else(|| first(None).map(Inputs::Missing)).unwrap_or(Inputs::Same))
}

fn settings(recipe: &Recipe) -> BTreeMap<String, String> {
    let Ok(table) = toml::Table::try_from(recipe) else { return BTreeMap::new() };
    let find = |key: &str| match key.split_once('.') {
        Some((section, name)) => table.get(section)?.get(name).map(ToString::to_string),
        None => table.get(key).map(ToString::to_string),
    };
    CHANGEABLE.iter().filter_map(|key| Some(((*key).to_owned(), find(key)?))).collect()
}

/// What a recipe is made of, each by its key: the base, adapters that have a path, and data.
pub fn places(recipe: &Recipe) -> Vec<(String, &Path)> {
    let mut all = vec![(BASE.to_owned(), recipe.base.as_path())];
    for adapter in &recipe.adapters {
        let key = || format!("adapter {}", crate::text::printable(&adapter.name));
        all.extend(adapter.path.as_ref().map(|path| (key(), path.as_path())));
    }
    let data = &recipe.data;
    for (split, path) in [("train", Some(&data.train)), ("dev", Some(&data.dev)), ("test", data.test.as_ref())] {
        all.extend(path.map(|path| (format!("{DATA}{split}"), path.as_path())));
    }
    all
}

fn inputs(recipe: &Recipe) -> Vec<Input> {
    let input = |(key, path): (String, &Path)| {
        let files = if key.starts_with(DATA) { vec![path.to_path_buf()] } else { files_of(path) };
        let whole = key != BASE;
        input(key, files, whole).ok()
    };
    places(recipe).into_iter().filter_map(input).collect()
}

/// SHA-256, in hexadecimal, over what is looked at of a recipe's base; empty where it cannot be read.
pub fn of_base(recipe: &Recipe) -> String {
    input(BASE.to_owned(), files_of(&recipe.base), false).map_or(String::new(), |input| input.sha256)
}

/// The files of a folder that a model or an adapter consists of.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let wanted = |path: &PathBuf| {
        path.extension().is_some_and(|e| ["safetensors", "gguf", "json", "jinja"].iter().any(|w| e == *w))
    };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).filter(wanted).collect();
    files.sort();
    files
}

fn input(key: String, files: Vec<PathBuf>, whole: bool) -> std::io::Result<Input> {
    if files.is_empty() {
        // A folder that is not there is none that has changed.
        return Err(std::io::ErrorKind::NotFound.into());
    }
    let (mut hash, mut of_pieces) = (Sha256::new(), None);
    let mut input = Input { key, ..Input::default() };
    for path in files {
        let file = crate::bounded::open(&path)?;
        let meta = file.metadata()?;
        let modified = meta.modified().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
        input.bytes += meta.len();
        input.modified = input.modified.max(modified.map_or(0.0, |d| d.as_secs_f64()));
        let weights = path.extension().is_some_and(|e| e == "safetensors" || e == "gguf");
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(meta.len().to_le_bytes());
        let in_part = weights && !whole;
        feed(&mut hash, &file, if in_part { HEAD } else { u64::MAX })?;
        if in_part && meta.len() > HEAD {
            feed_pieces(of_pieces.get_or_insert_with(Sha256::new), &file, meta.len() - HEAD)?;
        }
    }
    input.sha256 = crate::text::hex(&hash.finalize());
    input.pieces = of_pieces.map_or(String::new(), |hash| crate::text::hex(&hash.finalize()));
    Ok(input)
}

/// Adds pieces of the `rest` bytes behind a file's head, the last one at its end.
fn feed_pieces(hash: &mut Sha256, file: &File, rest: u64) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE.min(rest) as usize];
    let last = rest - piece.len() as u64;
    for number in 0..PIECES {
        file.read_exact_at(&mut piece, HEAD + last * number / (PIECES - 1))?;
        hash.update(&piece);
    }
    Ok(())
}

fn feed(hash: &mut Sha256, file: &File, most: u64) -> std::io::Result<()> {
    let mut file = file.take(most);
    let mut piece = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        hash.update(&piece[..n]);
    }
}

/// The version of NVIDIA's driver, where it is loaded.
fn driver() -> String {
    let text = std::fs::read_to_string("/sys/module/nvidia/version").unwrap_or_default();
    crate::text::printable(text.trim()).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_from_the_journal_as_it_was() {
        let touched = |modified| Origin { inputs: vec![Input { modified, ..Input::default() }], ..Origin::default() };
        for n in 0..10_000 {
            let written = touched(1_780_000_000.0 + f64::from(n) * 0.123_456_789);
            let text = serde_json::to_string(&written).unwrap();
            let read: Origin = serde_json::from_str(&text).unwrap();
            assert!(changes(&written, &read).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_has_changed_is_said_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        std::fs::write(&file, vec![0; 2 << 20]).unwrap();
        let look = |whole| input("base".into(), files_of(folder.path()), whole).unwrap();
        let (head, all) = (look(false), look(true));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[(2 << 20) - 1] = 1;
        std::fs::write(&file, &bytes).unwrap();
        let origin = |input: Input| Origin { inputs: vec![input], ..Origin::default() };
        let said = changes(&origin(all), &origin(look(true)));
        assert!(said.len() == 1 && said[0].starts_with("base has changed"), "{said:?}");
        // Behind the header of a base pieces tell, ...
        assert_eq!(head.sha256, look(false).sha256);
        let said = changes(&origin(head.clone()), &origin(look(false)));
        assert!(said.len() == 1 && said[0].starts_with("base has changed"), "{said:?}");
        // ... and between these only the time.
        bytes[(2 << 20) - 1] = 0;
        bytes[(1 << 20) + 5000] = 1;
        std::fs::write(&file, &bytes).unwrap();
        let touched = Input { modified: 7.0, ..look(false) };
        let said = changes(&origin(head.clone()), &origin(touched.clone()));
        assert!(said.len() == 1 && said[0].contains("was written again"), "{said:?}");
        // What an earlier lopper has written has no pieces: they are no change.
        let text = serde_json::to_string(&Input { pieces: String::new(), ..head }).unwrap();
        assert!(!text.contains("pieces"), "{text}");
        let before: Input = serde_json::from_str(&text).unwrap();
        assert!(before.has_contents_of(&touched) && !before.has_contents_of(&look(true)));
        let of = |value: &str| Origin { settings: [("dtype".into(), value.into())].into(), ..Origin::default() };
        assert_eq!(changes(&of("f32"), &of("bf16")), ["dtype is bf16, it was f32 before"]);
        assert!(changes(&of("f32"), &of("f32")).is_empty());
    }

    #[test]
    fn a_base_that_is_gone_is_missing_and_has_not_changed() {
        use crate::run::event::Started;
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for (name, text) in [("base/config.json", "{}"), ("t", "train"), ("d", "dev")] {
            std::fs::create_dir_all(place(name).parent().unwrap()).unwrap();
            std::fs::write(place(name), text).unwrap();
        }
        let text = "base = 'base'\n[data]\ntrain = 't'\ndev = 'd'\n[[adapters]]\nname = 'x'\nrole = 'target'\n";
        let recipe = Recipe::parse_as(text, &place("recipe.toml")).unwrap();
        let run = RunDir::create(folder.path(), "run", &recipe).unwrap();
        let started = Started { origin: Box::new(look(&recipe)), ..Started::default() };
        let mut journal = journal::Journal::open(&run.journal_file()).unwrap();
        journal.append(EventBody::Started(Box::new(started))).unwrap();
        assert_eq!(inputs_of(&run), Ok(Inputs::Same));
        std::fs::rename(place("base"), place("away")).unwrap();
        assert_eq!(inputs_of(&run), Ok(Inputs::Missing("base".into())));
        assert_eq!(since(&run).unwrap(), [("base".to_owned(), "cannot be read any more")]);
        assert_eq!(of_base(&recipe), "");
        // What is there and another one matters more.
        std::fs::write(place("d"), "another").unwrap();
        assert_eq!(inputs_of(&run), Ok(Inputs::Other("data.dev".into())));
    }

    #[test]
    fn another_choice_of_layers_is_said_and_an_unknown_one_is_not() {
        let of = |recomputed| Origin { recomputed, ..Origin::default() };
        let said = changes(&of(Some([12, 32])), &of(Some([0, 32])));
        assert!(said.len() == 1 && said[0].starts_with("of 32 layers 0 are forwarded again"), "{said:?}");
        assert!(said[0].contains("12 before: the numbers stay the same"), "{said:?}");
        for (before, now) in [(Some([12, 32]), Some([12, 32])), (None, Some([12, 32])), (Some([12, 32]), None)] {
            assert_eq!(changes(&of(before), &of(now)), Vec::<String>::new());
        }
        // What an earlier lopper has written is read, and says nothing of it.
        assert_eq!(serde_json::from_str::<Origin>(r#"{"seed":5}"#).unwrap().recomputed, None);
    }
}
