//! A frozen linear with adapters beside it: `y = W0 x + bias + Σ_i scale_i B_i (A_i x)`.

mod mask;

pub use mask::Dropout;

use super::kernels;
use super::matrix::{Adapted, Matrix};
use super::product::{As, product, product_onto};
use crate::lora::MergedModule;
use candle_core::{DType, Result, Tensor};
use mask::Mask;

/// A linear of the base. Nothing here ever computes a gradient for it.
#[derive(Debug, Clone)]
pub struct Frozen {
    weight: Matrix,
    bias: Option<Tensor>,
}

/// Where `scale_i` of each concatenated rank comes in.
#[derive(Debug, Clone)]
enum Scale {
    /// Nowhere: all are 1.
    One,
    /// Z and its gradient are multiplied by it: (1, R), in the type of the activations.
    OfZ(Tensor),
    /// The pass's copy of B has it, and B's gradient gets it as it becomes f32: (R, 1), f32. A card makes that copy and turns
    /// that gradient anyway; a product of Z for itself would be another launch each time.
    OfB(Tensor),
}

/// The adapters at one linear during one pass.
#[derive(Debug, Clone)]
pub struct Attached {
    /// R × `d_in`, in the type of the activations.
    a: Tensor,
    /// R × `d_out`, in the type of the activations.
    b: Tensor,
    scale: Scale,
    dropout: Option<Mask>,
}

/// What the adapters of a linear get from a backward pass.
#[derive(Debug)]
pub struct AdapterGradient {
    /// Gradient of A, R × `d_in`, f32.
    pub a: Tensor,
    /// Gradient of the transposed B, R × `d_out`, f32.
    pub b: Tensor,
}

impl Attached {
    /// Prepares a module's adapters for activations of type `dtype`; `stream` numbers the module.
    ///
    /// # Errors
    /// When shapes don't fit or memory is short.
    pub fn new(module: &MergedModule, dtype: DType, dropout: Option<Dropout>, stream: u64) -> Result<Self> {
        let dropout = dropout.filter(|d| d.p > 0.0).map(|d| (d, stream));
        Self::with_scale(module, dtype, dropout, kernels::on_card(&module.b))
    }

    /// The same, with the scale in B's copy or not.
    fn with_scale(module: &MergedModule, dtype: DType, dropout: Option<(Dropout, u64)>, in_b: bool) -> Result<Self> {
        let scale: Vec<f32> =
            module.segments.iter().flat_map(|s| std::iter::repeat_n(s.scale as f32, s.rank)).collect();
        let (rank, device) = (module.rank(), module.a.device());
        let dropout = dropout.map(|(dropout, stream)| Mask::new(dropout, stream));
        let (b, scale) = if in_b {
            let scale = Tensor::from_vec(scale, (rank, 1), device)?;
            (kernels::scaled_rows(&module.b, &scale, dtype)?, Scale::OfB(scale))
        } else if scale.iter().all(|scale| *scale == 1.0) {
            (module.b.to_dtype(dtype)?, Scale::One)
        } else {
            let scale = Tensor::from_vec(scale, (1, rank), device)?.to_dtype(dtype)?;
            (module.b.to_dtype(dtype)?, Scale::OfZ(scale))
        };
        Ok(Self { a: module.a.to_dtype(dtype)?, b, scale, dropout })
    }

    /// `z`, or a gradient of it, as it meets B: scaled, unless B is or all scales are 1.
    fn scaled(&self, z: &Tensor) -> Result<Tensor> {
        match &self.scale {
            Scale::OfZ(scale) => z.broadcast_mul(scale),
            Scale::One | Scale::OfB(_) => Ok(z.clone()),
        }
    }

    /// The gradient of B from that of its copy, f32.
    fn gradient_of_b(&self, b: &Tensor) -> Result<Tensor> {
        match &self.scale {
            Scale::One | Scale::OfZ(_) => b.to_dtype(DType::F32),
            Scale::OfB(scale) => kernels::scaled_rows(b, scale, DType::F32),
        }
    }

    /// What goes through `first` and then through `second`, beside the matrix.
    fn beside<'a>(&'a self, first: &'a Tensor, second: &'a Tensor) -> Adapted<'a> {
        let scale = if let Scale::OfZ(scale) = &self.scale { Some(scale) } else { None };
        Adapted { first, second, scale }
    }

    /// The gradients from those of y and of the scaled z.
    fn gradient(&self, dy: &Tensor, x: &Tensor, z: &Tensor, dz: &Tensor) -> Result<AdapterGradient> {
        let b = product(&self.scaled(z)?, As::T, dy, As::Is)?;
        let a = product(dz, As::T, &self.input(x)?, As::Is)?;
        Ok(AdapterGradient { a: a.to_dtype(DType::F32)?, b: self.gradient_of_b(&b)? })
    }

    /// The input of A: `x` after dropout.
    ///
    /// # Errors
    /// When shapes don't fit or memory is short.
    pub fn input(&self, x: &Tensor) -> Result<Tensor> {
        self.dropout.as_ref().map_or_else(|| Ok(x.clone()), |mask| mask.of(x))
    }
}

