//! A frozen matrix of the base: as numbers, or in the blocks that its file has.

use super::few::{self, Rows};
use super::header::Stored;
use super::kernels::{on_cpu, slice, with_slices};
use super::product::{As, product, product_into_columns, product_onto};
use super::rounded::{self, Beside, Lies, Right};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use half::bf16;
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

/// Numbers that are unpacked at once in this machine's memory (4 MB: they stay in the cache until they are used), ...
const UNPACKED: usize = 1 << 20;
/// ... and on a card.
const UNPACKED_ON_CARD: usize = 64 << 20;
/// Numbers that a thread unpacks for a product of few rows: small matrices, too, are shared by all threads.
const UNPACKED_FOR_FEW: usize = 1 << 14;

/// A matrix that no gradient is computed for.
#[derive(Debug, Clone)]
pub enum Matrix {
    /// Rows × columns in the type of the activations.
    Dense(Tensor),
    /// Blocks of GGUF, or bf16 and f16 beside activations in f32.
    Blocks(Blocks),
}

/// How the matrices of a base are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// As numbers of the activations' type.
    Numbers,
    /// As their file has them, as far as that takes less.
    Stored,
    /// As bf16 beside activations in f32. With a matrix unit ([`super::rounded`]) what enters a product of more than a few rows
    /// is rounded to bf16: activations, and without dropout also the adapters beside them and their z.
    Halves,
}

/// Rows × columns in a packed type. Products unpack some rows after another, to the same numbers that an unpacked matrix
/// would have: in f32 they differ from its products by nothing, but where [`Hold::Halves`] lets a unit round.
#[derive(Debug, Clone)]
pub struct Blocks {
    packed: Arc<QTensor>,
    rows: usize,
    columns: usize,
    dtype: DType,
    /// Whether a product may round what it multiplies to bf16.
    rounds: bool,
}

/// The packed type that a matrix stored like this keeps beside activations on the CPU or on a card: `None` where it is
/// numbers there. A card unpacks GGUF's blocks itself; what it would have to send here and back is no gain.
pub fn kept_packed(stored: Stored, on_card: bool) -> Option<GgmlDType> {
    match stored {
        Stored::F16 | Stored::Gguf(GgmlDType::F16) => Some(GgmlDType::F16).filter(|_| !on_card),
        Stored::Bf16 | Stored::Gguf(GgmlDType::BF16) => Some(GgmlDType::BF16).filter(|_| !on_card),
        Stored::Gguf(GgmlDType::F32 | GgmlDType::Q8_1) => None,
        Stored::Gguf(kind) => Some(kind),
        _ => None,
    }
}

/// Bytes that unpacked rows take at most, and while they are put together twice that; on a card as f32 and as bf16.
pub fn unpacked(on_card: bool) -> u64 {
    if on_card { UNPACKED_ON_CARD as u64 * 6 } else { UNPACKED as u64 * 8 }
}

/// Adapters beside a product: z = x · `first`ᵀ (ranks × depth), times `scale` (1 × ranks), and then z · `second` (ranks × columns).
#[derive(Debug, Clone, Copy)]
pub struct Adapted<'a> {
    /// What z comes from.
    pub first: &'a Tensor,
    /// What z becomes.
    pub second: &'a Tensor,
    /// Nothing where all are 1.
    pub scale: Option<&'a Tensor>,
}

impl Blocks {
    /// `packed` (rows × columns) beside activations of type `dtype`.
    ///
    /// # Errors
    /// When it is no matrix.
    pub fn new(packed: QTensor, dtype: DType) -> Result<Self> {
        let (rows, columns) = packed.shape().dims2()?;
        Ok(Self { packed: Arc::new(packed), rows, columns, dtype, rounds: false })
    }

    /// `numbers` (rows × columns, f32 or bf16, in this machine's memory) as bf16 beside activations in f32.
    ///
    /// # Errors
    /// When it is no matrix.
    pub fn halves(numbers: &Tensor) -> Result<Self> {
        let shape = numbers.dims2()?;
        let halves = numbers.to_dtype(DType::BF16)?.flatten_all()?.to_vec1::<bf16>()?;
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        let stored = QStorage::from_data(Cow::Owned(bytes), numbers.device(), GgmlDType::BF16)?;
        Self::new(QTensor::new(stored, shape)?, DType::F32).map(Self::rounding)
    }

    /// The same, of which a product may round what it multiplies to bf16.
    #[must_use]
    pub fn rounding(self) -> Self {
        Self { rounds: true, ..self }
    }

