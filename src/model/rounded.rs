//! Products of numbers rounded to bf16, whose sums are f32, by a processor's matrix unit (AMX).
//!
//! On two cores of a Xeon with AMX they reached 500 to 650 GFLOP/s where products in f32 reach 200. The kernels are
//! `NumKong`'s, in a build with the feature `amx`.

#![allow(clippy::inline_always, reason = "what is not inlined is not compiled for the vector units")]

use candle_core::Result;

/// Whether this build has the kernels and this processor a matrix unit that the system lets it use.
pub fn unit() -> bool {
    #[cfg(feature = "amx")]
    return kernels::unit();
    #[cfg(not(feature = "amx"))]
    return false;
}

/// How products with a base in bf16 are computed here, and what would change it.
pub fn told() -> &'static str {
    match (unit(), cfg!(feature = "amx"), processor_has_one()) {
        (true, ..) => "products by the processor's matrix unit (AMX)",
        (false, false, true) => {
            "products in f32; for the processor's matrix unit (AMX) lopper is built with --features amx"
        }
        (false, true, true) => "products in f32; the system does not let lopper use the processor's matrix unit (AMX)",
        (false, _, false) => "products in f32; the processor has no matrix unit (AMX)",
    }
}

/// Whether the system names one.
fn processor_has_one() -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().any(|line| line.starts_with("flags") && line.split_whitespace().any(|flag| flag == "amx_bf16"))
}

/// How the numbers of a matrix lie: bf16, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lies {
    /// What belongs to one column of the product, one after another: x · Wᵀ.
    ByColumn,
    /// What belongs to one row of the sums, one after another: x · W.
    ByDepth,
}

/// What the product is multiplied with.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    /// bf16, little-endian.
    pub numbers: &'a [u8],
    /// How they lie.
    pub lies: Lies,
    /// Numbers of a row of the product.
    pub columns: usize,
}

/// Adapters beside a matrix: what is multiplied goes through them as well, z = x · `first`ᵀ and then z · `second`.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Ranks × depth.
    pub first: &'a [f32],
    /// Ranks × columns.
    pub second: &'a [f32],
    /// What z is multiplied by before it meets `second`, of each rank; nothing where all are 1.
    pub scale: Option<&'a [f32]>,
}

/// The product of `x` (rows × `depth`) and `right` (`depth` × columns), rows × columns, with what adapters add to it; and their
/// z, rows × ranks. All that is multiplied is rounded to bf16, z when it meets `second`.
///
/// # Errors
/// When the sizes don't fit or memory is short.
pub fn product(x: &[f32], depth: usize, right: Right<'_>, beside: Option<Beside<'_>>) -> Result<(Vec<f32>, Vec<f32>)> {
    let fits = |beside: &Beside<'_>| {
        let ranks = beside.first.len() / depth;
        beside.first.len() == ranks * depth
            && beside.second.len() == ranks * right.columns
            && beside.scale.is_none_or(|scale| scale.len() == ranks)
    };
    if depth == 0
        || !x.len().is_multiple_of(depth)
        || right.numbers.len() != 2 * depth * right.columns
        || !beside.as_ref().is_none_or(fits)
    {
        candle_core::bail!(
            "{} numbers in rows of {depth} are not multiplied by {} bytes",
            x.len(),
            right.numbers.len()
        );
    }
    #[cfg(feature = "amx")]
    return kernels::product(x, depth, right, beside);
    #[cfg(not(feature = "amx"))]
    candle_core::bail!("this build has no kernels for the matrix unit: --features amx")
}

#[cfg(feature = "amx")]
mod kernels {
    use super::{Beside, Lies, Right};
    use crate::model::kernels::vectorised;
    use candle_core::{Error, Result};
    use numkong::{PackedMatrix, Tensor, bf16, cap, capabilities};
    use rayon::prelude::*;
    use std::cell::Cell;
    use std::ops::Range;
    use std::sync::OnceLock;

    /// Numbers of columns that lie packed beside one another: they stay in a core's cache while rows go by.
    const PIECE: usize = 1 << 17;
    /// Numbers that are packed at once, 4 MB.
    const PACKED: usize = 1 << 21;
    /// Numbers of a block of rows at most: it, too, stays there.
    const BLOCK: usize = 1 << 18;
    /// Rows and columns that the unit takes together.
    const TILES: usize = 32;
    /// Blocks for each thread that the rows are cut into, if there are enough.
    const SHARES: usize = 6;

