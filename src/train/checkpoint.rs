//! Checkpoints: everything that the rest of a run depends on, written aside, synced and renamed.

#[cfg(test)]
mod tests;

use super::optimizer::Optimizer;
use crate::lora::export::file;
use crate::lora::{Adapter, MergedSet};
use crate::module::Factor;
use crate::prune::Pruner;
use crate::recipe::ratios::Rule;
use crate::run::estimate::bytes;
use crate::run::event::ReportRow;
use crate::run::{disk, fault};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How many checkpoints are kept.
const KEPT: usize = 2;
/// How often they are listed anew where those that were listed have gone.
const LOOKS: usize = 3;

/// Where a run stands, beside its tensors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Format version.
    pub v: u32,
    /// Stage that is under way.
    pub stage: usize,
    /// Its updates so far.
    pub step: usize,
    /// Report rows of the stages before.
    pub rows: Vec<ReportRow>,
    /// Whether the target adapter was trained alone.
    pub target_trained: bool,
    /// Best dev result of this stage so far, and the step it was at.
    pub best: Option<(f64, usize)>,
    /// Evaluations since the best one.
    pub stale: usize,
    /// The step that was evaluated last.
    #[serde(default)]
    pub evaluated: usize,
    /// Whether the training of this stage is over: its scores are what is left.
    #[serde(default)]
    pub trained: bool,
    /// Seconds of training of this stage so far.
    pub seconds: f64,
    /// Prune rules that were added while it ran.
    pub rules: Vec<Rule>,
}

/// A checkpoint that was read.
#[derive(Debug)]
pub struct Checkpoint {
    /// Its folder.
    pub folder: PathBuf,
    /// Where the run stands.
    pub position: Position,
    tensors: HashMap<String, Tensor>,
}

/// What a checkpoint of a training stage holds.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// The matrices.
    pub set: &'a MergedSet,
    /// The best ones so far.
    pub best: Option<&'a MergedSet>,
    /// The optimiser.
    pub optimizer: &'a Optimizer,
    /// The pruner, if the stage prunes.
    pub pruner: Option<&'a Pruner>,
}

fn put_set(tensors: &mut HashMap<String, Tensor>, prefix: &str, set: &MergedSet) -> Result<()> {
    for (id, module) in &set.modules {
        for factor in [Factor::A, Factor::B] {
            tensors.insert(format!("{prefix}.{id}.{factor}"), module.tensor(factor).to_device(&Device::Cpu)?);
        }
    }
    Ok(())
}

/// Writes a checkpoint as `checkpoints/stage-S-step-N` (`….2` where that exists: it stays until the new one
/// is complete) and removes the oldest ones. Returns its folder.
///
/// # Errors
/// When it cannot be written; nothing half-written stays.
pub fn write(
    checkpoints: &Path,
    position: &Position,
    target: Option<&Adapter>,
    state: Option<State<'_>>,
) -> Result<PathBuf> {
    std::fs::create_dir_all(checkpoints).map_err(|e| Error::io("make the folder", checkpoints, &e))?;
    let name = format!("stage-{}-step-{}", position.stage, position.step);
    let mut folder = checkpoints.join(&name);
    let mut count = 1;
    while folder.exists() {
        count += 1;
        folder = checkpoints.join(format!("{name}.{count}"));
    }
    let mut tensors = HashMap::new();
    if let Some(adapter) = target {
        for (id, pair) in &adapter.modules {
            tensors.insert(format!("target.{id}.A"), pair.a.to_device(&Device::Cpu)?);
            tensors.insert(format!("target.{id}.B"), pair.b.contiguous()?.to_device(&Device::Cpu)?);
        }
    }
    if let Some(state) = state {
        put_set(&mut tensors, "now", state.set)?;
        if let Some(best) = state.best {
            put_set(&mut tensors, "best", best)?;
        }
        tensors.extend(state.optimizer.state()?.into_iter().map(|(name, t)| (format!("optimizer.{name}"), t)));
        if let Some(pruner) = state.pruner {
            tensors.extend(pruner.state()?.into_iter().map(|(name, t)| (format!("pruner.{name}"), t)));
        }
    }
    fault::point("checkpoint");
    let need = tensors.values().map(|t| (t.elem_count() * t.dtype().size_in_bytes()) as u64).sum::<u64>() + disk::SLACK;
    if let Some(free) = disk::free(checkpoints).filter(|free| *free < need) {
        let place = shown(checkpoints);
        let text = format!("a checkpoint needs {}, {place} has {}; free some space", bytes(need), bytes(free));
        return Err(Error::Full { text, need });
    }
    let json = serde_json::to_vec_pretty(position).map_err(|e| Error::fault(e.to_string()))?;
    file::folder(&folder, |aside| {
        let path = aside.join("state.safetensors");
        candle_core::safetensors::save(&tensors, &path).map_err(|e| not_written(&path, &e))?;
        std::fs::File::open(&path).and_then(|f| f.sync_all()).map_err(|e| Error::io("write", &path, &e))?;
        fault::point("checkpoint");
        crate::run::write_aside(&aside.join("position.json"), &json)?;
        fault::point("checkpoint");
        Ok(())
    })?;
    fault::point("checkpoint");
    // One that could not be read may be of a later step: the new one is kept all the same.
    for old in list(checkpoints).into_iter().filter(|old| *old != folder).skip(KEPT - 1) {
        discard(&old);
    }
    fault::point("checkpoint");
    Ok(folder)
}