    /// The product of `x` with these numbers by a matrix unit, with what adapters add and their z; `None` where there is no
    /// unit, or it may not be used.
    fn by_unit(&self, x: &Tensor, lies: Lies, beside: Option<Adapted<'_>>) -> Result<Option<(Tensor, Tensor)>> {
        let lent = |x: &Tensor| on_cpu(x) && x.is_contiguous();
        let rows = x.dim(0)?;
        if !(self.rounds && rows > few::FEW && rounded::unit() && lent(x)) {
            return Ok(None);
        }
        let depth = x.dim(1)?;
        let columns = if lies == Lies::ByColumn { self.rows } else { self.columns };
        let data = self.packed.data()?;
        let right = Right { numbers: &data, lies, columns };
        let (ranks, (y, z)) = match beside {
            None => (0, with_slices([x], |[x]| rounded::product(x, depth, right, None))?),
            Some(Adapted { first, second, scale }) => {
                if !(lent(first) && lent(second)) {
                    return Ok(None);
                }
                let scale = scale.map(|scale| scale.flatten_all()?.to_vec1::<f32>()).transpose()?;
                let product = |[x, first, second]: [&[f32]; 3]| {
                    rounded::product(x, depth, right, Some(Beside { first, second, scale: scale.as_deref() }))
                };
                (first.dim(0)?, with_slices([x, first, second], product)?)
            }
        };
        let of = |numbers, columns| Tensor::from_vec(numbers, (rows, columns), x.device());
        Ok(Some((of(y, columns)?, of(z, ranks)?)))
    }

    /// Rows that are unpacked at once.
    fn step(&self) -> usize {
        let at_once = if self.packed.device().is_cpu() { UNPACKED } else { UNPACKED_ON_CARD };
        (at_once / self.columns.max(1)).clamp(1, self.rows.max(1))
    }

    /// The first rows and counts of the pieces.
    fn pieces(&self) -> impl Iterator<Item = (usize, usize)> {
        let step = self.step();
        (0..self.rows).step_by(step).map(move |start| (start, step.min(self.rows - start)))
    }

    /// The rows from `from` to before `to` as f32, by this thread.
    fn taken(&self, from: usize, to: usize) -> Result<Tensor> {
        let ids: Vec<u32> = (from as u32..to as u32).collect();
        self.packed.embedding(&Tensor::new(ids, &self.packed.device())?)
    }

    /// `count` rows from `start` on as numbers.
    fn unpacked(&self, start: usize, count: usize) -> Result<Tensor> {
        let device = self.packed.device();
        let whole = if device.is_cpu() {
            // By several threads: a piece is small beside what a thread costs, but not beside unpacking it.
            let share = count.div_ceil(rayon::current_num_threads()).max(1);
            let starts: Vec<usize> = (start..start + count).step_by(share).collect();
            let parts: Vec<Tensor> = starts
                .into_par_iter()
                .map(|from| self.taken(from, (from + share).min(start + count)))
                .collect::<Result<_>>()?;
            if let [one] = &parts[..] { one.clone() } else { Tensor::cat(&parts, 0)? }
        } else if count == self.rows {
            self.packed.dequantize(&device)?
        } else {
            self.taken(start, start + count)?
        };
        whole.to_dtype(self.dtype)
    }