    pub(super) fn unit() -> bool {
        static UNIT: OnceLock<bool> = OnceLock::new();
        *UNIT.get_or_init(|| {
            capabilities::available() & cap::SAPPHIREAMX != 0 && capabilities::configure_thread() && are_compiled()
        })
    }

    /// Whether the C compiler knew the unit when the kernels were built. Other kernels pack a matrix in another way: these in
    /// tiles of 16 columns by 32 numbers, what is left of the columns as it is, behind a head of 64 bytes, with a sum for each column.
    fn are_compiled() -> bool {
        let size = zeros(17, 33).ok().and_then(|block| Some(PackedMatrix::try_pack(&block).ok()?.as_bytes().len()));
        size == Some(64 + 2 * 1024 + 2 * 33 + 4 * 17)
    }

    /// Asks the system for the unit, once a thread: Linux grants it to the process, others may not.
    fn ready() {
        thread_local!(static ASKED: Cell<bool> = const { Cell::new(false) });
        if !ASKED.replace(true) {
            capabilities::configure_thread();
        }
    }

    fn short(error: &numkong::TensorError) -> Error {
        Error::Msg(format!("a product in bf16: {error}"))
    }

    /// A number rounded to the nearest of bf16, as half's and `PyTorch`'s.
    #[inline(always)]
    fn round(x: f32) -> bf16 {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        let quiet = (bits >> 16) | 0x40;
        bf16((if x.is_nan() { quiet } else { rounded }) as u16)
    }

    /// Rows of `from` beginning at column `at` of the rows of `to`, rounded, each times its factor if there are any.
    fn rounded(from: &[f32], width: usize, to: &mut [bf16], stride: usize, at: usize, factors: Option<&[f32]>) {
        vectorised!({
            for (to, from) in to.chunks_exact_mut(stride).zip(from.chunks_exact(width)) {
                let to = &mut to[at..at + width];
                match factors {
                    Some(factors) => {
                        for ((to, from), factor) in to.iter_mut().zip(from).zip(factors) {
                            *to = round(from * factor);
                        }
                    }
                    None => to.iter_mut().zip(from).for_each(|(to, from)| *to = round(*from)),
                }
            }
        });
    }

    fn zeros(rows: usize, columns: usize) -> Result<Tensor<bf16>> {
        Tensor::try_full(&[rows, columns], bf16::ZERO).map_err(|e| short(&e))
    }

    /// Room for the sums of a block of rows and so many columns.
    fn sums_of(left: &Tensor<bf16>, columns: usize) -> Result<Tensor<f32>> {
        Tensor::try_full(&[left.shape()[0], columns], 0.0).map_err(|e| short(&e))
    }

    /// The columns `columns` of the right side as the unit reads them: `depth` numbers of `right`, then one of each rank.
    fn packed(
        right: Right<'_>,
        depth: usize,
        columns: Range<usize>,
        beside: Option<Beside<'_>>,
        ranks: usize,
    ) -> Result<PackedMatrix<bf16>> {
        let stride = depth + ranks;
        let mut block = zeros(columns.len(), stride)?;
        let to = block.as_mut_slice();
        let numbers = right.numbers.as_chunks::<2>().0;
        if right.lies == Lies::ByColumn {
            for (to, column) in to.chunks_exact_mut(stride).zip(columns.clone()) {
                let from = &numbers[column * depth..][..depth];
                to.iter_mut().zip(from).for_each(|(to, from)| *to = bf16(u16::from_le_bytes(*from)));
            }
        } else {
            // In squares: what is read and what is written stays in the cache.
            for first in (0..depth).step_by(TILES) {
                let square = first..(first + TILES).min(depth);
                for (to, column) in to.chunks_exact_mut(stride).zip(columns.clone()) {
                    for (to, at) in to[square.clone()].iter_mut().zip(square.clone()) {
                        *to = bf16(u16::from_le_bytes(numbers[at * right.columns + column]));
                    }
                }
            }
        }
        if let Some(beside) = beside {
            for (to, column) in to.chunks_exact_mut(stride).zip(columns) {
                for (rank, to) in to[depth..].iter_mut().enumerate() {
                    *to = round(beside.second[rank * right.columns + column]);
                }
            }
        }
        PackedMatrix::try_pack(&block).map_err(|e| short(&e))
    }

