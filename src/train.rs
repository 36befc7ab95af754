//! The loop: step, prune, evaluate, checkpoint, obey.

pub mod agreement;
pub mod checkpoint;
pub mod evaluate;
mod lora_hub;
pub mod optimizer;
pub mod orders;
pub mod plan;
pub mod result;
pub mod schedule;
pub mod stage;
pub mod step;
pub mod task;
pub mod what_if;

use crate::lora::{Adapter, MergedSet, combine};
use crate::model::device;
use crate::module::Factor;
use crate::recipe::Recipe;
use crate::recipe::ratios::{Ratios, Rule};
use crate::run::event::{EventBody, MatrixInfo, Phase, PhaseKind, Report, ReportRow, Started};
use crate::run::journal;
use crate::run::origin::{self, Origin};
use crate::run::session::{Session, with_room};
use crate::run::shell;
use crate::run::worker::Outcome;
use crate::{Error, Result};
use candle_core::DType;
use checkpoint::Position;
use orders::Orders;
use plan::{Stage, Start};
use stage::{Context, End};
use task::Task;

/// Runs a recipe from the start, or from the newest checkpoint of the run.
///
/// # Errors
/// The first thing that is missing or fails, as a sentence; what was finished before stays in the run.
pub fn execute(recipe: &Recipe, session: &mut dyn Session) -> Result<Outcome> {
    recipe.validate()?;
    let mut task = Task::load(recipe, session)?;
    let stages = plan::stages(recipe);
    let matrices = matrices(&task.adapters);
    let origin = Origin { recomputed: Some([task.layers.again(), task.layers.of]), ..origin::look(recipe) };
    let before = journal::last_of(&session.dir().journal_file(), "started")?;
    if let Some(EventBody::Started(before)) = before.map(|event| event.body) {
        for text in origin::changes(&before.origin, &origin) {
            session.record(EventBody::Warning { text })?;
        }
    }
    session.record(started(recipe, &task, &matrices, session.dir().name(), origin))?;
    let checkpoints = session.dir().checkpoints();
    checkpoint::tidy(&checkpoints);
    checkpoint::tidy(&session.dir().result());
    let (resume, complaints) = checkpoint::newest(&checkpoints)?;
    let begins_anew = resume.is_none() && !complaints.is_empty();
    for text in complaints {
        let text = format!("{text}; ratios that were changed after that one have to be sent again");
        session.record(EventBody::Warning { text })?;
    }
    if begins_anew {
        let text = "no checkpoint can be read: the run begins anew; those that were put aside stay".into();
        session.record(EventBody::Warning { text })?;
    }
    let mut position = Position { v: 1, ..Position::default() };
    let mut trained_target: Option<Adapter> = None;
    if let Some(checkpoint) = &resume {
        position = checkpoint.position.clone();
        checkpoint.check_stage(stages.len())?;
        trained_target = checkpoint.target(&task.adapters[task.target].0)?;
        if let Some(adapter) = &trained_target {
            task.adapters[task.target].0 = adapter.clone();
        }
        let text = format!("goes on from stage {}, step {}", position.stage + 1, position.step);
        session.record(EventBody::Warning { text })?;
    }
    let mut orders = Orders::default();
    let from = position.stage;
    for (index, stage) in stages.iter().enumerate().skip(from) {
        let resume = resume.as_ref().filter(|c| index == from && c.is_of_training());
        if resume.is_none() {
            position = Position {
                v: 1,
                stage: index,
                rows: position.rows,
                target_trained: trained_target.is_some(),
                ..Position::default()
            };
            let target = trained_target.as_ref();
            with_room(session, || checkpoint::write(&checkpoints, &position, target, None))?;
        }
        let examples = task.train.encoded.sequences.len();
        session.record(EventBody::Stage(stage.event(index, stages.len(), examples, recipe.train.batch)))?;
        let mut context = Context {
            recipe,
            task: &task,
            session,
            orders: &mut orders,
            matrices: &matrices,
            position: &mut position,
            target: trained_target.as_ref(),
            lr: 0.0,
            saved: None,
        };
        let set = match stage.start {
            Start::Weighted => merged(&task, stage)?,
            Start::Combined(name) => Some(combined(recipe, &task, name)?),
            Start::Searched => match lora_hub::searched(&mut context)? {
                Some(set) => Some(set),
                None => return stopped_before(session, &orders),
            },
        };
        let set = match (stage.training, set) {
            (Some(training), Some(set)) => match context.train(stage, training, set, resume)? {
                End::Done(set) => Some(set),
                End::Stopped => return Ok(stopped(session)),
            },
            (_, set) => set,
        };
        if !score_all(&mut context, stage, set.as_ref())? {
            return stopped_before(session, &orders);
        }
        orders.refuse_rest(session, "no training step is under way")?;
        if let (true, Some(set)) = (stage.makes_target, &set) {
            let adapter = task.adapters[task.target].0.with_matrices(set.adapter(task.target)?)?;
            task.adapters[task.target].0 = adapter.clone();
            trained_target = Some(adapter);
        }
        if let (true, Some(set)) = (stage.own, &set) {
            session.record(EventBody::Phase(Phase {
                phase: PhaseKind::Save,
                label: "result".into(),
                done: 0,
                total: 1,
            }))?;
            let dir = session.dir().clone();
            with_room(session, || result::write(recipe, &task, set, &position.rows, &dir))?;
        }
    }
    Ok(Outcome::Finished(format!("the adapter and the report are in {}", session.dir().result().display())))
}

