//! Sums over rows.

use super::{in_one_pass, slice};
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
#[cfg(feature = "cuda")]
use {
    crate::card::{self, On},
    candle_core::CudaStorage,
};

/// Rows that one thread adds up in f32; what comes of them is added in f64, in order, whatever the number of threads.
const ROWS: usize = 64;

struct ColumnSquares;

impl CustomOp1 for ColumnSquares {
    fn name(&self) -> &'static str {
        "column-squares"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(storage, layout)?;
        let columns = layout.shape().dims2()?.1;
        let part = |rows: &[f32]| {
            let mut sums = vec![0f32; columns];
            vectorised!({
                for row in rows.chunks_exact(columns) {
                    for (sum, x) in sums.iter_mut().zip(row) {
                        *sum += x * x;
                    }
                }
            });
            sums
        };
        let parts: Vec<Vec<f32>> = x.par_chunks((ROWS * columns).max(1)).map(part).collect();
        let mut sums = vec![0f64; columns];
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, more)| *sum += f64::from(more));
        }
        Ok((CpuStorage::F32(sums.into_iter().map(|sum| sum as f32).collect()), columns.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((card::column_squares(On(storage, layout))?, layout.shape().dims2()?.1.into()))
    }
}

/// Σ x² over the rows of `x` (rows × columns), f32: (columns).
///
/// # Errors
/// When shapes or types don't fit.
pub fn column_squares(x: &Tensor) -> Result<Tensor> {
    if in_one_pass(x) {
        return x.contiguous()?.apply_op1_no_bwd(&ColumnSquares);
    }
    x.to_dtype(DType::F32)?.sqr()?.sum(0)
}

/// Whether a card adds up the columns of all at once.
#[cfg(feature = "cuda")]
fn at_once(all: &[&Tensor]) -> bool {
    let of = |x: &Tensor| (x.dtype(), x.dims().first().copied());
    let alike = all.windows(2).all(|pair| of(pair[0]) == of(pair[1]));
    alike && all.len() > 1 && all.iter().all(|x| super::on_card(x) && x.is_contiguous() && x.rank() == 2)
}

/// The same of several, of which each has few columns: a card adds them up at once where they have as many rows.
///
/// # Errors
/// When shapes or types don't fit.
pub fn column_squares_of(all: &[&Tensor]) -> Result<Vec<Tensor>> {
    #[cfg(feature = "cuda")]
    if at_once(all) {
        let (sums, mut start) = (card::column_squares_of(all)?, 0);
        let one = |x: &&Tensor| {
            let columns = x.dim(1)?;
            start += columns;
            sums.narrow(0, start - columns, columns)
        };
        return all.iter().map(one).collect();
    }
    all.iter().map(|x| column_squares(x)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::ramp;
    use super::*;

    #[test]
    fn squares_of_columns_are_those_of_plain_operations() {
        for shape in [[1, 1], [3, 7], [64, 5], [200, 33]] {
            let x = ramp(&shape, 0.3);
            let (got, want) = (column_squares(&x).unwrap(), x.sqr().unwrap().sum(0).unwrap());
            assert_eq!(got.dims(), want.dims());
            let off = ((&got - &want).unwrap() / &want).unwrap().abs().unwrap().max_all().unwrap();
            assert!(off.to_scalar::<f32>().unwrap() < 2e-6, "{shape:?}");
        }
    }

    #[test]
    fn squares_of_several_are_those_of_each() {
        let all = [[64, 5], [64, 33], [64, 1]].map(|shape| ramp(&shape, 0.6));
        let got = column_squares_of(&all.each_ref()).unwrap();
        let numbers = |x: &Tensor| x.to_vec1::<f32>().unwrap();
        assert_eq!(got.len(), 3);
        for (x, got) in all.iter().zip(&got) {
            assert_eq!(numbers(got), numbers(&column_squares(x).unwrap()));
        }
        assert!(column_squares_of(&[]).unwrap().is_empty());
    }
}