    /// What z comes from, as the unit reads it; 0 where z itself lies in a row.
    fn packed_first(first: &[f32], depth: usize, ranks: usize) -> Result<PackedMatrix<bf16>> {
        let mut block = zeros(ranks, depth + ranks)?;
        rounded(first, depth, block.as_mut_slice(), depth + ranks, 0, None);
        PackedMatrix::try_pack(&block).map_err(|e| short(&e))
    }

    pub(super) fn product(
        x: &[f32],
        depth: usize,
        right: Right<'_>,
        beside: Option<Beside<'_>>,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let columns = right.columns;
        let rows = x.len() / depth;
        let ranks = beside.map_or(0, |beside| beside.first.len() / depth);
        let beside = beside.filter(|_| ranks > 0);
        let mut y = vec![0f32; rows * columns];
        let stride = depth + ranks;
        let share = rows.div_ceil(SHARES * rayon::current_num_threads());
        let block = share.min(BLOCK / stride).max(1).next_multiple_of(TILES);
        let first = beside.map(|beside| packed_first(beside.first, depth, ranks)).transpose()?;
        // Rows of a block, and their z.
        let rounded_block = |x: &[f32]| -> Result<(Tensor<bf16>, Vec<f32>)> {
            ready();
            let mut left = zeros(x.len() / depth, stride)?;
            rounded(x, depth, left.as_mut_slice(), stride, 0, None);
            let mut z = Vec::new();
            if let (Some(beside), Some(first)) = (beside, &first) {
                z = left.try_dots_packed(first).map_err(|e| short(&e))?.as_slice().to_vec();
                rounded(&z, ranks, left.as_mut_slice(), stride, depth, beside.scale);
            }
            Ok((left, z))
        };
        let blocks: Vec<_> = x.par_chunks(block * depth).map(rounded_block).collect::<Result<_>>()?;
        let (lefts, z): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
        let piece = (PIECE / stride).max(1).next_multiple_of(TILES);
        let group = (PACKED / stride).max(1).next_multiple_of(piece);
        for from in (0..columns).step_by(group) {
            let end = (from + group).min(columns);
            let starts: Vec<usize> = (from..end).step_by(piece).collect();
            let pack = |start: usize| packed(right, depth, start..(start + piece).min(end), beside, ranks);
            let pieces: Vec<_> = starts.into_par_iter().map(pack).collect::<Result<_>>()?;
            y.par_chunks_mut(block * columns).zip(&lefts).try_for_each(|(y, left)| -> Result<()> {
                ready();
                let mut at = from;
                let mut sums = sums_of(left, piece.min(end - from))?;
                for piece in &pieces {
                    let width = piece.dims().0;
                    if sums.shape()[1] != width {
                        sums = sums_of(left, width)?;
                    }
                    left.try_dots_packed_into(piece, &mut sums).map_err(|e| short(&e))?;
                    for (y, sums) in y.chunks_exact_mut(columns).zip(sums.as_slice().chunks_exact(width)) {
                        y[at..at + width].copy_from_slice(sums);
                    }
                    at += width;
                }
                Ok(())
            })?;
        }
        Ok((y, z.concat()))
    }
}

