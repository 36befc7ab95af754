//! Products of a few rows with a frozen matrix, as every generated token needs them.
//!
//! They take as long as the matrix takes to be read: its rows run through the vector units once, in the order in which they
//! lie, for all rows of activations together. Blocked products, as [`super::product`] has them, first copy the matrix
//! (measured by `cargo bench --bench generation`).

#![allow(clippy::inline_always, reason = "what is not inlined is not compiled for the vector units")]

use half::f16;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of activations that these products are for.
pub const FEW: usize = 4;
/// Rows of the matrix that a thread takes at once.
const ROWS: usize = 64;
/// Numbers of a block of `Q8_0`, and its bytes: a scale in f16, then as many small integers.
const BLOCK: usize = 32;
const BLOCK_BYTES: usize = 2 + BLOCK;

/// A matrix as it lies in memory, row after row.
#[derive(Debug, Clone, Copy)]
pub enum Rows<'a> {
    /// Numbers.
    F32(&'a [f32]),
    /// bfloat16, little-endian.
    Bf16(&'a [u8]),
    /// GGUF's blocks of 32 integers with a scale.
    Q8(&'a [u8]),
}

impl Rows<'_> {
    /// Elements of the slice that a row of `columns` numbers takes.
    fn stride(self, columns: usize) -> usize {
        match self {
            Self::F32(_) => columns,
            Self::Bf16(_) => 2 * columns,
            Self::Q8(_) => columns / BLOCK * BLOCK_BYTES,
        }
    }

    fn elements(self) -> usize {
        match self {
            Self::F32(w) => w.len(),
            Self::Bf16(w) | Self::Q8(w) => w.len(),
        }
    }

    fn part(self, from: usize, to: usize) -> Self {
        match self {
            Self::F32(w) => Self::F32(&w[from..to]),
            Self::Bf16(w) => Self::Bf16(&w[from..to]),
            Self::Q8(w) => Self::Q8(&w[from..to]),
        }
    }
}

/// x · wᵀ of `x` (m × `columns`, m at most [`FEW`]) and `w` (n × `columns`): (m × n).
///
/// # Panics
/// When the slices are not of these sizes.
pub fn product(x: &[f32], columns: usize, w: Rows<'_>) -> Vec<f32> {
    let stride = w.stride(columns);
    let (m, n) = (x.len() / columns, w.elements() / stride);
    assert!(m <= FEW && x.len() == m * columns && w.elements() == n * stride, "{m} rows, {n} rows of {columns}");
    let arch = Arch::new();
    // Each row's products lie together at first, so that threads write beside each other.
    let mut by_row = vec![0f32; n * m];
    by_row.par_chunks_mut(ROWS * m).enumerate().for_each(|(i, y)| {
        let first = i * ROWS * stride;
        let w = w.part(first, first + y.len() / m * stride);
        arch.dispatch(Piece { x, columns, w, y });
    });
    if m == 1 {
        return by_row;
    }
    (0..m).flat_map(|i| by_row[i..].iter().step_by(m).copied()).collect()
}

/// The products of some rows of the matrix, by one thread.
struct Piece<'a> {
    x: &'a [f32],
    columns: usize,
    w: Rows<'a>,
    /// Rows × m.
    y: &'a mut [f32],
}

impl WithSimd for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, columns, w, y } = self;
        match w {
            Rows::F32(w) => {
                for (w, y) in w.chunks_exact(columns).zip(y.chunks_exact_mut(x.len() / columns)) {
                    row(simd, x, w, y);
                }
            }
            Rows::Bf16(w) => {
                let mut numbers = vec![0f32; columns];
                for (w, y) in w.chunks_exact(2 * columns).zip(y.chunks_exact_mut(x.len() / columns)) {
                    for (number, bytes) in numbers.iter_mut().zip(w.as_chunks::<2>().0) {
                        *number = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                    }
                    row(simd, x, &numbers, y);
                }
            }
            Rows::Q8(w) => {
                let mut numbers = vec![0f32; columns];
                let stride = columns / BLOCK * BLOCK_BYTES;
                for (w, y) in w.chunks_exact(stride).zip(y.chunks_exact_mut(x.len() / columns)) {
                    let blocks = w.as_chunks::<BLOCK_BYTES>().0;
                    for (numbers, block) in numbers.as_chunks_mut::<BLOCK>().0.iter_mut().zip(blocks) {
                        let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
                        for (number, byte) in numbers.iter_mut().zip(&block[2..]) {
                            *number = f32::from(*byte as i8) * scale;
                        }
                    }
                    row(simd, x, &numbers, y);
                }
            }
        }
    }
}

