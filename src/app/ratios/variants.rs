//! Drafts that were kept, with what is known of each: every answer for the same ratios fills one in, whoever asked.

use super::menu::{self, Item, Kept};
use super::trial;
use crate::app::update::toast;
use crate::app::{App, Overlay};
use crate::run::what_if::{Progress, WhatIf};

/// Variants that can be kept.
const MOST: usize = 26;
/// What the list of them is called.
const TITLE: &str = "kept drafts (~: forecast)";

/// A draft that was kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variant {
    /// A, B, C.
    pub name: String,
    /// The ratios of all matrices with it: what its answers are known by.
    pub ratios: Vec<(usize, f64)>,
    /// What is known of it.
    pub found: Option<WhatIf>,
    /// The stage in which that was measured.
    pub stage: usize,
}

impl Variant {
    /// Takes in an answer for its ratios. One without a loss (the masks alone, or given up for a newer draft) says less
    /// than one that has it.
    pub fn learn(&mut self, stage: usize, found: &WhatIf) {
        if found.delta.is_some() || self.found.as_ref().is_none_or(|known| known.delta.is_none()) {
            (self.stage, self.found) = (stage, Some(found.clone()));
        }
    }
}

/// Keeps the draft, with what is known of it.
pub fn keep(app: &mut App) {
    let count = app.ratios.trial.variants.len();
    let ratios = trial::whole(app);
    if app.ratios.draft.is_empty() || ratios.is_empty() {
        toast(app, "there is no draft to keep: + - r R P edit the ratios first");
    } else if count == MOST {
        toast(app, format!("{MOST} variants are kept already"));
    } else {
        let name = char::from(b'A' + count as u8).to_string();
        toast(app, format!("kept as {name}; B compares what was kept"));
        let trial = &mut app.ratios.trial;
        let same = trial.variants.iter().filter(|variant| variant.ratios == ratios);
        let known = same.filter_map(|variant| Some((variant.stage, variant.found.as_ref()?)));
        let known: Vec<(usize, WhatIf)> =
            known.chain(trial.known(&ratios)).map(|(stage, found)| (stage, found.clone())).collect();
        let mut variant = Variant { name, ratios, ..Variant::default() };
        known.iter().for_each(|(stage, found)| variant.learn(*stage, found));
        trial.variants.push(variant);
    }
}

/// The table of what was kept; Enter makes one the draft.
pub fn compare(app: &mut App) {
    if app.ratios.trial.variants.is_empty() {
        toast(app, "nothing is kept yet: K keeps the draft with its figures");
        return;
    }
    let items = items(app);
    menu::open(app, TITLE, items);
}

/// The table is open while something changes: its rows are what is known by now.
pub fn refresh(app: &mut App) {
    let is_open = matches!(&app.overlay, Some(Overlay::Ratios(menu)) if menu.compares());
    if is_open {
        let items = items(app);
        if let Some(Overlay::Ratios(menu)) = &mut app.overlay {
            menu.items = items;
        }
    }
}

fn items(app: &App) -> Vec<Item> {
    let item = |variant: &Variant| {
        let plain = Item::new(app, &variant.name, about(app, variant), Ok(variant.ratios.clone()));
        Item { kept: Some(kept(app, variant)), ..plain }
    };
    app.ratios.trial.variants.iter().map(item).collect()
}

/// The figures of a row.
fn kept(app: &App, variant: &Variant) -> Kept {
    let found = variant.found.as_ref();
    let masked = found.filter(|found| has_masks(found));
    let loss = match found.and_then(|found| found.delta) {
        Some(delta) => delta.shown(4),
        None if app.ratios.trial.awaits(&variant.ratios) => "measuring".into(),
        None => "not measured".into(),
    };
    Kept {
        loss,
        shares: masked.map(|found| [found.sparsity[1], found.retained[1]]),
        rouge: found.and_then(|found| found.rouge).map(|rouge| rouge.shown(1)),
        step: masked.map(|found| place(app, variant.stage, found.step)),
        summary: found.and_then(|found| found.summaries.first()).cloned(),
    }
}

/// Whether the other masks were made: only then are sparsity and importance measured.
fn has_masks(found: &WhatIf) -> bool {
    match found.state {
        Progress::Masks | Progress::Loss | Progress::Done => true,
        // Given up before its turn came it says nothing.
        Progress::Cancelled => found.asked[0] > 0,
        Progress::Failed => false,
    }
}

/// A step, with its stage where that is another than the present one.
fn place(app: &App, stage: usize, step: usize) -> String {
    if stage == app.stage.index { step.to_string() } else { format!("{step} of stage {}", stage + 1) }
}

/// What was measured, or why nothing was, in a sentence.
fn about(app: &App, variant: &Variant) -> String {
    let awaited = app.ratios.trial.awaits(&variant.ratios);
    let Some((found, delta)) = variant.found.as_ref().and_then(|found| Some((found, found.delta?))) else {
        return without_loss(app, variant, awaited);
    };
    let now = app.drafted().map(|modules| modules.step);
    let now = now.filter(|now| variant.stage == app.stage.index && *now != found.step);
    let now = now.map_or(String::new(), |now| format!(" (now {now})"));
    let losses = found.loss.map_or(String::new(), |[before, after]| format!(" {before:.4} → {after:.4},"));
    let mut text = format!("step {}{now}: loss{losses} {}", place(app, variant.stage, found.step), delta.shown(4));
    if let Some(rouge) = &found.rouge {
        text.push_str(&format!(", ROUGE-L {}", rouge.shown(1)));
    }
    // Before the schedule's end the masks are not yet those of the full ratios, which the forecast is of.
    if found.share > 0.0 && found.share < 1.0 {
        text.push_str(&format!(", at {:.0} % of the full ratios", 100.0 * found.share));
    }
    if found.summaries.is_empty() {
        text.push_str(match found.state {
            Progress::Loss if awaited => "; its summary is being written",
            Progress::Done => "; no summary was written",
            _ => "; its summary was not written: make it the draft",
        });
    }
    text
}

/// Why there is no loss.
fn without_loss(app: &App, variant: &Variant, awaited: bool) -> String {
    let is_the_runs = || variant.ratios.iter().all(|(at, ratio)| app.present_ratio(*at) == Some(*ratio));
    let is_the_draft = app.ratios.trial.known(&variant.ratios).is_some();
    match &variant.found {
        _ if awaited => "it is being measured".into(),
        Some(found) if found.state == Progress::Failed => format!("not measured: {}", found.text),
        Some(found) if found.state == Progress::Cancelled && is_the_draft => format!("given up: {}", found.text),
        _ if is_the_runs() => "not measured: these are the run's own ratios now".into(),
        _ => "not measured yet: make it the draft".into(),
    }
}
