//! Rows times a number each.

use super::on_card;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};
#[cfg(feature = "cuda")]
use {
    crate::card::{self, On},
    candle_core::CudaStorage,
};

/// Into this type.
struct ScaledRows(DType);

impl CustomOp2 for ScaledRows {
    fn name(&self) -> &'static str {
        "scaled-rows"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("rows are scaled to {:?} by candle on the CPU", self.0)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((card::scaled_rows(On(s1, l1), On(s2, l2), self.0)?, l1.shape().clone()))
    }
}

/// The rows of `x` (rows × columns), each times its number of `scales` (rows × 1, f32): multiplied in f32, given as `dtype`. On
/// a card that is the one launch that turning `x` into `dtype` would take.
///
/// # Errors
/// When shapes or types don't fit.
pub fn scaled_rows(x: &Tensor, scales: &Tensor, dtype: DType) -> Result<Tensor> {
    let has_kernel = matches!(dtype, DType::F32 | DType::BF16) && scales.dtype() == DType::F32;
    let together = on_card(x) && on_card(scales) && x.is_contiguous() && scales.is_contiguous();
    if has_kernel && together && scales.dims() == [x.dim(0)?, 1] {
        return x.apply_op2_no_bwd(scales, &ScaledRows(dtype));
    }
    x.to_dtype(DType::F32)?.broadcast_mul(scales)?.to_dtype(dtype)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::ramp;
    use super::*;

    #[test]
    fn every_row_gets_its_own_scale() {
        let (x, scales) = (ramp(&[3, 7], 0.1), ramp(&[3, 1], 0.4));
        let rows: Vec<Vec<f32>> = x.to_vec2().unwrap();
        let factors: Vec<f32> = scales.flatten_all().unwrap().to_vec1().unwrap();
        let want: Vec<Vec<f32>> =
            rows.iter().zip(&factors).map(|(row, scale)| row.iter().map(|x| x * scale).collect()).collect();
        assert_eq!(scaled_rows(&x, &scales, DType::F32).unwrap().to_vec2::<f32>().unwrap(), want);
        let half = scaled_rows(&x, &scales, DType::BF16).unwrap().to_vec2::<half::bf16>().unwrap();
        let rounded: Vec<Vec<half::bf16>> =
            want.iter().map(|row| row.iter().map(|x| half::bf16::from_f32(*x)).collect()).collect();
        assert_eq!(half, rounded);
        assert!(scaled_rows(&x, &ramp(&[2, 1], 0.4), DType::F32).is_err());
    }
}