/// Removes a checkpoint: its name first, so that no half of it is ever read as one.
fn discard(folder: &Path) {
    let Some(name) = folder.file_name() else { return };
    let mut gone = std::ffi::OsString::from(".");
    gone.push(name);
    gone.push(format!(".partial-{}", std::process::id()));
    let gone = folder.with_file_name(gone);
    // What cannot be removed only takes room.
    if std::fs::rename(folder, &gone).is_ok() {
        fault::point("checkpoint");
        std::fs::remove_dir_all(&gone).ok();
    }
}

fn not_written(path: &Path, error: &candle_core::Error) -> Error {
    match error {
        candle_core::Error::SafeTensor(safetensors::SafeTensorError::IoError(e)) => Error::io("write", path, e),
        other => {
            let what = other.to_string();
            Error::fault(format!("cannot write {}: {}", shown(path), what.lines().next().unwrap_or_default()))
        }
    }
}

/// Removes what a worker left that was killed while it wrote. Only for the worker that holds the run.
pub fn tidy(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && name.contains(".partial-") {
            // What cannot be removed only takes room.
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// The checkpoints, newest first.
pub(crate) fn list(checkpoints: &Path) -> Vec<PathBuf> {
    let numbers = |path: &Path| -> Option<(usize, usize, usize)> {
        let name = path.file_name()?.to_str()?;
        let (stage, step) = name.strip_prefix("stage-")?.split_once("-step-")?;
        let (step, count) = step.split_once('.').unwrap_or((step, "1"));
        Some((stage.parse().ok()?, step.parse().ok()?, count.parse().ok()?))
    };
    let mut found: Vec<_> = std::fs::read_dir(checkpoints)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some((numbers(&e.path())?, e.path())))
        .collect();
    found.sort_unstable_by_key(|f| std::cmp::Reverse(f.0));
    found.into_iter().map(|f| f.1).collect()
}

/// A checkpoint that could not be read.
struct Unreadable {
    folder: PathBuf,
    why: String,
    /// Whether it never will be: the disk or the user's rights may come back.
    damaged: bool,
}

/// The newest checkpoint that can be read, and a sentence about every one that could not. Only for the worker that holds
/// the run: what is damaged is put out of the way, as it would count as one of those that are kept.
///
/// # Errors
/// When none can be read, but one may be another time: without it all that was trained would be trained again.
pub fn newest(checkpoints: &Path) -> Result<(Option<Checkpoint>, Vec<String>)> {
    taken(look(checkpoints, &read))
}

fn taken((found, unreadable): (Option<Checkpoint>, Vec<Unreadable>)) -> Result<(Option<Checkpoint>, Vec<String>)> {
    if let Some(of) = unreadable.iter().find(|of| found.is_none() && !of.damaged) {
        return Err(Error::user(format!(
            "{}, and the run would begin anew: once it can be read the run goes on; if it never will be, remove {}",
            of.why,
            shown(&of.folder)
        )));
    }
    Ok((found, unreadable.into_iter().map(complaint).collect()))
}

/// What is to be told of a checkpoint, which is out of the way then where it is damaged.
fn complaint(Unreadable { folder, why, damaged }: Unreadable) -> String {
    if damaged {
        let mut name = std::ffi::OsString::from("damaged-");
        name.push(folder.file_name().unwrap_or_default());
        let mut aside = folder.with_file_name(&name);
        let mut count = 1;
        // An earlier one may have had the same name.
        while aside.exists() {
            count += 1;
            let mut other = name.clone();
            other.push(format!(".{count}"));
            aside = folder.with_file_name(other);
        }
        std::fs::rename(&folder, aside).ok();
    }
    why
}

/// The same for those who only ask: every checkpoint stays where it is. With each one that cannot be read, a sentence.
pub fn readable(checkpoints: &Path) -> (Option<Checkpoint>, Vec<(PathBuf, String)>) {
    let (found, unreadable) = look(checkpoints, &read);
    (found, unreadable.into_iter().map(|of| (of.folder, of.why)).collect())
}

/// The newest checkpoint that `read` reads, and those that it does not.
fn look(checkpoints: &Path, read: &dyn Fn(&Path) -> Read) -> (Option<Checkpoint>, Vec<Unreadable>) {
    let mut unreadable: Vec<Unreadable> = Vec::new();
    let mut found = None;
    for _ in 0..LOOKS {
        unreadable.clear();
        let mut is_gone = false;
        for folder in list(checkpoints) {
            match read(&folder) {
                Ok(checkpoint) => {
                    found = Some(checkpoint);
                    break;
                }
                // The worker removes the oldest ones: then there are newer ones than were listed.
                Err(_) if matches!(folder.try_exists(), Ok(false)) => is_gone = true,
                Err((damaged, why)) => unreadable.push(Unreadable { folder, why: why.to_string(), damaged }),
            }
        }
        if found.is_some() || !is_gone {
            break;
        }
    }
    let then = if found.is_some() {
        "going on from the checkpoint before it"
    } else {
        "there is none before it that can be read"
    };
    unreadable.iter_mut().for_each(|of| of.why = format!("{}; {then}", of.why));
    (found, unreadable)
}

/// Where the run stands at a checkpoint.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn position(folder: &Path) -> Result<Position> {
    read_position(folder).map_err(|(_, why)| why)
}

