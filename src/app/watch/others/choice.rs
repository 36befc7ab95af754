//! The picker of other runs: several for the charts, one for the heatmap.

use super::{MOST, compare};
use crate::app::picker::{Ground, Item, Picker, Pressed};
use crate::app::update::toast;
use crate::app::{App, Effect, Overlay, clean};
use crate::run::listing::Summary;
use std::path::Path;

/// What a run is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Its curves, over the charts.
    Curves,
    /// The heatmap's difference to it.
    Base,
}

/// The picker while it is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    purpose: Purpose,
    /// Runs to choose from, and what there is to pick.
    pub picker: Picker,
    runs: Vec<Item>,
}

impl Choice {
    fn new(purpose: Purpose, title: &str) -> Self {
        Self { purpose, picker: Picker::new(title, true, Ground::default()), runs: Vec::new() }
    }

    /// Of curves; it stays open, so that several can be chosen.
    pub(super) fn curves() -> Self {
        Self::new(Purpose::Curves, "curves of other runs: enter lays them over or takes them off")
    }

    /// Of the run that the heatmap is compared with.
    pub(super) fn base() -> Self {
        Self::new(Purpose::Base, "difference to another run: enter")
    }

    /// Fills the picker anew, those on show marked; the cursor stays where it is.
    fn renew(&mut self, app: &App) {
        let others = &app.watch.others;
        let shown = |path: &Path| match self.purpose {
            Purpose::Curves => others.curves.iter().find(|run| run.path == path).map(|run| run.place + 1),
            Purpose::Base => others.base.iter().find(|base| base.run.path == path).map(|_| 1),
        };
        let item = |item: &Item| {
            let detail = match (shown(&item.value), self.purpose) {
                (None, _) => item.detail.clone(),
                (Some(number), Purpose::Curves) => format!("on show as {number}; {}", item.detail),
                (Some(_), Purpose::Base) => format!("on show; {}", item.detail),
            };
            Item { detail, ..item.clone() }
        };
        let at = self.picker.at;
        self.picker.fill(self.runs.iter().map(item).collect());
        self.picker.at = at.min(self.picker.found.len().saturating_sub(1));
    }
}

/// The runs of the folder, this one not among them. An Enter that waited for them counts now.
pub fn listed(app: &mut App, runs: Vec<Summary>) -> Vec<Effect> {
    let Some(Overlay::Others(mut choice)) = app.overlay.take_if(|o| matches!(o, Overlay::Others(_))) else {
        return Vec::new();
    };
    if runs.is_empty() {
        toast(app, "there is no other run in this folder");
        return Vec::new();
    }
    choice.runs = runs.into_iter().map(item).collect();
    choice.renew(app);
    if choice.picker.is_entered() {
        return press(app, choice, "enter");
    }
    app.overlay = Some(Overlay::Others(choice));
    Vec::new()
}

fn item(run: Summary) -> Item {
    let mut about = vec![run.state.word().to_owned()];
    if run.stage.1 > 0 {
        about.push(format!("stage {}/{} {}", run.stage.0, run.stage.1, clean::line(&run.method)));
    }
    about.extend(run.dev_loss.map(|loss| format!("dev loss {loss:.3}")));
    about.extend(run.rouge.map(|rouge| format!("ROUGE-L {:.2}", rouge.rouge_l)));
    about.extend(run.notes.tags.iter().map(|tag| format!("#{}", clean::line(tag))));
    Item { label: clean::line(&run.name), detail: about.join(", "), value: run.path, folder: true, ..Item::default() }
}

/// A key while the picker is open.
pub fn press(app: &mut App, mut choice: Choice, key: &str) -> Vec<Effect> {
    let before = choice.picker.clone();
    match choice.picker.press(key) {
        Pressed::Left => Vec::new(),
        Pressed::Open(picker, _) => {
            choice.picker = *picker;
            app.overlay = Some(Overlay::Others(choice));
            Vec::new()
        }
        Pressed::Picked(item) => {
            let paths = app.watch.others.paths();
            if choice.purpose == Purpose::Base {
                compare(app, &item.value, &item.label);
            } else {
                choice.picker = before;
                if !app.watch.others.toggle(&item.value, &item.label) {
                    choice.picker.note = Some(format!("{MOST} runs are on show at most: take one off first"));
                }
                choice.renew(app);
                app.overlay = Some(Overlay::Others(choice));
            }
            let now = app.watch.others.paths();
            if now == paths { Vec::new() } else { vec![Effect::Follow(now)] }
        }
    }
}

/// A paste into the picker.
pub fn paste(app: &mut App, choice: Choice, text: &str) {
    let Choice { purpose, picker, runs } = choice;
    if let Pressed::Open(picker, _) = picker.paste(text) {
        app.overlay = Some(Overlay::Others(Choice { purpose, picker: *picker, runs }));
    }
}
