//! How the heatmap shows a value: on the ramp of its measure, or, as a change, on the signed ramp.

use crate::app::{App, Grid, Measure, Scale, sensitivity};
use crate::theme::Theme;
use ratatui::style::Style;

/// A measure and the ramp it is shown on.
#[derive(Debug, Clone, Copy)]
pub struct Paint<'a> {
    theme: &'a Theme,
    measure: Measure,
    /// What the colours stand for.
    pub scale: Scale,
    /// Whether values are changes.
    pub change: bool,
}

impl<'a> Paint<'a> {
    /// How the app's heatmap is shown now.
    pub fn new(app: &App, theme: &'a Theme) -> Self {
        let measure = app.measure;
        let change = measure == Measure::Sensitivity || app.is_difference();
        let scale = match measure {
            Measure::Sensitivity => sensitivity::scale(sensitivity::grid(app).as_ref()),
            _ if change => app.change_scale(measure),
            _ => app.shown_scale(measure),
        };
        Self { theme, measure, scale, change }
    }

    /// The values to show.
    pub fn grid(&self, app: &App) -> Option<Grid> {
        if self.measure == Measure::Sensitivity {
            sensitivity::grid(app)
        } else if self.change {
            app.change_grid(self.measure, app.selection)
        } else {
            app.shown_grid(self.measure, app.selection)
        }
    }

    /// How many levels there are.
    pub fn levels(&self) -> usize {
        if self.change { self.theme.ramp.diverging().levels() } else { self.theme.ramp.levels() }
    }

    /// The level of a value.
    pub fn level(&self, value: f32) -> usize {
        let share = self.scale.share(value);
        if self.change { self.theme.ramp.diverging().level(share) } else { self.theme.ramp.level(share) }
    }

    /// What `width` columns of a level look like.
    pub fn paint(&self, level: usize, width: usize) -> (String, Style) {
        if self.change { self.theme.ramp.diverging().paint(level, width) } else { self.theme.ramp.paint(level, width) }
    }

    /// The style of text on a level.
    pub fn behind(&self, level: usize) -> Style {
        if self.change { self.theme.ramp.diverging().behind(level) } else { self.theme.ramp.behind(level) }
    }

    /// The style of the cursor's marks on a level.
    pub fn cursor(&self, level: usize) -> Style {
        if self.change { self.theme.ramp.diverging().cursor(level) } else { self.theme.ramp.cursor(level) }
    }

    /// A value in at most seven characters.
    pub fn show(&self, value: f32) -> String {
        if self.change { self.measure.show_change(value) } else { self.measure.show(value) }
    }

    /// A value in at most `width` characters, `None` if it does not fit.
    pub fn show_within(&self, value: f32, width: usize) -> Option<String> {
        if self.change { self.measure.show_change_within(value, width) } else { self.measure.show_within(value, width) }
    }
}