    /// x · Wᵀ.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.dim(0)?;
        if on_cpu(x) && x.is_contiguous() && (1..=few::FEW).contains(&rows) {
            let data = self.packed.data()?;
            return match self.packed.dtype() {
                GgmlDType::BF16 => x.apply_op1_no_bwd(&FewRows(Rows::Bf16(&data), self.columns)),
                GgmlDType::Q8_0 => x.apply_op1_no_bwd(&FewRows(Rows::Q8(&data), self.columns)),
                _ => self.forward_few(x),
            };
        }
        if let Some((y, _)) = self.by_unit(x, Lies::ByColumn, None)? {
            return Ok(y);
        }
        if on_cpu(x) && x.is_contiguous() {
            let mut y = Tensor::zeros((rows, self.rows), DType::F32, x.device())?;
            for (start, count) in self.pieces() {
                y = product_into_columns(y, start, x, &self.unpacked(start, count)?)?;
            }
            return Ok(y);
        }
        let parts = self
            .pieces()
            .map(|(start, count)| product(x, As::Is, &self.unpacked(start, count)?, As::T))
            .collect::<Result<Vec<_>>>()?;
        if let [one] = &parts[..] { Ok(one.clone()) } else { Tensor::cat(&parts, 1) }
    }

    /// x · Wᵀ of few rows in this machine's memory: every thread unpacks some rows of the matrix and is done with them while
    /// they are in its cache.
    fn forward_few(&self, x: &Tensor) -> Result<Tensor> {
        let (m, columns) = x.dims2()?;
        if columns != self.columns {
            candle_core::bail!("the product of {:?} and {:?} (T) is not defined", x.dims(), (self.rows, self.columns));
        }
        let step = (UNPACKED_FOR_FEW / columns.max(1)).clamp(1, self.rows.max(1));
        let starts: Vec<usize> = (0..self.rows).step_by(step).collect();
        let parts: Vec<Vec<f32>> = with_slices([x], |[x]| {
            let part = |start: usize| {
                let w = self.taken(start, (start + step).min(self.rows))?.to_dtype(DType::F32)?;
                with_slices([&w], |[w]| Ok(few::product(x, columns, Rows::F32(w))))
            };
            starts.into_par_iter().map(part).collect()
        })?;
        let mut y = Vec::with_capacity(m * self.rows);
        for row in 0..m {
            for part in &parts {
                let count = part.len() / m;
                y.extend_from_slice(&part[row * count..(row + 1) * count]);
            }
        }
        Tensor::from_vec(y, (m, self.rows), x.device())
    }

    /// y · W.
    fn backward(&self, y: &Tensor) -> Result<Tensor> {
        if let Some((dx, _)) = self.by_unit(y, Lies::ByDepth, None)? {
            return Ok(dx);
        }
        let mut sum: Option<Tensor> = None;
        for (start, count) in self.pieces() {
            let part = y.narrow(1, start, count)?.contiguous()?;
            let w = self.unpacked(start, count)?;
            sum = Some(match sum {
                Some(sum) => product_onto(sum, &part, As::Is, &w, As::Is)?,
                None => product(&part, As::Is, &w, As::Is)?,
            });
        }
        sum.map_or_else(|| Tensor::zeros((y.dim(0)?, self.columns), y.dtype(), y.device()), Ok)
    }
}

/// Whether all numbers are finite. A maximum would pass over NaN.
///
/// # Errors
/// When memory is short.
pub fn finite(numbers: &Tensor) -> Result<bool> {
    Ok((numbers.to_dtype(DType::F32)? * 0.0)?.sum_all()?.to_scalar::<f32>()?.is_finite())
}

/// A product of few rows with a matrix of so many columns.
struct FewRows<'a>(Rows<'a>, usize);

impl CustomOp1 for FewRows<'_> {
    fn name(&self) -> &'static str {
        "product-of-few"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = layout.shape().dims2()?.0;
        let y = few::product(slice(storage, layout)?, self.1, self.0);
        let columns = y.len() / rows.max(1);
        Ok((CpuStorage::F32(y), (rows, columns).into()))
    }
}

