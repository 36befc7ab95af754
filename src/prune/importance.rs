//! How much an entry matters.

use super::Key;
use crate::model::kernels::vectorised;
use crate::module::Factor;
use crate::recipe::Importance;
use crate::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Norms of what a module's matrices multiply; both empty where the measure asks for none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Norms {
    /// `‖X_:,j‖₂` per input feature (`d_in`).
    pub x: Vec<f32>,
    /// `‖Z_:,j‖₂` per concatenated rank, Z = X Aᵀ.
    pub z: Vec<f32>,
}

/// One adapter at one module, ready to be scored. Rows are ranks: `a` is r × `d_in`, `b` is r × `d_out`.
#[derive(Debug, Clone, Copy)]
pub struct Scorer<'a> {
    /// The measure.
    pub kind: Importance,
    /// A, r × `d_in`.
    pub a: &'a [f32],
    /// B transposed, r × `d_out`.
    pub b: &'a [f32],
    /// r.
    pub rank: usize,
    /// `‖X_j‖` (`d_in`), where the measure wants norms.
    pub x: &'a [f32],
    /// `‖Z_j‖` (r), where the measure wants norms.
    pub z: &'a [f32],
}

/// Smoothing of the sensitivity over steps (`AdaLoRA`'s beta1).
const SMOOTHING: f32 = 0.85;

/// 1 − [`SMOOTHING`], rounded once.
const FRESH: f32 = 0.15;

/// Rows of B·A that are looked at at once by `product`.
const BLOCK: usize = 64;

impl Importance {
    /// Whether it multiplies by norms of the inputs.
    pub fn wants_norms(self) -> bool {
        matches!(self, Self::Direct | Self::Product)
    }

    /// Whether it looks at gradients.
    pub fn wants_gradients(self) -> bool {
        self == Self::Sensitivity
    }

    /// Whether a matrix that is not zero can be without any importance, because its partner B or A is zero
    /// (a new adapter) and nothing comes through it.
    pub(super) fn looks_through(self) -> bool {
        matches!(self, Self::Product | Self::Sensitivity)
    }
}

/// The random stream of one matrix at one step.
pub fn stream(seed: u64, step: usize, (id, adapter, factor): Key) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (step as u64).rotate_left(32));
    let matrix = ((id.layer * 7 + id.projection as usize) * 1024 + adapter) * 2 + usize::from(factor == Factor::B);
    rng.set_stream(matrix as u64);
    rng
}

impl Scorer<'_> {
    /// The importance of every entry of A and of B, in their layouts. `gradients` and the values of the
    /// pruning before (`smoothed`) are those of A and B, for `sensitivity`; `rng` makes the stream of a
    /// factor, for `random`.
    ///
    /// # Errors
    /// When `sensitivity` is asked without a gradient.
    pub fn scores(
        &self,
        gradients: Option<[&[f32]; 2]>,
        smoothed: [Option<&[f32]>; 2],
        rng: impl Fn(Factor) -> ChaCha8Rng,
    ) -> Result<[Vec<f32>; 2]> {
        let magnitude = |weights: &[f32]| weights.iter().map(|w| w.abs()).collect();
        let random = |weights: &[f32], mut rng: ChaCha8Rng| weights.iter().map(|_| rng.random::<f32>()).collect();
        Ok(match self.kind {
            Importance::Direct => self.direct(),
            Importance::Magnitude => [magnitude(self.a), magnitude(self.b)],
            Importance::Random => [random(self.a, rng(Factor::A)), random(self.b, rng(Factor::B))],
            Importance::Product => self.product(),
            Importance::Sensitivity => {
                let [a, b] = gradients.ok_or_else(|| Error::fault("sensitivity needs gradients"))?;
                [sensitivity(self.a, a, smoothed[0]), sensitivity(self.b, b, smoothed[1])]
            }
        })
    }

    /// `|W_ij| · ‖X_j‖₂` (Sun et al. 2023, read literally for each factor).
    fn direct(&self) -> [Vec<f32>; 2] {
        let width = self.b.len() / self.rank;
        let (mut a, mut b) = (vec![0.0; self.a.len()], vec![0.0; self.b.len()]);
        vectorised!({
            // Row by row: a chain of rows would be gathered entry by entry.
            for (scores, row) in a.chunks_mut(self.x.len()).zip(self.a.chunks(self.x.len())) {
                for ((score, w), n) in scores.iter_mut().zip(row).zip(self.x) {
                    *score = w.abs() * n;
                }
            }
            for ((scores, row), n) in b.chunks_mut(width).zip(self.b.chunks(width)).zip(self.z) {
                for (score, w) in scores.iter_mut().zip(row) {
                    *score = w.abs() * n;
                }
            }
        });
        [a, b]
    }

    /// Wanda's score of the product carried back: I(A) = |(Bᵀ sign(BA)) ⊙ n|, I(B) = |(sign(BA) ⊙ n) Aᵀ|
    /// (`GRASP-LoRA`). B·A exists only in blocks of rows.
    fn product(&self) -> [Vec<f32>; 2] {
        let (r, d_in) = (self.rank, self.x.len());
        let d_out = self.b.len() / r;
        let a = MatRef::from_row_major_slice(self.a, r, d_in);
        let b = MatRef::from_row_major_slice(self.b, r, d_out);
        let scaled: Vec<f32> = self.a.chunks(d_in).flat_map(|row| row.iter().zip(self.x).map(|(a, n)| a * n)).collect();
        let scaled = MatRef::from_row_major_slice(&scaled, r, d_in);
        let (mut of_a, mut of_b) = (vec![0f32; r * d_in], vec![0f32; r * d_out]);
        let mut signs = vec![0f32; BLOCK.min(d_out) * d_in];
        for first in (0..d_out).step_by(BLOCK) {
            let rows = BLOCK.min(d_out - first);
            let block = b.subcols(first, rows);
            let signs = &mut signs[..rows * d_in];
            let product = MatMut::from_row_major_slice_mut(signs, rows, d_in);
            matmul(product, Accum::Replace, block.transpose(), a, 1.0, Par::Seq);
            for s in signs.iter_mut() {
                *s = if *s == 0.0 { 0.0 } else { s.signum() };
            }
            let signs = MatRef::from_row_major_slice(signs, rows, d_in);
            let sum = MatMut::from_row_major_slice_mut(&mut of_a, r, d_in);
            matmul(sum, Accum::Add, block, signs, 1.0, Par::Seq);
            let all = MatMut::from_row_major_slice_mut(&mut of_b, r, d_out);
            matmul(all.subcols_mut(first, rows), Accum::Replace, scaled, signs.transpose(), 1.0, Par::Seq);
        }
        for row in of_a.chunks_mut(d_in) {
            row.iter_mut().zip(self.x).for_each(|(s, n)| *s = s.abs() * n);
        }
        of_b.iter_mut().for_each(|s| *s = s.abs());
        [of_a, of_b]
    }
}

/// |w · ∂L/∂w|, smoothed over the prunings.
fn sensitivity(weights: &[f32], gradient: &[f32], smoothed: Option<&[f32]>) -> Vec<f32> {
    let now = weights.iter().zip(gradient).map(|(w, g)| (w * g).abs());
    match smoothed {
        Some(old) => now.zip(old).map(|(now, old)| SMOOTHING * old + FRESH * now).collect(),
        None => now.collect(),
    }
}
