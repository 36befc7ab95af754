//! Pruning of all matrices at once: see `select.cu`.

use super::launch::{Kernel, Source, address, room, start_of};
use super::whole;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, PushKernelArg};
use candle_core::{CudaDevice, Result, Tensor};

const THREADS: usize = 256;
/// Entries of a matrix that a block looks at.
const SHARE: usize = 16 * 1024;
/// Bins of a histogram: 11 bits.
const BINS: usize = 2048;
/// Words (u32) of what is found of a matrix.
const FOUND: usize = 8;
/// Words (u64) of what became of a share.
const PART: usize = 4;
/// In what is found: an importance is no number.
const BROKEN: u32 = 8;

/// A pruner's own numbers on a card, entry after entry of all its matrices.
#[derive(Debug)]
pub struct Entries {
    device: CudaDevice,
    masks: CudaSlice<u8>,
    shadow: CudaSlice<f32>,
}

impl Entries {
    /// `n` of them: nothing is pruned.
    ///
    /// # Errors
    /// When the card's memory is short.
    pub fn new(device: &CudaDevice, n: usize) -> Result<Self> {
        let (masks, shadow) = (device.alloc_zeros(n.max(1))?, device.alloc_zeros(n.max(1))?);
        Ok(Self { device: device.clone(), masks, shadow })
    }

    /// Those of masks (1 is pruned) and of what pruned entries were.
    ///
    /// # Errors
    /// When the card's memory is short.
    pub fn with(device: &CudaDevice, masks: &[u8], shadow: &[f32]) -> Result<Self> {
        let (masks, shadow) = (device.clone_htod(masks)?, device.clone_htod(shadow)?);
        Ok(Self { device: device.clone(), masks, shadow })
    }

    /// Masks and shadow in this machine's memory.
    ///
    /// # Errors
    /// When the card fails.
    pub fn home(&self) -> Result<(Vec<u8>, Vec<f32>)> {
        Ok((self.device.clone_dtoh(&self.masks)?, self.device.clone_dtoh(&self.shadow)?))
    }
}

/// One matrix of an adapter, r × width (B lies transposed).
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The tensor that holds it.
    pub tensor: &'a Tensor,
    /// Its first entry there.
    pub first: usize,
    /// Its first entry among the pruner's own.
    pub entry: usize,
    /// r.
    pub rank: usize,
    /// `d_in` for A, `d_out` for B.
    pub width: usize,
    /// Where its norms begin among all norms; `None` for |w| alone.
    pub norms: Option<usize>,
    /// It is B: norms are of rows, and PEFT's layout has columns there.
    pub transposed: bool,
    /// Entries to be pruned.
    pub k: usize,
    /// What is pruned stays so.
    pub hold: bool,
    /// Left alone while all its weights are zero and nothing of it is pruned.
    pub idle_if_silent: bool,
    /// Only tried.
    pub scratch: Option<Scratch<'a>>,
}

/// Masks that are only tried: what is pruned now goes first and comes back with what it was, and nothing is changed.
#[derive(Debug, Clone, Copy)]
pub struct Scratch<'a> {
    /// Where the matrix is put as it would be, laid out as its tensor.
    pub to: Option<&'a Tensor>,
    /// With the masks that there are.
    pub as_is: bool,
}

/// What became of a matrix.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// Σ importance.
    pub total: f64,
    /// Of what is pruned.
    pub lost: f64,
    /// Entries that the mask prunes.
    pub pruned: usize,
    /// Entries that are zero now.
    pub zeros: usize,
    /// Entries whose mask changed.
    pub flips: usize,
    /// Entries that came back.
    pub restored: usize,
    /// Importance at 0.1, 0.5 and 0.9.
    pub quantiles: [f32; 3],
    /// An importance is no number: nothing was done.
    pub broken: bool,
}