/// The user's order to stop is answered; what the stage did since its last checkpoint is done again.
fn stopped_before(session: &mut dyn Session, orders: &Orders) -> Result<Outcome> {
    if let Some(request) = orders.stop().cloned() {
        session.answer(&request, true, "stopped; the stage starts again when resumed")?;
    }
    Ok(stopped(session))
}

fn stopped(session: &dyn Session) -> Outcome {
    Outcome::Stopped(format!(
        "stopped with a checkpoint; `lopper resume {}` goes on",
        shell::word(session.dir().path())
    ))
}

/// Refuses rules that say nothing about any matrix: a slip in a name would otherwise pass unseen.
pub(crate) fn check_rules(rules: &[Rule], recipe: &Recipe, matrices: &[MatrixInfo]) -> Result<()> {
    let named = matrices.iter().map(|m| (m.module, recipe.adapters[m.adapter].name.as_str(), m.factor));
    let Some(number) = Ratios::new(recipe.prune.ratio, rules)?.idle(&named) else { return Ok(()) };
    let rule = &rules[number - 1];
    let layers = matrices.iter().map(|m| m.module.layer + 1).max().unwrap_or(0);
    let example = matrices.first().map_or(String::new(), |m| m.module.to_string());
    let adapters = recipe.adapters.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", ");
    let factor = rule.factor.map_or(String::new(), |f| format!(", factor {f}"));
    Err(Error::user(format!(
        "prune rule {number} (modules {:?}, adapter {:?}{factor}) matches no matrix: the adapters {adapters} have modules \
         such as {example}, of {layers} layers",
        rule.modules, rule.adapter
    )))
}

/// Every matrix of every adapter, in the order module, adapter, A, B.
pub(crate) fn matrices(adapters: &[(Adapter, f64)]) -> Vec<MatrixInfo> {
    let mut all = Vec::new();
    for (adapter, (peft, _)) in adapters.iter().enumerate() {
        for (module, pair) in &peft.modules {
            for (factor, matrix) in [(Factor::A, &pair.a), (Factor::B, &pair.b)] {
                let (rows, cols) = matrix.dims2().unwrap_or_default();
                all.push(MatrixInfo { module: *module, adapter, factor, rows, cols });
            }
        }
    }
    all.sort_by_key(|m| (m.module, m.adapter, m.factor));
    all
}

#[allow(clippy::needless_pass_by_value)]
fn started(recipe: &Recipe, task: &Task, matrices: &[MatrixInfo], run: String, origin: Origin) -> EventBody {
    let hold = device::hold(recipe.dtype, task.place.device.is_cuda());
    let dtype = device::type_label(hold, task.decoder.dtype() == DType::BF16);
    EventBody::Started(Box::new(Started {
        lopper: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        host: crate::run::lock::host(),
        device: format!("{}, {dtype}", task.place.label),
        base: recipe.base_shown(),
        base_parameters: task.decoder.parameters() as u64,
        layers: task.decoder.config().layers,
        adapter_parameters: matrices.iter().map(|m| (m.rows * m.cols) as u64).sum(),
        adapters: task.infos(recipe),
        matrices: matrices.to_vec(),
        train_examples: task.train.references.len(),
        dev_examples: task.dev.references.len(),
        test_examples: task.test.as_ref().map_or(0, |t| t.references.len()),
        truncated: task.truncated(),
        documents: task.documents(recipe.samples.documents),
        origin: Box::new(origin),
        name: crate::text::printable(if recipe.name.is_empty() { &run } else { &recipe.name }).into_owned(),
    }))
}

