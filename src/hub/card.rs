//! The model card of a result: what was merged, on what, how it was pruned, what it scored.

mod front;
mod head;

use crate::eval::report::markdown;
use crate::module::Projection;
use crate::recipe::Recipe;
use crate::run::event::{EventBody, Modules, Report, Started};
use crate::run::journal::last_of;
use crate::run::{RunDir, RunState};
use crate::text::{counted, printable, printable_lines};
use crate::{Error, Result};
pub use front::front;
pub use head::head;
use std::fmt::Write;
use std::path::Path;

/// A repository of the hub and the commit that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `ORG/NAME`.
    pub id: String,
    /// The commit, 40 hex digits.
    pub commit: String,
}

impl Source {
    /// Of a folder `models--ORG--NAME/snapshots/COMMIT` of the hub's cache; none of any other folder.
    pub fn of(folder: &Path) -> Option<Self> {
        let found = super::reference::Reference::of_folder(folder).filter(super::reference::Reference::is_pinned)?;
        Some(Self { id: found.id, commit: found.revision })
    }
}

/// What a card is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The run's name.
    pub name: String,
    /// Its recipe, resolved.
    pub recipe: Recipe,
    /// What the worker said when it started.
    pub started: Started,
    /// The scores; none where no method was scored.
    pub report: Option<Report>,
    /// The matrices after the last update.
    pub modules: Option<Modules>,
}

impl Facts {
    /// Of a run that has a result.
    ///
    /// # Errors
    /// When it has none, or cannot be read.
    pub fn of(run: &RunDir) -> Result<Self> {
        let name = printable(&run.name()).into_owned();
        if run.state() != RunState::Finished || !run.result().join("adapter").is_dir() {
            return Err(Error::user(format!("{name} has no result yet: it is {}", run.state().word())));
        }
        let journal = run.journal_file();
        let last = |kind| -> Result<Option<EventBody>> { Ok(last_of(&journal, kind)?.map(|event| event.body)) };
        let Some(EventBody::Started(started)) = last("started")? else {
            return Err(Error::user(format!("the journal of {name} doesn't say what it started with")));
        };
        let report = last("report")?.and_then(|body| match body {
            EventBody::Report(report) => Some(report),
            _ => None,
        });
        let modules = last("modules")?.and_then(|body| match body {
            EventBody::Modules(modules) => Some(modules),
            _ => None,
        });
        Ok(Self { name, recipe: run.recipe()?, started: *started, report, modules })
    }

    /// The base's repository, where it came from the hub.
    pub fn base(&self) -> Option<Source> {
        Source::of(&self.recipe.base)
    }
}

/// The card as Markdown with a YAML header, as the hub reads it. `picture`: a file of the repository that is shown.
///
/// No path of this machine is told: files by their names, folders of the hub's cache by repository and commit.
pub fn card(facts: &Facts, repository: &str, picture: Option<&str>) -> String {
    let mut out = header(facts, repository);
    let name = repository.rsplit('/').next().unwrap_or(repository);
    let _ = writeln!(out, "# {}\n", line(name));
    let base = facts.base().map_or_else(|| own_name(&facts.recipe.base), |source| source.id);
    let _ = writeln!(
        out,
        "A LoRA adapter of {} for summaries: {} merged, fine-tuned together on {} examples{}. Made with lopper {}, after \
         *Adaptive LoRA Merge with Parameter Pruning for Low-Resource Generation* \
         ([arXiv 2505.24174](https://arxiv.org/abs/2505.24174)).\n",
        line(&base),
        counted(facts.started.adapters.len(), "adapter"),
        facts.started.train_examples,
        if facts.pruned() { ", and pruned after every update" } else { "" },
        line(&facts.started.lopper),
    );
    if let Some(picture) = picture {
        let _ = writeln!(out, "![Heatmap of every module]({picture})\n");
    }
    usage(facts, repository, &mut out);
    scores(facts, &mut out);
    merged(facts, &mut out);
    data(facts, &mut out);
    pruning(facts, &mut out);
    training(facts, &mut out);
    out
}

impl Facts {
    fn pruned(&self) -> bool {
        self.modules.as_ref().is_some_and(Modules::prunes)
    }
}

/// One line of Markdown in which the text stands for itself.
fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        if "\\`*_[]<>|#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// What of a path may be told to others.
fn own_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "a local folder".into(), |name| printable(&name.to_string_lossy()).into_owned())
}

/// A recipe's word for a choice.
fn word(choice: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(choice).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// A string as YAML reads it: JSON's are.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn header(facts: &Facts, repository: &str) -> String {
    let mut out = String::from("---\nlibrary_name: peft\n");
    if let Some(base) = facts.base() {
        let _ = writeln!(out, "base_model: {}\nbase_model_relation: adapter", quoted(&base.id));
    }
    out.push_str("pipeline_tag: text-generation\ntags:\n- lora\n- lopper\n- summarization\n");
    if facts.started.adapters.len() > 1 {
        out.push_str("- merge\n");
    }
    if facts.pruned() {
        out.push_str("- pruned\n");
    }
    let Some(row) = facts.report.as_ref().and_then(|report| report.rows.last()) else {
        return out + "---\n\n";
    };
    let split = facts.report.as_ref().map_or("test", |report| report.split.as_str());
    let set = own_name(facts.recipe.data.test.as_deref().unwrap_or(&facts.recipe.data.dev));
    let _ = writeln!(
        out,
        "model-index:\n- name: {}\n  results:\n  - task:\n      type: summarization\n    dataset:\n      name: {set}\n      \
         type: {set}\n      split: {}\n    metrics:",
        quoted(repository.rsplit('/').next().unwrap_or(repository)),
        quoted(split),
        set = quoted(&set),
    );
    let rouge = row.rouge;
    for (name, value) in [("ROUGE-1", rouge.rouge1), ("ROUGE-2", rouge.rouge2), ("ROUGE-L", rouge.rouge_l)] {
        let _ = writeln!(out, "    - type: rouge\n      name: {name}\n      value: {value:.2}");
    }
    let _ = writeln!(out, "    - type: loss\n      name: loss per summary token (nats)\n      value: {:.4}", row.loss);
    out + "---\n\n"
}

