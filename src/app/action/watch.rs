//! Keys of the charts and of the samples.

use super::{Action, Screen, Section, entry};
use crate::app::Pane;

const QUANTITY: &str = "next, previous quantity (loss, sparsity, ...)";
const ZOOM: &str = "fewer, more steps around the chart's cursor";
const DOCUMENT: &str = "next, previous sample document";
const VERSION: &str = "previous, next version of the summary";
const CHARTS_PANE: &[Pane] = &[Pane::Charts];
const SAMPLES_PANE: &[Pane] = &[Pane::Samples];

const ONE: &str = "one step of the heatmap back, forward";
const TEN: &str = "ten steps back, forward";
const MAP: &[Pane] = &[Pane::Heatmap];

/// The heatmap's time.
pub const TIME: Section = Section {
    title: "time and change",
    screen: Screen::Watch,
    entries: &[
        entry(Action::StepBack, &["["], ONE).short("back").only(MAP),
        entry(Action::StepOn, &["]"], ONE).only(MAP),
        entry(Action::TenBack, &["{"], TEN).only(MAP),
        entry(Action::TenOn, &["}"], TEN).only(MAP),
        entry(Action::Play, &["space"], "play the steps, or hold").only(MAP),
        entry(Action::Live, &["backspace"], "back to the live step").only(MAP),
        entry(Action::Compare, &["D"], "show the change since this step, or leave that").short("change").only(MAP),
        entry(Action::OtherRun, &["O"], "show the difference to another run's last state").short("runs").only(MAP),
        entry(Action::Inspect, &["i"], "the module's matrices; enter: one's entries").short("inspect").only(MAP),
    ],
};

/// Curves.
pub const CHARTS: Section = Section {
    title: "charts",
    screen: Screen::Watch,
    entries: &[
        entry(Action::Quantity, &["x"], QUANTITY).short("quantity").only(CHARTS_PANE),
        entry(Action::PreviousQuantity, &["X"], QUANTITY).only(CHARTS_PANE),
        entry(Action::Smoothing, &["o"], "smoothing: moving mean of 0.6, 0.9, none").short("smooth").only(CHARTS_PANE),
        entry(Action::LogScale, &["L"], "logarithmic or linear y axis").short("log").only(CHARTS_PANE),
        entry(Action::ZoomIn, &["<"], ZOOM).short("zoom in").only(CHARTS_PANE),
        entry(Action::ZoomOut, &[">"], ZOOM).short("out").only(CHARTS_PANE),
        entry(Action::ZoomReset, &["0"], "all steps, no cursor (left, right: a cursor)").only(CHARTS_PANE),
        entry(Action::OtherCurves, &["O"], "curves of other runs over these, on or off")
            .short("runs")
            .only(CHARTS_PANE),
        entry(Action::Earlier, &["e"], "show or hide the curves of earlier stages").short("earlier").on(CHARTS_PANE),
    ],
};

/// Summaries.
pub const SAMPLES: Section = Section {
    title: "samples",
    screen: Screen::Watch,
    entries: &[
        entry(Action::NextDocument, &["n"], DOCUMENT).short("next").on(SAMPLES_PANE),
        entry(Action::PreviousDocument, &["N"], DOCUMENT),
        entry(Action::PreviousVersion, &["t"], VERSION).short("version").only(SAMPLES_PANE),
        entry(Action::NextVersion, &["T"], VERSION).only(SAMPLES_PANE),
        entry(Action::Differences, &["d"], "show or hide what changed").short("changes").only(SAMPLES_PANE),
        entry(Action::Search, &["/"], "search all samples").short("search").only(SAMPLES_PANE),
        entry(Action::NextMatch, &["."], "next match of the search").only(SAMPLES_PANE),
    ],
};