impl Matrix {
    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Dense(w) => w.elem_count(),
            Self::Blocks(w) => w.rows * w.columns,
        }
    }

    /// x · Wᵀ of `x` (T × columns): (T × rows).
    ///
    /// # Errors
    /// When shapes or types don't fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(w) => product(x, As::Is, w, As::T),
            Self::Blocks(w) => w.forward(x),
        }
    }

    /// y · W of `y` (T × rows): (T × columns), the way back to what [`Self::forward`] was given.
    ///
    /// # Errors
    /// When shapes or types don't fit.
    pub fn backward(&self, y: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(w) => product(y, As::Is, w, As::Is),
            Self::Blocks(w) => w.backward(y),
        }
    }

    /// [`Self::forward`] with what adapters add to it, and their z before it was scaled, in one product; `None` where there is no
    /// such product for this matrix.
    ///
    /// # Errors
    /// When shapes or types don't fit.
    pub fn forward_adapted(&self, x: &Tensor, beside: Adapted<'_>) -> Result<Option<(Tensor, Tensor)>> {
        match self {
            Self::Dense(_) => Ok(None),
            Self::Blocks(w) => w.by_unit(x, Lies::ByColumn, Some(beside)),
        }
    }

    /// [`Self::backward`] likewise.
    ///
    /// # Errors
    /// When shapes or types don't fit.
    pub fn backward_adapted(&self, y: &Tensor, beside: Adapted<'_>) -> Result<Option<(Tensor, Tensor)>> {
        match self {
            Self::Dense(_) => Ok(None),
            Self::Blocks(w) => w.by_unit(y, Lies::ByDepth, Some(beside)),
        }
    }

    /// The rows `ids` (u32): (ids, columns).
    ///
    /// # Errors
    /// When a row is not there.
    pub fn select(&self, ids: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(w) => w.index_select(ids, 0),
            Self::Blocks(w) => w.packed.embedding(ids)?.to_dtype(w.dtype),
        }
    }

    /// Whether all numbers are finite.
    ///
    /// # Errors
    /// When memory is short.
    pub fn finite(&self) -> Result<bool> {
        match self {
            Self::Dense(w) => finite(w),
            Self::Blocks(w) => {
                for (start, count) in w.pieces() {
                    if !finite(&w.unpacked(start, count)?)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::kernels::tests::{off, ramp};
    use super::*;
    use GgmlDType as K;
    use candle_core::Device;

    const KINDS: [K; 12] =
        [K::Q4_0, K::Q4_1, K::Q5_0, K::Q5_1, K::Q8_0, K::Q2K, K::Q3K, K::Q4K, K::Q5K, K::Q6K, K::BF16, K::F16];

    #[test]
    fn products_with_blocks_are_those_with_their_numbers() {
        // More rows than are unpacked at once.
        let (rows, columns) = (UNPACKED / 512 + 100, 512);
        let w = ramp(&[rows, columns], 0.3);
        let (x, y) = (ramp(&[13, columns], 0.7), ramp(&[13, rows], 0.1));
        let ids = Tensor::new(&[5u32, 0, (rows - 1) as u32], &Device::Cpu).unwrap();
        for kind in KINDS {
            let packed = QTensor::quantize(&w, kind).unwrap();
            let dense = Matrix::Dense(packed.dequantize(&Device::Cpu).unwrap());
            let blocks = Matrix::Blocks(Blocks::new(packed, DType::F32).unwrap());
            assert!(off(&blocks.forward(&x).unwrap(), &dense.forward(&x).unwrap()) < 1e-6, "{kind:?}");
            assert!(off(&blocks.backward(&y).unwrap(), &dense.backward(&y).unwrap()) < 1e-5, "{kind:?}");
            assert_eq!(off(&blocks.select(&ids).unwrap(), &dense.select(&ids).unwrap()), 0.0, "{kind:?}");
            for count in 1..=few::FEW {
                let few = x.narrow(0, 0, count).unwrap();
                let error = off(&blocks.forward(&few).unwrap(), &dense.forward(&few).unwrap());
                assert!(error < 1e-5, "{kind:?}, {count} rows: {error}");
            }
            assert!(blocks.finite().unwrap() && blocks.parameters() == dense.parameters());
        }
    }

    #[test]
    fn few_rows_of_every_kind_get_what_its_numbers_get() {
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        // Less than a piece, pieces with a rest, and rows that are longer than a piece.
        for (rows, columns) in [(1, 256), (37, 512), (131, 512), (1_000, 256), (3, UNPACKED_FOR_FEW + 256)] {
            let (w, x) = (ramp(&[rows, columns], 0.3), ramp(&[few::FEW, columns], 0.7));
            for kind in KINDS {
                let packed = QTensor::quantize(&w, kind).unwrap();
                let dense = Matrix::Dense(packed.dequantize(&Device::Cpu).unwrap());
                let blocks = Matrix::Blocks(Blocks::new(packed, DType::F32).unwrap());
                for count in 1..=few::FEW {
                    let few = x.narrow(0, 0, count).unwrap();
                    let got = blocks.forward(&few).unwrap();
                    let want = dense.forward(&few).unwrap();
                    assert!(off(&got, &want) < 1e-6, "{kind:?}, {count} rows with {rows} x {columns}");
                    let again = alone.install(|| blocks.forward(&few)).unwrap();
                    assert_eq!(again.to_vec2::<f32>().unwrap(), got.to_vec2::<f32>().unwrap(), "{kind:?}");
                }
                assert!(matches!(kind, K::BF16 | K::Q8_0) || blocks.forward(&ramp(&[1, 32], 0.1)).is_err());
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_found() {
        let mut numbers = vec![0.5f32; 3 * 32];
        for broken in [f32::NAN, f32::INFINITY] {
            numbers[40] = broken;
            let w = Tensor::from_slice(&numbers, (3, 32), &Device::Cpu).unwrap();
            assert!(!Matrix::Dense(w.clone()).finite().unwrap());
            let packed = QTensor::quantize(&w, K::BF16).unwrap();
            assert!(!Matrix::Blocks(Blocks::new(packed, DType::F32).unwrap()).finite().unwrap());
        }
    }
}