fn read_position(folder: &Path) -> Read<Position> {
    let path = folder.join("position.json");
    let json = crate::bounded::bytes(&path, 16 << 20).map_err(|e| not_read(&path, &e))?;
    serde_json::from_slice(&json).map_err(|e| (true, Error::user(format!("{}: {e}", shown(&path)))))
}

/// A path, safe to show.
fn shown(path: &Path) -> String {
    crate::text::printable(&path.display().to_string()).into_owned()
}

/// What was read, or whether it is damaged, and why it was not.
type Read<T = Checkpoint> = Result<T, (bool, Error)>;

/// A file that could not be read. It is damaged where the disk does answer: that there is none, or something else by
/// its name.
fn not_read(path: &Path, error: &std::io::Error) -> (bool, Error) {
    let kinds = [ErrorKind::NotFound, ErrorKind::IsADirectory, ErrorKind::NotADirectory, ErrorKind::Other];
    (kinds.contains(&error.kind()), Error::io("read", path, error))
}

fn read(folder: &Path) -> Read {
    let position = read_position(folder)?;
    let path = folder.join("state.safetensors");
    let state = std::fs::read(&path).map_err(|e| not_read(&path, &e))?;
    let tensors = candle_core::safetensors::load_buffer(&state, &Device::Cpu).map_err(|e| {
        let why = e.to_string();
        let why = crate::text::printable(why.lines().next().unwrap_or_default());
        (true, Error::user(format!("{} is damaged: {why}", shown(&path))))
    })?;
    Ok(Checkpoint { folder: folder.to_path_buf(), position, tensors })
}

