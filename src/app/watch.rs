//! What is looked at closely: curves, earlier steps, versions of summaries.

pub mod charts;

pub use charts::{Charts, Quantity};

use super::App;
use super::action::Action;

/// State of the charts, the time of the heatmap and the samples.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// The charts pane.
    pub charts: Charts,
}

/// Carries out an action of this part.
pub fn act(app: &mut App, action: Action) {
    charts::act(app, action);
}
