//! A list of sets of ratios: presets, or what was saved.

use super::ask::{counted, forecast_of, matched};
use super::forecast::Forecast;
use super::{Set, put};
use crate::app::update::toast;
use crate::app::{App, Effect, Overlay, clean};
use crate::recipe::ratios::Ratios as Compiled;
use crate::run::what_if::Summary;

/// One line of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What it is called.
    pub label: String,
    /// A few words more.
    pub about: String,
    /// The ratios that it gives, or why it gives none.
    pub wanted: Result<Vec<(usize, f64)>, String>,
    /// What they would bring.
    pub forecast: Option<Forecast>,
    /// What was measured of them, where they are a kept draft.
    pub kept: Option<Kept>,
}

/// The figures of a kept draft, as far as they are measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// The change of the loss, or how it stands with it.
    pub loss: String,
    /// Sparsity and retained importance, 0 to 1.
    pub shares: Option<[f64; 2]>,
    /// The change of ROUGE-L.
    pub rouge: Option<String>,
    /// The step that they were measured at.
    pub step: Option<String>,
    /// A summary, as it is and as it would be.
    pub summary: Option<Summary>,
}

/// The list.
#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
    /// Its heading.
    pub title: String,
    /// Its lines.
    pub items: Vec<Item>,
    /// The line under the cursor.
    pub at: usize,
}

impl Item {
    /// A line for these ratios.
    pub fn new(app: &App, label: &str, about: String, wanted: Result<Vec<(usize, f64)>, String>) -> Self {
        let forecast = wanted.as_ref().ok().and_then(|wanted| forecast_of(app, wanted));
        Self { label: label.into(), about, wanted, forecast, kept: None }
    }
}

impl Menu {
    /// Whether it lists what was kept: its rows change as answers arrive.
    pub fn compares(&self) -> bool {
        self.items.iter().any(|item| item.kept.is_some())
    }
}

/// Shows a list.
pub fn open(app: &mut App, title: &str, items: Vec<Item>) {
    app.overlay = Some(Overlay::Ratios(Menu { title: title.into(), items, at: 0 }));
}

/// The line of a saved set.
pub fn set(app: &App, set: Set) -> Item {
    let rules = set.rules.and_then(|rules| {
        let compiled = Compiled::new(0.0, &rules).map_err(|e| e.to_string())?;
        Ok((rules.len(), matched(app, &compiled)))
    });
    match rules {
        Ok((_, wanted)) if wanted.is_empty() => {
            Item::new(app, &set.name, String::new(), Err("none of its rules matches a matrix of this stage".into()))
        }
        Ok((count, wanted)) => {
            let matrices = counted(wanted.len(), "matrix", "matrices");
            let about = format!("{}, {matrices}", counted(count, "rule", "rules"));
            Item::new(app, &set.name, about, Ok(wanted))
        }
        Err(why) => Item::new(app, &set.name, String::new(), Err(clean::line(&why))),
    }
}

/// A key while the list is open.
pub fn press(app: &mut App, mut menu: Menu, key: &str) -> Vec<Effect> {
    let last = menu.items.len().saturating_sub(1);
    match key {
        "down" | "j" => menu.at = (menu.at + 1).min(last),
        "up" | "k" => menu.at = menu.at.saturating_sub(1),
        "page-down" => menu.at = (menu.at + 10).min(last),
        "page-up" => menu.at = menu.at.saturating_sub(10),
        "home" => menu.at = 0,
        "end" => menu.at = last,
        "enter" => {
            choose(app, &menu);
            return Vec::new();
        }
        _ => return Vec::new(),
    }
    app.overlay = Some(Overlay::Ratios(menu));
    Vec::new()
}

fn choose(app: &mut App, menu: &Menu) {
    let Some(item) = menu.items.get(menu.at) else { return };
    match &item.wanted {
        Err(why) => toast(app, format!("{}: {why}", item.label)),
        Ok(wanted) => put(app, wanted),
    }
}