impl Checkpoint {
    /// Whether it was written by a training that was under way, not at the beginning of a stage.
    pub fn is_of_training(&self) -> bool {
        self.tensors.keys().any(|name| name.starts_with("now."))
    }

    /// Puts the matrices of `prefix` (`now` or `best`) into `set`, in place; false if there are none.
    ///
    /// # Errors
    /// When one has another shape than the recipe's adapters.
    pub fn fill(&self, prefix: &str, set: &MergedSet) -> Result<bool> {
        for (id, module) in &set.modules {
            for factor in [Factor::A, Factor::B] {
                let name = format!("{prefix}.{id}.{factor}");
                let Some(saved) = self.tensors.get(&name) else { return Ok(false) };
                let matrix = module.tensor(factor);
                if saved.dims() != matrix.dims() {
                    return Err(Error::user(format!(
                        "the checkpoint's {name} is {:?}, the adapters have {:?}",
                        saved.dims(),
                        matrix.dims()
                    )));
                }
                matrix.slice_set(&saved.to_device(matrix.device())?, 0, 0)?;
            }
        }
        Ok(true)
    }

    /// As [`Self::fill`], of what the rest of the run would be another without.
    ///
    /// # Errors
    /// When one of the matrices is not there, or has another shape than the recipe's adapters.
    pub fn fill_whole(&self, prefix: &str, set: &MergedSet) -> Result<()> {
        if self.fill(prefix, set)? {
            return Ok(());
        }
        Err(self.foreign(&format!("not all of the matrices {prefix:?}")))
    }

    /// Refuses a run whose recipe has only `stages` stages, where this was written in a later one.
    ///
    /// # Errors
    /// When it was.
    pub fn check_stage(&self, stages: usize) -> Result<()> {
        if self.position.stage < stages {
            return Ok(());
        }
        Err(self.foreign(&format!("stage {}, where the recipe has {stages}", self.position.stage + 1)))
    }

    /// The refusal of a checkpoint that has `what`, while the recipe asks for something else.
    fn foreign(&self, what: &str) -> Error {
        Error::user(format!(
            "{} has {what}: it belongs to another recipe; put back the run's recipe.toml and adapters as they were, \
             or start a new run",
            shown(&self.folder)
        ))
    }

    /// The target adapter as it was trained alone, if it was.
    ///
    /// # Errors
    /// When its shape is not that of `fresh`, or modules of that are missing.
    pub fn target(&self, fresh: &Adapter) -> Result<Option<Adapter>> {
        let mut matrices = std::collections::BTreeMap::new();
        for (id, pair) in &fresh.modules {
            let get = |factor: &str| self.tensors.get(&format!("target.{id}.{factor}"));
            let (Some(a), Some(b)) = (get("A"), get("B")) else {
                // A target that is taken for untrained would be merged as it began.
                if self.position.target_trained {
                    return Err(self.foreign(&format!("a trained target adapter without {id}")));
                }
                return Ok(None);
            };
            matrices.insert(*id, (a.to_device(pair.a.device())?, b.to_device(pair.b.device())?));
        }
        fresh.with_matrices(matrices).map(Some)
    }

    fn part(&self, prefix: &str) -> HashMap<String, Tensor> {
        let strip = |(name, t): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), t.clone()));
        self.tensors.iter().filter_map(strip).collect()
    }

    /// Puts the optimiser and the pruner back.
    ///
    /// # Errors
    /// When their state does not fit `set`.
    pub fn restore(&self, set: &MergedSet, optimizer: &mut Optimizer, pruner: Option<&mut Pruner>) -> Result<()> {
        // Before the first update there are neither moments nor masks.
        if self.position.step > 0 {
            optimizer.restore(set, &self.part("optimizer."), self.position.step as u64)?;
        }
        pruner.map_or(Ok(()), |pruner| self.restore_pruner(set, pruner))
    }

    /// Puts the pruner back.
    ///
    /// # Errors
    /// When its state does not fit `set`.
    pub fn restore_pruner(&self, set: &MergedSet, pruner: &mut Pruner) -> Result<()> {
        pruner.add_rules(&self.position.rules)?;
        if self.position.step > 0 {
            pruner.restore(set, &self.part("pruner."))?;
        }
        Ok(())
    }
}