impl Frozen {
    /// A linear with `weight` (`d_out` × `d_in`) and perhaps a bias (`d_out`).
    pub fn new(weight: Matrix, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.weight.parameters() + self.bias.as_ref().map_or(0, Tensor::elem_count)
    }

    /// y (T × `d_out`) of `x` (T × `d_in`), and z = A x (T × R), which the backward pass and the norms of B need.
    ///
    /// # Errors
    /// When shapes don't fit or memory is short.
    pub fn forward(&self, x: &Tensor, adapters: Option<&Attached>) -> Result<(Tensor, Option<Tensor>)> {
        let biased = |y: Tensor| match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        };
        if let Some(adapters) = adapters
            && adapters.dropout.is_none()
            && let Some((y, z)) = self.weight.forward_adapted(x, adapters.beside(&adapters.a, &adapters.b))?
        {
            return Ok((biased(y)?, Some(z)));
        }
        let y = biased(self.weight.forward(x)?)?;
        let Some(adapters) = adapters else { return Ok((y, None)) };
        let z = product(&adapters.input(x)?, As::Is, &adapters.a, As::T)?;
        let y = product_onto(y, &adapters.scaled(&z)?, As::Is, &adapters.b, As::Is)?;
        Ok((y, Some(z)))
    }

    /// The gradient of `x` (if `wants_dx`) and of the adapters from `dy` (T × `d_out`).
    ///
    /// # Errors
    /// When shapes don't fit or memory is short.
    pub fn backward(
        &self,
        dy: &Tensor,
        x: &Tensor,
        adapters: Option<(&Attached, &Tensor)>,
        wants_dx: bool,
    ) -> Result<(Option<Tensor>, Option<AdapterGradient>)> {
        if wants_dx
            && let Some((adapters, z)) = adapters
            && adapters.dropout.is_none()
            && let Some((dx, dz)) = self.weight.backward_adapted(dy, adapters.beside(&adapters.b, &adapters.a))?
        {
            return Ok((Some(dx), Some(adapters.gradient(dy, x, z, &adapters.scaled(&dz)?)?)));
        }
        let mut dx = if wants_dx { Some(self.weight.backward(dy)?) } else { None };
        let Some((adapters, z)) = adapters else { return Ok((dx, None)) };
        let dz = adapters.scaled(&product(dy, As::Is, &adapters.b, As::T)?)?;
        let gradient = adapters.gradient(dy, x, z, &dz)?;
        if let Some(frozen) = dx {
            dx = Some(if let Some(mask) = &adapters.dropout {
                mask.onto(frozen, &product(&dz, As::Is, &adapters.a, As::Is)?)?
            } else {
                product_onto(frozen, &dz, As::Is, &adapters.a, As::Is)?
            });
        }
        Ok((dx, Some(gradient)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::kernels::tests::{off, ramp};
    use super::*;
    use crate::lora::Segment;

    #[test]
    fn scales_in_the_copy_of_b_give_what_scales_of_z_give() {
        let segments = vec![
            Segment { adapter: 0, start: 0, rank: 3, scale: 0.7 },
            Segment { adapter: 1, start: 3, rank: 2, scale: -1.9 },
        ];
        let module = MergedModule { a: ramp(&[5, 9], 0.1), b: ramp(&[5, 11], 0.2), segments };
        let linear = Frozen::new(Matrix::Dense(ramp(&[11, 9], 0.3)), Some(ramp(&[11], 0.4)));
        let (x, dy) = (ramp(&[4, 9], 0.5), ramp(&[4, 11], 0.6));
        for dropout in [None, Some((Dropout { p: 0.4, key: 5 }, 1))] {
            let [of_z, of_b] =
                [false, true].map(|in_b| Attached::with_scale(&module, DType::F32, dropout, in_b).unwrap());
            let run = |adapters: &Attached| {
                let (y, z) = linear.forward(&x, Some(adapters)).unwrap();
                let z = z.unwrap();
                let (dx, gradient) = linear.backward(&dy, &x, Some((adapters, &z)), true).unwrap();
                let AdapterGradient { a, b } = gradient.unwrap();
                [y, z, dx.unwrap(), a, b]
            };
            for (got, want) in run(&of_b).iter().zip(&run(&of_z)) {
                assert!(off(got, want) < 1e-5, "{got} and {want}");
            }
        }
    }

    #[test]
    fn scales_of_one_are_left_out_and_give_what_they_gave() {
        let segments = |last: f64| {
            vec![
                Segment { adapter: 0, start: 0, rank: 3, scale: 1.0 },
                Segment { adapter: 1, start: 3, rank: 2, scale: last },
            ]
        };
        let module = |last| MergedModule { a: ramp(&[5, 9], 0.1), b: ramp(&[5, 11], 0.2), segments: segments(last) };
        let of = |module: &MergedModule| Attached::with_scale(module, DType::F32, None, false).unwrap();
        let left_out = of(&module(1.0));
        assert!(matches!(left_out.scale, Scale::One));
        // One of them alone is not.
        assert!(matches!(of(&module(1.5)).scale, Scale::OfZ(_)));
        let ones = Tensor::ones((1, 5), DType::F32, left_out.a.device()).unwrap();
        let multiplied = Attached { scale: Scale::OfZ(ones), ..left_out.clone() };
        let linear = Frozen::new(Matrix::Dense(ramp(&[11, 9], 0.3)), None);
        let (x, dy) = (ramp(&[4, 9], 0.5), ramp(&[4, 11], 0.6));
        let [got, want] = [left_out, multiplied].map(|adapters| {
            let (y, z) = linear.forward(&x, Some(&adapters)).unwrap();
            let z = z.unwrap();
            let (dx, gradient) = linear.backward(&dy, &x, Some((&adapters, &z)), true).unwrap();
            let AdapterGradient { a, b } = gradient.unwrap();
            [y, z, dx.unwrap(), a, b].map(|t| t.to_vec2::<f32>().unwrap())
        });
        assert_eq!(got, want);
    }

    /// Needs a processor that has one.
    #[cfg(feature = "amx")]
    #[test]
    fn a_unit_gives_what_rounded_numbers_give() {
        use super::super::matrix::Blocks;
        if !super::super::rounded::unit() {
            return;
        }
        let rounded = |x: &Tensor| x.to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap();
        let times = |a: &Tensor, b: &Tensor| a.matmul(b).unwrap();
        let segments = vec![
            Segment { adapter: 0, start: 0, rank: 3, scale: 0.7 },
            Segment { adapter: 1, start: 3, rank: 2, scale: -1.9 },
        ];
        let module = MergedModule { a: ramp(&[5, 40], 0.1), b: ramp(&[5, 70], 0.2), segments };
        let (w, bias) = (ramp(&[70, 40], 0.3), ramp(&[70], 0.4));
        let linear = Frozen::new(Matrix::Blocks(Blocks::halves(&w).unwrap()), Some(bias.clone()));
        let adapters = Attached::with_scale(&module, DType::F32, None, false).unwrap();
        let (x, dy) = (ramp(&[37, 40], 0.5), ramp(&[37, 70], 0.6));
        let (y, z) = linear.forward(&x, Some(&adapters)).unwrap();
        let z = z.unwrap();
        let (dx, gradient) = linear.backward(&dy, &x, Some((&adapters, &z)), true).unwrap();
        let AdapterGradient { a, b } = gradient.unwrap();
        let [w, xr, dyr, ar, br] = [&w, &x, &dy, &module.a, &module.b].map(rounded);
        let want_z = times(&xr, &ar.t().unwrap());
        let scaled = |z: &Tensor| adapters.scaled(z).unwrap();
        let want_y = (times(&xr, &w.t().unwrap()) + times(&rounded(&scaled(&want_z)), &br)).unwrap();
        let want_dz = scaled(&times(&dyr, &br.t().unwrap()));
        let want_dx = (times(&dyr, &w) + times(&rounded(&want_dz), &ar)).unwrap();
        // A number of z between two of bf16 may be rounded the other way: by at most a 256th of itself.
        for (what, got, want) in [
            ("y", &y, &want_y.broadcast_add(&bias).unwrap()),
            ("z", &z, &want_z),
            ("dx", &dx.unwrap(), &want_dx),
            ("A's gradient", &a, &times(&want_dz.t().unwrap(), &x)),
            ("B's gradient", &b, &times(&scaled(&want_z).t().unwrap(), &dy)),
        ] {
            let size = want.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(off(got, want) < 5e-3 * size, "{what}: off by {} of {size}", off(got, want));
        }
        // Without adapters, and with them but without a way back to the input.
        let alone = linear.forward(&x, None).unwrap().0.broadcast_sub(&bias).unwrap();
        assert!(off(&alone, &times(&xr, &w.t().unwrap())) < 1e-3);
        let (none, gradient) = linear.backward(&dy, &x, Some((&adapters, &z)), false).unwrap();
        assert!(none.is_none() && off(&gradient.unwrap().b, &b) < 1e-3);
    }
}
