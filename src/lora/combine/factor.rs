//! Products and their decomposition: B·A again, from a sum of products or from a whole matrix.

use crate::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Whole matrices whose smaller side is at most this are decomposed exactly, in f64.
const EXACT: usize = 1024;

/// Columns of the subspace beyond the rank: they make it converge faster.
const BESIDE: usize = 16;

/// The subspace is good when a further turn adds less than this share to the sum of its squared singular values.
const STILL: f64 = 1e-7;

/// More turns are not made.
const TURNS: usize = 64;

/// The size of a module's weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub d_out: usize,
    pub d_in: usize,
}

/// One LoRA without a scale.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thin {
    /// rank × `d_in`.
    pub a: Vec<f32>,
    /// `d_out` × rank.
    pub b: Vec<f32>,
    pub rank: usize,
}

impl Thin {
    /// U·S as B and Vᵀ as A, of the first `rank` singular values. A column's sign is free: its largest entry in B is
    /// positive.
    fn of(u: MatRef<'_, f64>, s: &[f64], v: MatRef<'_, f64>, rank: usize) -> Self {
        let rank = rank.min(s.len());
        let (d_out, d_in) = (u.nrows(), v.nrows());
        let (mut a, mut b) = (vec![0.0; rank * d_in], vec![0.0; d_out * rank]);
        for r in 0..rank {
            let largest = (0..d_out).map(|i| u[(i, r)]).fold(0.0f64, |m, x| if x.abs() > m.abs() { x } else { m });
            let sign = if largest < 0.0 { -1.0 } else { 1.0 };
            (0..d_out).for_each(|i| b[i * rank + r] = (sign * u[(i, r)] * s[r]) as f32);
            (0..d_in).for_each(|j| a[r * d_in + j] = (sign * v[(j, r)]) as f32);
        }
        Self { a, b, rank }
    }

    /// Cuts entries of B and A that are larger in size than the quantile of all entries, signs and all
    /// (interpolated, as torch does).
    pub(super) fn clamp(&mut self, quantile: f64) {
        let mut all: Vec<f32> = self.b.iter().chain(&self.a).copied().collect();
        all.sort_unstable_by(f32::total_cmp);
        let at = quantile * all.len().saturating_sub(1) as f64;
        let (Some(low), Some(high)) = (all.get(at.floor() as usize), all.get(at.ceil() as usize)) else { return };
        // Above the middle it is hardly ever negative; where it is, nothing is left.
        let most = (low + (high - low) * at.fract() as f32).max(0.0);
        self.b.iter_mut().chain(&mut self.a).for_each(|x| *x = x.clamp(-most, most));
    }
}

fn failed<E>(_: E) -> Error {
    Error::fault(
        "the singular value decomposition does not converge; does an adapter hold numbers that are not finite?",
    )
}

fn wide(numbers: &[f32], rows: usize, columns: usize) -> Mat<f64> {
    Mat::from_fn(rows, columns, |i, j| f64::from(numbers[i * columns + j]))
}

/// `scaling` · B·A, `d_out` × `d_in`, row by row.
pub(super) fn product(b: &[f32], a: &[f32], rank: usize, shape: Shape, scaling: f32) -> Vec<f32> {
    let Shape { d_out, d_in } = shape;
    let mut out = vec![0.0; d_out * d_in];
    matmul(
        MatMut::from_row_major_slice_mut(&mut out, d_out, d_in),
        Accum::Replace,
        MatRef::from_row_major_slice(b, d_out, rank),
        MatRef::from_row_major_slice(a, rank, d_in),
        scaling,
        threads(),
    );
    out
}

fn threads() -> Par {
    Par::rayon(rayon::current_num_threads())
}

/// The best approximation of B·A of a smaller rank: both factors are made orthogonal (QR), and what is between them,
/// no larger than their rank, is decomposed. The product is never formed. In f64.
pub(super) fn of_factors(thin: &Thin, shape: Shape, rank: usize) -> Result<Thin> {
    let b = wide(&thin.b, shape.d_out, thin.rank);
    let a = wide(&thin.a, thin.rank, shape.d_in);
    let (left, right) = (b.qr(), a.transpose().qr());
    let between = left.thin_R() * right.thin_R().transpose();
    let svd = between.thin_svd().map_err(failed)?;
    let s: Vec<f64> = svd.S().column_vector().iter().copied().collect();
    let (u, v) = (left.compute_thin_Q() * svd.U(), right.compute_thin_Q() * svd.V());
    Ok(Thin::of(u.as_ref(), &s, v.as_ref(), rank))
}

/// The best approximation of a matrix, given row by row, of that rank: exact up to a smaller side of [`EXACT`], by
/// [`subspace`] above.
pub(super) fn of_matrix(numbers: &[f32], shape: Shape, rank: usize) -> Result<Thin> {
    if shape.d_out.min(shape.d_in) > EXACT {
        return subspace(numbers, shape, rank);
    }
    let svd = wide(numbers, shape.d_out, shape.d_in).thin_svd().map_err(failed)?;
    let s: Vec<f64> = svd.S().column_vector().iter().copied().collect();
    Ok(Thin::of(svd.U(), &s, svd.V(), rank))
}

/// The same by subspace iteration from a random start (Halko, Martinsson and Tropp, "Finding structure with
/// randomness", SIAM Review 2011, algorithm 4.4), turned until it stands still: 4 · `d_out` · `d_in` · (rank + 16)
/// operations a turn in f32, where the whole decomposition takes about 20 · `d_out` · `d_in`². The start has a seed
/// of its own, so that the same matrix gives the same result.
pub(super) fn subspace(numbers: &[f32], shape: Shape, rank: usize) -> Result<Thin> {
    let Shape { d_out, d_in } = shape;
    let columns = (rank + BESIDE).min(d_out).min(d_in);
    let matrix = MatRef::from_row_major_slice(numbers, d_out, d_in);
    let times = |m: MatRef<'_, f32>, x: &Mat<f32>| -> Mat<f32> {
        let mut y = Mat::zeros(m.nrows(), columns);
        matmul(y.as_mut(), Accum::Replace, m, x.as_ref(), 1.0, threads());
        y
    };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut right = Mat::from_fn(d_in, columns, |_, _| rng.random_range(-1.0f32..1.0)).qr().compute_thin_Q();
    let mut found = 0.0;
    for turn in 1.. {
        let left = times(matrix, &right).qr();
        let between = Mat::from_fn(columns, columns, |i, j| f64::from(left.thin_R()[(i, j)]));
        let svd = between.thin_svd().map_err(failed)?;
        let s: Vec<f64> = svd.S().column_vector().iter().copied().collect();
        let now: f64 = s.iter().take(rank).map(|s| s * s).sum();
        if !now.is_finite() {
            return Err(failed(()));
        }
        if now - found <= STILL * now || turn == TURNS {
            let whole = |q: &Mat<f32>| Mat::from_fn(q.nrows(), columns, |i, j| f64::from(q[(i, j)]));
            let (u, v) = (whole(&left.compute_thin_Q()) * svd.U(), whole(&right) * svd.V());
            return Ok(Thin::of(u.as_ref(), &s, v.as_ref(), rank));
        }
        found = now;
        right = times(matrix.transpose(), &left.compute_thin_Q()).qr().compute_thin_Q();
    }
    Err(failed(()))
}