/// A matrix of which moments are zeroed where the pruner's own mask says so.
#[derive(Debug, Clone, Copy)]
pub struct Forgotten<'a> {
    /// First and second moment of the tensor that holds it.
    pub moments: [&'a Tensor; 2],
    /// Its first entry there.
    pub first: usize,
    /// Its first entry among the pruner's own.
    pub entry: usize,
    /// Its entries.
    pub n: usize,
}

/// Zeroes the moments of what is pruned, of all matrices in one launch. It does not wait for the card.
///
/// # Errors
/// When a moment is not on the card, not f32 or not contiguous, a matrix is not within it or within `entries`, or the card
/// fails.
pub fn forget(entries: &Entries, all: &[Forgotten<'_>]) -> Result<()> {
    let device = &entries.device;
    let masks = start_of(device, &entries.masks);
    let mut words = Vec::with_capacity(4 * all.len());
    for of in all {
        let [m, v] = of.moments;
        let end = of.first + of.n;
        if of.entry + of.n > entries.masks.len() || end > m.elem_count() || end > v.elem_count() {
            candle_core::bail!("a matrix of {} entries has not as many masks or moments", of.n);
        }
        let offset = 4 * of.first as u64;
        words.extend([masks + of.entry as u64, address(m)? + offset, address(v)? + offset, of.n as u64]);
    }
    let Some(largest) = all.iter().map(|of| of.n).max() else { return Ok(()) };
    let words = device.clone_htod(&words)?;
    let kernel = Kernel::of(device, Source::Numbers, "forget")?;
    kernel.start((largest.div_ceil(SHARE), all.len()), THREADS, |k| {
        k.arg(&words);
    })
}

/// The table of `all`, eight words each.
fn table(all: &[Matrix<'_>], masks: u64, shadow: u64, norms: u64) -> Result<Vec<u64>> {
    let mut words = Vec::with_capacity(8 * all.len());
    let mut last: Option<(&Tensor, u64)> = None;
    for of in all {
        let start = match last {
            Some((tensor, start)) if std::ptr::eq(tensor, of.tensor) => start,
            _ => address(of.tensor)?,
        };
        last = Some((of.tensor, start));
        let n = of.rank * of.width;
        if of.first + n > of.tensor.elem_count() {
            candle_core::bail!("a matrix of {n} entries from {} on is not in {:?}", of.first, of.tensor.dims());
        }
        let as_is = of.scratch.is_some_and(|scratch| scratch.as_is);
        let bits = [of.transposed, of.transposed, of.hold, of.idle_if_silent, of.scratch.is_some(), as_is];
        let flags = bits.iter().enumerate().fold(0, |flags, (bit, set)| flags | (u64::from(*set) << bit));
        let to = match of.scratch.and_then(|scratch| scratch.to) {
            Some(to) if to.elem_count() == of.tensor.elem_count() => address(to)? + 4 * of.first as u64,
            Some(to) => candle_core::bail!("{:?} does not take {:?}", to.dims(), of.tensor.dims()),
            None => 0,
        };
        let pair = |low: usize, high: usize| {
            Ok::<_, candle_core::Error>(u64::from(whole(low)?) | (u64::from(whole(high)?) << 32))
        };
        words.extend([
            start + 4 * of.first as u64,
            of.norms.map_or(0, |at| norms + 4 * at as u64),
            masks + of.entry as u64,
            shadow + 4 * of.entry as u64,
            to,
            pair(n, of.width)?,
            pair(of.rank, of.k)?,
            flags,
        ]);
    }
    Ok(words)
}

/// Prunes all matrices in place by |w| · norm: exactly `k` entries of each (or what is held, if that is more), ties by
/// lowest flat index in PEFT's layout; those with a [`Scratch`] are only tried. `norms` are those of [`super::norms()`]. It waits
/// for the card once, at the end.
///
/// # Errors
/// When a tensor is not on the card, not f32 or not contiguous, a matrix is not within it or within `entries`, or the card
/// fails.
pub fn prune(entries: &Entries, norms: Option<&Tensor>, all: &[Matrix<'_>]) -> Result<Vec<Outcome>> {
    let device = entries.device.clone();
    let count = all.len();
    if count == 0 {
        return Ok(Vec::new());
    }
    let known = norms.map_or(0, Tensor::elem_count);
    let short = |of: &Matrix<'_>| {
        let needed = if of.transposed { of.rank } else { of.width };
        of.entry + of.rank * of.width > entries.masks.len() || of.norms.is_some_and(|at| at + needed > known)
    };
    if all.iter().any(short) {
        candle_core::bail!("a matrix has more entries or norms than there are");
    }
    let norms = norms.map_or(Ok(0), address)?;
    let (masks, shadow) = (start_of(&device, &entries.masks), start_of(&device, &entries.shadow));
    let matrices = device.clone_htod(&table(all, masks, shadow, norms)?)?;
    let mut found = device.alloc_zeros::<u32>(FOUND * count)?;
    let mut counts = device.alloc_zeros::<u32>(BINS * count)?;
    let largest = all.iter().map(|of| of.rank * of.width).max().unwrap_or(0);
    let shares = largest.div_ceil(SHARE).max(1);
    let mut parts = room::<u64>(&device, PART * shares * count)?;
    let mut quantiles = room::<f32>(&device, 3 * count)?;
    let kernel = |name: &str| Kernel::of(&device, Source::Select, name);

    let look = kernel("look")?;
    look.start((shares, count), THREADS, |k| {
        k.arg(&matrices).arg(&mut found);
    })?;
    let (begin, n) = (kernel("begin")?, whole(count)?);
    begin.start((count.div_ceil(THREADS), 1), THREADS, |k| {
        k.arg(&matrices).arg(&mut found).arg(&n);
    })?;
    let (count_keys, narrow) = (kernel("count_keys")?, kernel("narrow")?);
    for pass in 0..3u32 {
        count_keys.start((shares, count), THREADS, |k| {
            k.arg(&matrices).arg(&found).arg(&mut counts).arg(&pass);
        })?;
        narrow.start((count, 1), THREADS, |k| {
            k.arg(&mut found).arg(&mut counts).arg(&pass);
        })?;
    }
    let ties = kernel("ties")?;
    ties.start((count, 1), THREADS, |k| {
        k.arg(&matrices).arg(&mut found);
    })?;
    let of_samples = kernel("quantiles")?;
    of_samples.start((count, 1), THREADS, |k| {
        k.arg(&matrices).arg(&mut quantiles);
    })?;
    let prune = kernel("prune")?;
    prune.start((shares, count), THREADS, |k| {
        k.arg(&matrices).arg(&found).arg(&mut parts);
    })?;

    let (parts, found, quantiles) =
        (device.clone_dtoh(&parts)?, device.clone_dtoh(&found)?, device.clone_dtoh(&quantiles)?);
    let of = parts.chunks(PART * shares).zip(found.chunks(FOUND)).zip(quantiles.chunks(3));
    Ok(of.map(|((parts, found), quantiles)| outcome(parts, found, quantiles)).collect())
}

/// Parts are summed in their order, so that the same run gives the same figures.
fn outcome(parts: &[u64], found: &[u32], quantiles: &[f32]) -> Outcome {
    let broken = found.get(4).is_some_and(|what| what & BROKEN != 0);
    let mut all = Outcome { quantiles: quantiles.try_into().unwrap_or_default(), broken, ..Outcome::default() };
    for part in parts.as_chunks::<PART>().0 {
        all.total += f64::from_bits(part[0]);
        all.lost += f64::from_bits(part[1]);
        all.pruned += part[2] as u32 as usize;
        all.zeros += (part[2] >> 32) as usize;
        all.flips += part[3] as u32 as usize;
        all.restored += (part[3] >> 32) as usize;
    }
    all
}
