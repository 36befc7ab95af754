//! Matrix products of the decoder.
//!
//! On CPU they run in faer, whose kernels use AVX2 or AVX-512 as the processor has them: on two cores
//! with AVX-512 it reached 134–193 GFLOP/s over the decoder's shapes where candle's own product
//! reached 86–174 (`cargo bench --bench step` shows both). Other devices and types use candle's.

use super::few::{self, Rows};
use super::kernels::{on_card, on_cpu, slice, slice_mut};
use candle_core::{CpuStorage, CustomOp2, InplaceOp3, Layout, Result, Shape, Tensor};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
#[cfg(feature = "cuda")]
use {crate::card, candle_core::CudaStorage};

/// A factor as it lies in memory, or transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// As it lies.
    Is,
    /// Transposed.
    T,
}

/// Parts of a product for each thread: one that something else holds up leaves its parts to the others.
const PARTS: usize = 2;
/// Rows and columns that faer's kernels take together: parts are cut between them.
const STRIDE: usize = 16;
/// Multiplications of a part, at least: waking a thread takes some microseconds.
const LEAST: usize = 1 << 19;

/// `c` = a · b, or with that added, by all threads.
///
/// faer's own threads share each block of a product and wait for one another by looking, which costs as much again where
/// the machine has other work. Here each part is one thread's alone; every sum is added up as in the whole product. A row
/// or a column is left to one thread: faer adds it up in an order of its own, which must not depend on the machine.
fn multiply(c: MatMut<'_, f32>, accum: Accum, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    let parts = if c.nrows() == 1 || c.ncols() == 1 { 1 } else { PARTS * rayon::current_num_threads() };
    halved(c, accum, a, b, parts);
}

fn halved(c: MatMut<'_, f32>, accum: Accum, a: MatRef<'_, f32>, b: MatRef<'_, f32>, parts: usize) {
    let (m, n) = (c.nrows(), c.ncols());
    if parts <= 1 || m.max(n) < 2 * STRIDE || m * n * a.ncols() < 2 * LEAST {
        return matmul(c, accum, a, b, 1.0, Par::Seq);
    }
    let half = (m.max(n) / 2).next_multiple_of(STRIDE);
    let rest = parts - parts / 2;
    if m > n {
        let ((c1, c2), (a1, a2)) = (c.split_at_row_mut(half), a.split_at_row(half));
        rayon::join(|| halved(c1, accum, a1, b, rest), || halved(c2, accum, a2, b, parts / 2));
    } else {
        let ((c1, c2), (b1, b2)) = (c.split_at_col_mut(half), b.split_at_col(half));
        rayon::join(|| halved(c1, accum, a, b1, rest), || halved(c2, accum, a, b2, parts / 2));
    }
}

fn view<'a>(storage: &'a CpuStorage, layout: &Layout, shape: As) -> Result<MatRef<'a, f32>> {
    let (rows, cols) = layout.shape().dims2()?;
    let matrix = MatRef::from_row_major_slice(slice(storage, layout)?, rows, cols);
    Ok(if shape == As::T { matrix.transpose() } else { matrix })
}

struct Product(As, As);

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, inner) = l1.shape().dims2()?;
        if (self.0, self.1) == (As::Is, As::T) && (1..=few::FEW).contains(&rows) && inner > 0 {
            let y = few::product(slice(s1, l1)?, inner, Rows::F32(slice(s2, l2)?));
            return Ok((CpuStorage::F32(y), (rows, l2.shape().dims2()?.0).into()));
        }
        let (a, b) = (view(s1, l1, self.0)?, view(s2, l2, self.1)?);
        let (m, n) = (a.nrows(), b.ncols());
        let mut c = vec![0f32; m * n];
        multiply(MatMut::from_row_major_slice_mut(&mut c, m, n), Accum::Replace, a, b);
        Ok((CpuStorage::F32(c), (m, n).into()))
    }
}

/// A product that is put into the columns of a matrix from `first` on, or added to them.
struct Onto {
    factors: (As, As),
    first: usize,
    accum: Accum,
}