/// One row of the matrix with all rows of `x`.
#[inline(always)]
fn row<S: Simd>(simd: S, x: &[f32], w: &[f32], y: &mut [f32]) {
    let at = |i: usize| &x[i * w.len()..(i + 1) * w.len()];
    match y {
        [y] => [*y] = dots::<S, 1, 4>(simd, [at(0)], w),
        [a, b] => [*a, *b] = dots::<S, 2, 4>(simd, [at(0), at(1)], w),
        [a, b, c] => [*a, *b, *c] = dots::<S, 3, 2>(simd, [at(0), at(1), at(2)], w),
        [a, b, c, d] => [*a, *b, *c, *d] = dots::<S, 4, 2>(simd, [at(0), at(1), at(2), at(3)], w),
        _ => {}
    }
}

/// The dot products of `X` rows with `w`; `U` sums each, so that none waits for the one before. Counted loops alone:
/// closures and adapters of iterators are compiled for the vector units only where the compiler inlines them.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn dots<S: Simd, const X: usize, const U: usize>(simd: S, x: [&[f32]; X], w: &[f32]) -> [f32; X] {
    let (w, w_rest) = S::as_simd_f32s(w);
    let mut whole: [&[S::f32s]; X] = [&[]; X];
    let mut rest: [&[f32]; X] = [&[]; X];
    for a in 0..X {
        let (vectors, others) = S::as_simd_f32s(x[a]);
        (whole[a], rest[a]) = (&vectors[..w.len()], &others[..w_rest.len()]);
    }
    let mut sums = [[simd.splat_f32s(0.0); U]; X];
    let unrolled = w.len() / U * U;
    let mut i = 0;
    while i < unrolled {
        for u in 0..U {
            for a in 0..X {
                sums[a][u] = simd.mul_add_e_f32s(whole[a][i + u], w[i + u], sums[a][u]);
            }
        }
        i += U;
    }
    while i < w.len() {
        for a in 0..X {
            sums[a][0] = simd.mul_add_e_f32s(whole[a][i], w[i], sums[a][0]);
        }
        i += 1;
    }
    let mut dots = [0f32; X];
    for a in 0..X {
        let mut sum = sums[a][0];
        for u in 1..U {
            sum = simd.add_f32s(sum, sums[a][u]);
        }
        dots[a] = simd.reduce_sum_f32s(sum);
        for k in 0..w_rest.len() {
            dots[a] += rest[a][k] * w_rest[k];
        }
    }
    dots
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    fn numbers(n: usize, seed: f32) -> Vec<f32> {
        (0..n).map(|i| ((i as f32 * 0.7311 + seed) * 1.913).sin()).collect()
    }

    #[test]
    fn few_rows_get_what_tensors_get_in_every_type_and_shape() {
        for (n, columns) in [(1, 32), (7, 96), (65, 64), (200, 576)] {
            let w = Tensor::from_vec(numbers(n * columns, 0.3), (n, columns), &Device::Cpu).unwrap();
            for kind in [GgmlDType::F32, GgmlDType::BF16, GgmlDType::Q8_0] {
                let packed = QTensor::quantize(&w, kind).unwrap();
                let w = packed.dequantize(&Device::Cpu).unwrap();
                let floats: Vec<f32> = w.flatten_all().unwrap().to_vec1().unwrap();
                let bytes = packed.data().unwrap();
                let rows = match kind {
                    GgmlDType::F32 => Rows::F32(&floats),
                    GgmlDType::BF16 => Rows::Bf16(&bytes),
                    _ => Rows::Q8(&bytes),
                };
                for m in 1..=FEW {
                    let x = numbers(m * columns, 0.9);
                    let got = product(&x, columns, rows);
                    let x = Tensor::from_vec(x, (m, columns), &Device::Cpu).unwrap();
                    let want: Vec<f32> = x.matmul(&w.t().unwrap()).unwrap().flatten_all().unwrap().to_vec1().unwrap();
                    let off = got.iter().zip(&want).fold(0f32, |off, (g, w)| off.max((g - w).abs()));
                    let largest = want.iter().fold(0f32, |most, w| most.max(w.abs()));
                    assert!(got.len() == want.len() && off < 3e-6 * largest, "{kind:?} {m} x {n} x {columns}: {off}");
                }
            }
        }
    }

    #[test]
    fn odd_widths_have_a_rest() {
        let (x, w) = (numbers(2 * 37, 0.1), numbers(3 * 37, 0.5));
        let got = product(&x, 37, Rows::F32(&w));
        for (i, got) in got.iter().enumerate() {
            let want: f32 = (0..37).map(|k| x[i / 3 * 37 + k] * w[i % 3 * 37 + k]).sum();
            assert!((got - want).abs() < 1e-5, "{i}: {got} {want}");
        }
    }
}
