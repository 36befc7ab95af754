//! Which actions have something to do now: the footer offers these, and the palette dims the others.

use super::{Pane, Setup, What};
use crate::app::action::setup::Form;
use crate::recipe::settings::Kind;

impl Setup {
    /// Whether an action has something to do now.
    pub fn works(&self, action: Form) -> bool {
        let here = self.pane == Pane::Settings;
        match action {
            Form::Unset => here && (self.row().value.is_some() || matches!(self.row().what, What::Adapter(_))),
            Form::Switch => {
                let turns = match self.row().what {
                    What::Setting(place) => matches!(place.setting().kind, Kind::Switch | Kind::Word(..)),
                    What::Adapter(_) => true,
                    What::Add => false,
                };
                here && turns
            }
            Form::Fetch => !self.seen.named.lacking.is_empty() || self.hub.fetching.is_some(),
            Form::Sort => false,
            Form::Save => self.is_changed(),
            Form::Undo => !self.done.is_empty(),
            Form::Redo => !self.undone.is_empty(),
            _ => true,
        }
    }
}