/// The merge of the stage's adapters, numbered as the recipe numbers them; `None` for the base alone.
pub(crate) fn merged(task: &Task, stage: &Stage) -> Result<Option<MergedSet>> {
    if stage.adapters.is_empty() {
        return Ok(None);
    }
    let alone = stage.adapters.len() == 1;
    let chosen: Vec<(Adapter, f64)> = stage
        .adapters
        .iter()
        .map(|&i| {
            let (adapter, weight) = &task.adapters[i];
            // Alone an adapter is used as it was trained, whatever its weight in the merge.
            (adapter.clone(), if alone { 1.0 } else { *weight })
        })
        .collect();
    let mut set = MergedSet::merged(&chosen)?;
    for segment in set.modules.values_mut().flat_map(|m| &mut m.segments) {
        segment.adapter = stage.adapters[segment.adapter];
    }
    if set.modules.is_empty() {
        return Err(Error::user("the adapters have no matrices"));
    }
    Ok(Some(set))
}

/// One adapter of all, made as PEFT's method of this name makes it, with the recipe's weights.
fn combined(recipe: &Recipe, task: &Task, name: &str) -> Result<MergedSet> {
    let all: Vec<(&Adapter, f64)> = task.adapters.iter().map(|(adapter, weight)| (adapter, *weight)).collect();
    let density = (!matches!(name, "linear" | "svd")).then_some(recipe.eval.density);
    let method = combine::Method::named(name, &combine::Settings { density, ..combine::Settings::default() })?;
    let adapter = combine::combine(&all, &method, &mut combine::Drawn { seed: recipe.seed })?;
    let mut set = MergedSet::merged(&[(adapter, 1.0)])?;
    for segment in set.modules.values_mut().flat_map(|m| &mut m.segments) {
        segment.adapter = task.target;
    }
    Ok(set)
}

/// Share of all entries that are exactly zero.
fn sparsity(set: Option<&MergedSet>) -> Result<f64> {
    let (mut zeros, mut all) = (0.0, 0usize);
    for matrix in set.into_iter().flat_map(|s| s.modules.values()).flat_map(|m| [&m.a, &m.b]) {
        zeros += f64::from(matrix.eq(0f32)?.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?);
        all += matrix.elem_count();
    }
    Ok(zeros / all.max(1) as f64)
}

/// Scores a stage, and what comes of pruning it once where that is asked; false when stopped.
fn score_all(context: &mut Context<'_>, stage: &Stage, set: Option<&MergedSet>) -> Result<bool> {
    if stage.scored && !score(context, stage, set)? {
        return Ok(false);
    }
    let (Some(label), Some(set)) = (&stage.pruned_once, set) else { return Ok(true) };
    let pruned = context.pruned_once(set)?;
    score(context, &Stage { label: label.clone(), ..stage.clone() }, Some(&pruned))
}

/// Scores a stage on the test set (dev where there is none) and adds its row; false when stopped.
fn score(context: &mut Context<'_>, stage: &Stage, set: Option<&MergedSet>) -> Result<bool> {
    let (recipe, task) = (context.recipe, context.task);
    let (name, split) = task.scored_split();
    let split = task.shots.as_ref().filter(|_| stage.shots).unwrap_or(split);
    let greedy = evaluate::greedy(recipe);
    if stage.training.is_none() && !context.samples(set, 0)? {
        return Ok(false);
    }
    let mut told = None;
    let mut tell = |label: &str, done: usize, total: usize| -> Result<bool> {
        // The same number comes again with every token that is written.
        if told != Some((label == "loss", done)) {
            told = Some((label == "loss", done));
            let label = format!("{name} {label}");
            let (done, total) = (done as u64, total as u64);
            context.session.record(EventBody::Phase(Phase { phase: PhaseKind::Eval, label, done, total }))?;
        }
        context.orders.read(context.session)?;
        Ok(!context.orders.wants_stop())
    };
    let micro = recipe.train.micro_tokens;
    let Some(loss) = evaluate::loss(task, set, split, micro, &mut |done, total| tell("loss", done, total))? else {
        return Ok(false);
    };
    let texts = evaluate::summaries(task, set, split, usize::MAX, (&greedy, recipe.seed), &mut |done, total| {
        tell("summaries", done, total)
    })?;
    let Some(texts) = texts else { return Ok(false) };
    let rouge = evaluate::rouge(task, split, &texts);
    let bert = evaluate::bertscore(task, split, &texts, &mut |done, total| tell("BERTScore", done, total))?;
    let Some(bert) = bert else { return Ok(false) };
    let dir = context.session.dir().clone();
    with_room(context.session, || result::write_summaries(&dir, &stage.label, split, &texts))?;
    context.position.rows.push(ReportRow {
        method: stage.label.clone(),
        documents: texts.len(),
        loss,
        rouge,
        sparsity: sparsity(set)?,
        seconds: context.position.seconds,
        bert,
    });
    let report = Report {
        split: name.into(),
        rows: context.position.rows.clone(),
        tokens: task.segmentation.label(),
        encoder: task.encoder(),
    };
    context.session.record(EventBody::Report(report))?;
    Ok(true)
}