#[cfg(all(test, feature = "amx"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use half::bf16;

    /// Whether the kernels can be run: where the system refuses the unit that the processor has, they cannot.
    fn can_run() -> bool {
        let can = unit() || !processor_has_one();
        assert!(can || std::env::var_os("LOPPER_NO_AMX").is_some(), "set LOPPER_NO_AMX where the system refuses AMX");
        can
    }

    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * step + 17) % 10_007) as f32 / 5_000.0 - 1.0).collect()
    }

    fn exact(x: f32) -> f64 {
        f64::from(bf16::from_f32(x).to_f32())
    }

    fn bytes(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|w| bf16::from_f32(*w).to_le_bytes()).collect()
    }

    #[test]
    fn a_product_is_that_of_rounded_numbers() {
        if !can_run() {
            return;
        }
        for [m, k, n] in
            [[1, 1, 1], [5, 33, 17], [37, 576, 193], [64, 31, 70], [300, 100, 40], [9, 9_000, 35], [3, 64, 40_000]]
        {
            let (x, w) = (numbers(m * k, 7_919), numbers(k * n, 6_007));
            let bytes = bytes(&w);
            for lies in [Lies::ByColumn, Lies::ByDepth] {
                let (got, z) = product(&x, k, Right { numbers: &bytes, lies, columns: n }, None).unwrap();
                assert!(got.len() == m * n && z.is_empty());
                let place = |depth: usize, column: usize| match lies {
                    Lies::ByColumn => column * k + depth,
                    Lies::ByDepth => depth * n + column,
                };
                // Every number of a small one, some of a large one.
                for at in (0..m * n).step_by((m * n * k / 2_000_000).max(1)) {
                    let (row, column) = (at / n, at % n);
                    let parts = (0..k).map(|d| exact(x[row * k + d]) * exact(w[place(d, column)]));
                    let (want, size) = parts.fold((0.0, 0.0), |(sum, size), part: f64| (sum + part, size + part.abs()));
                    let off = (f64::from(got[at]) - want).abs();
                    assert!(off <= 1e-6 * size, "{m} x {k} x {n}, {lies:?}, {at}: {} for {want}", got[at]);
                }
            }
        }
        let right = |columns| Right { numbers: &[0; 8], lies: Lies::ByColumn, columns };
        assert!(product(&[1.0; 6], 4, right(1), None).is_err());
        let beside = Beside { first: &[0.0; 4], second: &[0.0; 2], scale: None };
        assert!(product(&[1.0; 8], 4, right(1), Some(beside)).is_err());
    }

    #[test]
    fn what_adapters_add_is_what_their_rounded_numbers_add() {
        if !can_run() {
            return;
        }
        // The last one in more than two pieces.
        for [m, k, n, ranks] in [[7, 40, 33, 1], [70, 100, 64, 12], [33, 576, 200, 64], [40, 1_000, 700, 8]] {
            let (x, w) = (numbers(m * k, 7_919), bytes(&numbers(k * n, 6_007)));
            let (first, second) = (numbers(ranks * k, 31), numbers(ranks * n, 577));
            let scale: Vec<f32> = (0..ranks).map(|r| 0.5 + r as f32 / 16.0).collect();
            for (lies, scale) in [(Lies::ByColumn, None), (Lies::ByDepth, Some(&scale[..]))] {
                let right = Right { numbers: &w, lies, columns: n };
                let alone = product(&x, k, right, None).unwrap().0;
                let (y, z) = product(&x, k, right, Some(Beside { first: &first, second: &second, scale })).unwrap();
                for row in 0..m {
                    for rank in 0..ranks {
                        let want: f64 = (0..k).map(|d| exact(x[row * k + d]) * exact(first[rank * k + d])).sum();
                        assert!((f64::from(z[row * ranks + rank]) - want).abs() < 1e-6 * k as f64, "{row}, {rank}");
                    }
                    for column in 0..n {
                        let added = |rank: usize| {
                            let z = z[row * ranks + rank] * scale.map_or(1.0, |scale| scale[rank]);
                            exact(z) * exact(second[rank * n + column])
                        };
                        let want = f64::from(alone[row * n + column]) + (0..ranks).map(added).sum::<f64>();
                        let got = f64::from(y[row * n + column]);
                        assert!(
                            (got - want).abs() < 1e-6 * (k + 32 * ranks) as f64,
                            "{row}, {column}: {got} for {want}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_are_rounded_as_half_rounds_them() {
        if !can_run() {
            return;
        }
        // By a product with 1, in places that no other number touches.
        let one = bytes(&[1.0]);
        let of =
            |x: f32| product(&[x], 1, Right { numbers: &one, lies: Lies::ByColumn, columns: 1 }, None).unwrap().0[0];
        let odd =
            [0.0, -0.0, 1.0, 1.003_906_2, 1.011_718_8, 3.4e38, f32::MAX, 1e-40, -2.7, f32::INFINITY, f32::NEG_INFINITY];
        for x in odd.into_iter().chain((0..5_000).map(|i| (i as f32 * 0.37).sin() * 10f32.powi(i % 60 - 30))) {
            let (got, want) = (of(x), bf16::from_f32(x).to_f32());
            // The unit takes what is below the normal numbers for zero.
            assert!(got == want || want.abs() < f32::MIN_POSITIVE && got == 0.0, "{x:e}: {got:e} for {want:e}");
        }
        assert!(of(f32::NAN).is_nan());
    }
}
