//! Whether the adapters of this machine fit the base of the recipe: they are held against it like the hub's.

use super::{Effect, Overlay, Purpose, Setup};
use crate::app::clean;
use crate::hub::AdapterFacts;
use crate::hub::reference::Reference;
use crate::recipe::draft::Place;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The base that adapters are held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Against {
    /// As the recipe names it.
    pub base: String,
    /// The folder that stands in for it as long as it is to be fetched.
    pub outline: Option<PathBuf>,
}

/// An adapter of this machine on the base: what it is there, or the sentence.
pub type Fit = Result<AdapterFacts, String>;

/// What is known of the adapters of this machine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fits {
    asked: Option<Against>,
    known: BTreeMap<PathBuf, Fit>,
}

impl Setup {
    /// Whether an adapter of this machine fits the base, if that is known.
    pub(super) fn fit(&self, adapter: &Path) -> Option<&Fit> {
        self.fits.known.get(adapter)
    }
}

/// The wish to hold the adapters of an open picker against the base, unless that was done.
pub(super) fn ask(setup: &mut Setup) -> Vec<Effect> {
    let Some(Overlay::Pick(Purpose::Adapter | Purpose::AdapterPath(_), _)) = &setup.overlay else { return Vec::new() };
    let Some(catalog) = &setup.catalog else { return Vec::new() };
    let base = Place::of("", "base").and_then(|place| setup.draft.get(place)?.as_str().map(str::to_owned));
    let against = base.filter(|base| !base.is_empty()).map(|base| {
        let outline = Reference::of_recipe(Path::new(&base)).and_then(|of| setup.outlines().remove(&of.ok()?));
        Against { base, outline }
    });
    if setup.fits.asked == against {
        return Vec::new();
    }
    let adapters = catalog.adapters.iter().filter(|entry| entry.problem.is_none()).map(|entry| entry.path.clone());
    let adapters: Vec<PathBuf> = adapters.collect();
    setup.fits = Fits { asked: against.clone(), known: BTreeMap::new() };
    let file = setup.file.clone();
    against.map(|against| Effect::Fits { against, file, adapters }).into_iter().collect()
}

/// They were held against it: nothing is known where the base is not there yet, or cannot be read.
pub(super) fn take(setup: &mut Setup, against: &Against, fits: Vec<(PathBuf, Fit)>) {
    if setup.fits.asked.as_ref() != Some(against) {
        return;
    }
    if fits.is_empty() {
        // It may be there later.
        setup.fits.asked = None;
    }
    setup.fits.known = fits.into_iter().map(|(path, fit)| (path, fit.map_err(|e| clean::line(&e)))).collect();
}

/// Files may have changed: it is asked anew.
pub(super) fn forget(setup: &mut Setup) {
    setup.fits.asked = None;
}