impl InplaceOp3 for Onto {
    fn name(&self) -> &'static str {
        "product-onto"
    }

    fn cpu_fwd(
        &self,
        s1: &mut CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<()> {
        let (m, n) = l1.shape().dims2()?;
        let (a, b) = (view(s2, l2, self.factors.0)?, view(s3, l3, self.factors.1)?);
        let c = MatMut::from_row_major_slice_mut(slice_mut(s1, l1)?, m, n).subcols_mut(self.first, b.ncols());
        multiply(c, self.accum, a, b);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &mut CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<()> {
        if self.first > 0 || !matches!(self.accum, Accum::Add) {
            candle_core::bail!("a card adds to whole matrices only");
        }
        let dtype = card::On(s1, l1).dtype();
        let (a, b) = ((card::On(s2, l2), self.factors.0 == As::T), (card::On(s3, l3), self.factors.1 == As::T));
        card::typed!(dtype, T => card::product_onto::<T>((s1, l1), a, b))
    }
}

fn oriented(x: &Tensor, shape: As) -> Result<Tensor> {
    if shape == As::T { x.t() } else { Ok(x.clone()) }
}

fn inner(x: &Tensor, shape: As, left: bool) -> Result<usize> {
    let (rows, cols) = x.dims2()?;
    Ok(if (shape == As::T) == left { rows } else { cols })
}

fn fits(a: &Tensor, ta: As, b: &Tensor, tb: As) -> Result<bool> {
    if inner(a, ta, true)? != inner(b, tb, false)? {
        candle_core::bail!("the product of {:?} ({ta:?}) and {:?} ({tb:?}) is not defined", a.dims(), b.dims());
    }
    Ok([a, b].iter().all(|x| on_cpu(x) && x.is_contiguous()))
}

/// a · b, either factor transposed on the way.
///
/// # Errors
/// When shapes or types don't fit.
pub fn product(a: &Tensor, ta: As, b: &Tensor, tb: As) -> Result<Tensor> {
    if fits(a, ta, b, tb)? {
        return a.apply_op2_no_bwd(b, &Product(ta, tb));
    }
    oriented(a, ta)?.matmul(&oriented(b, tb)?)
}

/// c + a · b, without a copy on the CPU and on a card: `c` is consumed and must not be shared.
///
/// # Errors
/// When shapes or types don't fit.
pub fn product_onto(c: Tensor, a: &Tensor, ta: As, b: &Tensor, tb: As) -> Result<Tensor> {
    // What they have not in common.
    let dims = [inner(a, ta, false)?, inner(b, tb, true)?];
    let together = |x: &Tensor| on_card(x) && x.is_contiguous() && x.dtype() == c.dtype();
    if (fits(a, ta, b, tb)? && on_cpu(&c) || [&c, a, b].into_iter().all(together))
        && c.is_contiguous()
        && c.dims() == dims
    {
        c.inplace_op3(a, b, &Onto { factors: (ta, tb), first: 0, accum: Accum::Add })?;
        return Ok(c);
    }
    c + oriented(a, ta)?.matmul(&oriented(b, tb)?)?
}

/// `y` with x · wᵀ in the columns from `first` on, in f32 on the CPU: `y` is consumed and must not be shared.
///
/// # Errors
/// When shapes or types don't fit.
pub fn product_into_columns(y: Tensor, first: usize, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (rows, columns) = y.dims2()?;
    let (count, inner) = w.dims2()?;
    if x.dims2()? != (rows, inner) || first + count > columns {
        candle_core::bail!(
            "the product of {:?} and {:?} (T) does not fit {:?} at {first}",
            x.dims(),
            w.dims(),
            y.dims()
        );
    }
    y.inplace_op3(x, w, &Onto { factors: (As::Is, As::T), first, accum: Accum::Replace })?;
    Ok(y)
}

/// Floating-point operations a second that this machine's cores reach together, measured on a product of a
/// decoder's size in some tens of milliseconds: the best of a few.
pub fn measured_rate() -> f64 {
    const N: usize = 768;
    let (a, b, mut c) = (vec![0.5f32; N * N], vec![0.25f32; N * N], vec![0f32; N * N]);
    let best = (0..5).map(|_| {
        let clock = std::time::Instant::now();
        let view = |x| MatRef::from_row_major_slice(x, N, N);
        multiply(MatMut::from_row_major_slice_mut(&mut c, N, N), Accum::Replace, view(&a), view(&b));
        clock.elapsed().as_secs_f64()
    });
    2.0 * (N as f64).powi(3) / best.fold(f64::INFINITY, f64::min).max(1e-9)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn parts_of_a_product_are_those_of_the_whole_to_the_bit() {
        let numbers = |count: usize, step: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * step + 17) % 10_007) as f32 / 5_000.0 - 1.0).collect()
        };
        for (m, k, n) in [(333, 577, 191), (64, 1_106, 577), (1_106, 576, 33), (2, 4_000, 300), (40, 0, 90)] {
            let (a, b) = (numbers(m * k, 7_919), numbers(k * n, 6_007));
            let (a, b) = (MatRef::from_row_major_slice(&a, m, k), MatRef::from_row_major_slice(&b, k, n));
            let of = |parts: usize| {
                let mut c = vec![0f32; m * n];
                halved(MatMut::from_row_major_slice_mut(&mut c, m, n), Accum::Replace, a, b, parts);
                c.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
            };
            let whole = of(1);
            for parts in [2, 3, 7, 64] {
                assert!(of(parts) == whole, "{m} x {k} x {n} in {parts}");
            }
        }
    }

    #[test]
    fn products_equal_candles_in_every_orientation() {
        let make = |r: usize, c: usize| {
            let v: Vec<f32> = (0..r * c).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
            Tensor::from_vec(v, (r, c), &Device::Cpu).unwrap()
        };
        for (ta, tb) in [(As::Is, As::Is), (As::Is, As::T), (As::T, As::Is), (As::T, As::T)] {
            let a = if ta == As::T { make(13, 9) } else { make(9, 13) };
            let b = if tb == As::T { make(21, 13) } else { make(13, 21) };
            let want = oriented(&a, ta).unwrap().matmul(&oriented(&b, tb).unwrap()).unwrap();
            let off = |got: Tensor, want: &Tensor| {
                (got - want).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
            };
            assert!(off(product(&a, ta, &b, tb).unwrap(), &want) < 1e-5);
            let c = make(9, 21);
            let onto = product_onto(c.copy().unwrap(), &a, ta, &b, tb).unwrap();
            assert!(off(onto, &(c + &want).unwrap()) < 1e-5);
        }
        assert!(product(&make(2, 3), As::Is, &make(2, 3), As::Is).is_err());
        assert!(product_onto(make(2, 4), &make(2, 3), As::Is, &make(3, 5), As::Is).is_err());
    }
}
