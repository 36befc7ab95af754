//! Which entries DARE keeps.

use crate::Result;
use crate::module::{Factor, ModuleId, Projection};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a mask is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The module.
    pub module: ModuleId,
    /// Which of the adapters, from 0.
    pub adapter: usize,
    /// A or B; `None` for the product.
    pub factor: Option<Factor>,
}

/// Where masks come from.
pub trait Masks {
    /// For each of `count` entries, row by row, whether it is kept; `density`, above 0 and below 1, is the chance.
    ///
    /// # Errors
    /// When there is no such mask.
    fn keep(&mut self, place: Place, count: usize, density: f64) -> Result<Vec<bool>>;
}

/// Masks drawn by chance. The same seed gives the same mask at a place, whatever else is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// The seed.
    pub seed: u64,
}

impl Masks for Drawn {
    fn keep(&mut self, place: Place, count: usize, density: f64) -> Result<Vec<bool>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let module = place.module.layer * Projection::ALL.len() + place.module.projection as usize;
        let factor = place.factor.map_or(0, |factor| 1 + factor as u64);
        rng.set_stream((module as u64 * 3 + factor) << 24 | place.adapter as u64);
        Ok((0..count).map(|_| rng.random::<f32>() < density as f32).collect())
    }
}