fn usage(facts: &Facts, repository: &str, out: &mut String) {
    let (base, revision) = match facts.base() {
        Some(source) => (source.id, format!(", revision={}", quoted(&source.commit))),
        None => (own_name(&facts.recipe.base), String::new()),
    };
    let _ = writeln!(
        out,
        "## Use\n\n```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n\
         base = AutoModelForCausalLM.from_pretrained({}{revision})\nmodel = PeftModel.from_pretrained(base, {})\n```\n",
        quoted(&base),
        quoted(repository),
    );
    let prompt = printable_lines(&facts.recipe.data.prompt).replace("```", "'''");
    let template = if facts.recipe.data.chat_template { ", as a user's turn of the chat template" } else { "" };
    let _ = writeln!(out, "The prompt{template}:\n\n```\n{prompt}\n```\n");
}

fn scores(facts: &Facts, out: &mut String) {
    let Some(report) = facts.report.as_ref().filter(|report| !report.rows.is_empty()) else { return };
    let documents = report.rows.iter().map(|row| row.documents).max().unwrap_or(0);
    let _ = writeln!(
        out,
        "## Scores\n\nROUGE F-measures in percent of greedy summaries of {documents} {} documents, loss in nats per summary \
         token; one seed.\n\n{}",
        line(&report.split),
        markdown(report),
    );
}

fn merged(facts: &Facts, out: &mut String) {
    out.push_str(
        "## What was merged\n\n| adapter | role | from | rank | alpha | weight |\n|---|---|---|---:|---:|---:|\n",
    );
    for (info, entry) in facts.started.adapters.iter().zip(&facts.recipe.adapters) {
        let from = match &entry.path {
            None => "new".into(),
            Some(path) => match Source::of(path) {
                Some(source) => format!("{} at {}", line(&source.id), &source.commit[..12]),
                None => line(&own_name(path)),
            },
        };
        let _ = writeln!(
            out,
            "| {} | {} | {from} | {} | {} | {} |",
            line(&info.name),
            line(&info.role),
            info.rank,
            info.alpha,
            info.weight
        );
    }
    out.push('\n');
}

fn data(facts: &Facts, out: &mut String) {
    let (data, started) = (&facts.recipe.data, &facts.started);
    let sets = [
        ("train", Some(&data.train), started.train_examples),
        ("dev", Some(&data.dev), started.dev_examples),
        ("test", data.test.as_ref(), started.test_examples),
    ];
    out.push_str("## Data\n\n| set | file | examples |\n|---|---|---:|\n");
    for (name, path, examples) in sets {
        if let Some(path) = path {
            let _ = writeln!(out, "| {name} | {} | {examples} |", line(&own_name(path)));
        }
    }
    let _ = writeln!(out, "\nDocuments are cut to {} tokens.\n", data.max_document_tokens);
}

fn pruning(facts: &Facts, out: &mut String) {
    let Some(modules) = facts.modules.as_ref().filter(|modules| modules.prunes()) else { return };
    let prune = &facts.recipe.prune;
    let _ = writeln!(
        out,
        "## Pruning\n\nAfter every update the least important entries of each {} are zero: ratio {}{}; importance {}, norms over \
         {}, schedule {}{}.\n\n| projection | parameters | ratio | zero | importance retained |\n|---|---:|---:|---:|---:|",
        word(&prune.group),
        prune.ratio,
        match prune.rules.len() {
            0 => String::new(),
            n => format!(" with {}", counted(n, "rule")),
        },
        word(&prune.importance),
        word(&prune.norms),
        word(&prune.schedule),
        if prune.hold { ", once pruned always pruned" } else { "" },
    );
    for projection in Projection::ALL {
        let (mut size, mut sums) = (0.0, [0.0; 3]);
        for (i, matrix) in facts.started.matrices.iter().enumerate() {
            let of = |column: &[Option<f32>]| column.get(i).copied().flatten().map(f64::from);
            let columns = [modules.full_ratios(), &modules.sparsity, &modules.retained].map(of);
            if matrix.module.projection == projection
                && let [Some(ratio), Some(sparsity), Some(retained)] = columns
            {
                let n = (matrix.rows * matrix.cols) as f64;
                size += n;
                sums = [sums[0] + ratio * n, sums[1] + sparsity * n, sums[2] + retained * n];
            }
        }
        if size > 0.0 {
            let [ratio, sparsity, retained] = sums.map(|sum| sum / size);
            let _ = writeln!(
                out,
                "| {projection} | {size:.0} | {ratio:.2} | {:.1} % | {:.1} % |",
                sparsity * 100.0,
                retained * 100.0
            );
        }
    }
    out.push('\n');
}

fn training(facts: &Facts, out: &mut String) {
    let recipe = &facts.recipe;
    let length = match recipe.train.steps {
        0 => format!("{} epochs", recipe.train.epochs),
        steps => format!("{steps} steps"),
    };
    let _ = writeln!(
        out,
        "## Training\n\n{length}, batches of {}, {} with a learning rate of {:e}, schedule {}; seed {}; on {}. The whole recipe is \
         `recipe.toml`.",
        recipe.train.batch,
        word(&recipe.train.optimizer),
        recipe.train.lr,
        word(&recipe.train.schedule),
        recipe.seed,
        line(&facts.started.device),
    );
}

#[cfg(test)]
mod tests;
