//! The keys that edit prune ratios on the heatmap.

use super::{Action, Entry, MAP, Screen, Section, entry};

/// What a key does to the ratios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RatioAction {
    Raise,
    Lower,
    ApplyDraft,
    DropDraft,
    SelectCells,
    SelectLines,
    SelectAll,
    ChangeRatio,
    RatioRule,
    Presets,
    Undo,
    Redo,
    CopyRatios,
    PasteRatios,
    SaveRatios,
    LoadRatios,
    ShowTrial,
    KeepVariant,
    CompareVariants,
    Sensitivity,
    SensitivityCurves,
    LowerMap,
    HigherMap,
    Suggest,
}

const STEP: &str = "raise, lower the ratio by 0.05";
const SELECT: &str = "select cells; layers, then projections; all";
const ASK: &str = "edit by 0.5, +0.1, *0.9; by rule";
const UNDO: &str = "undo, redo an edit";
const COPY: &str = "copy the adapter's ratios, paste to another";
const SETS: &str = "save the ratios by name, load saved ones";
const MAP_AT: &str = "sensitivity at the lower, the higher ratio";
const KEPT: &str = "keep the draft; compare what is kept";

const fn draft(action: RatioAction, keys: &'static [&'static str], help: &'static str) -> Entry {
    entry(Action::Ratio(action), keys, help).only(MAP).drafts()
}

/// What changes nothing but what is shown.
const fn look(action: RatioAction, keys: &'static [&'static str], help: &'static str) -> Entry {
    entry(Action::Ratio(action), keys, help).only(MAP)
}

/// The section of the table.
pub const SECTION: Section = Section {
    title: "prune ratios, as a draft (on the heatmap)",
    screen: Screen::Watch,
    entries: &[
        draft(RatioAction::Raise, &["+", "="], STEP).short("raise"),
        draft(RatioAction::Lower, &["-"], STEP).short("lower"),
        draft(RatioAction::ApplyDraft, &["enter"], "send the draft to the run; over: a new recipe").short("apply"),
        // Harmless where nothing can be edited.
        entry(Action::Ratio(RatioAction::DropDraft), &["esc"], "end the selection, then drop the draft")
            .only(MAP)
            .short("drop"),
        draft(RatioAction::SelectCells, &["v"], SELECT).short("select"),
        draft(RatioAction::SelectLines, &["V"], SELECT),
        draft(RatioAction::SelectAll, &["ctrl-a"], SELECT),
        draft(RatioAction::ChangeRatio, &["r"], ASK).short("ratio"),
        draft(RatioAction::RatioRule, &["R"], ASK),
        draft(RatioAction::Presets, &["P"], "presets: uniform, by depth, equal importance").short("presets"),
        draft(RatioAction::Undo, &["u"], UNDO),
        draft(RatioAction::Redo, &["ctrl-r"], UNDO),
        draft(RatioAction::CopyRatios, &["y"], COPY),
        draft(RatioAction::PasteRatios, &["Y"], COPY),
        draft(RatioAction::SaveRatios, &["w"], SETS),
        draft(RatioAction::LoadRatios, &["W"], SETS),
        draft(RatioAction::ShowTrial, &["b"], "what the draft does: losses, summaries").short("effect"),
        draft(RatioAction::Sensitivity, &["z"], "sensitivity: measure each part pruned alone").short("sensitivity"),
        look(RatioAction::SensitivityCurves, &["x"], "sensitivity as curves over the ratio, as a table"),
        look(RatioAction::LowerMap, &["<"], MAP_AT),
        look(RatioAction::HigherMap, &[">"], MAP_AT),
        draft(RatioAction::Suggest, &["Z"], "look for ratios for a sparsity or a loss").short("suggest"),
        draft(RatioAction::KeepVariant, &["K"], KEPT),
        draft(RatioAction::CompareVariants, &["B"], KEPT),
    ],
};
