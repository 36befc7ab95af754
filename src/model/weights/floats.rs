//! Floats of a file, converted to the type that is wanted and checked for NaN and infinity.

#[cfg(feature = "cuda")]
use crate::card::Sent;
use crate::model::file::WeightFile;
use crate::model::header::{Entry, Stored};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Elements that one thread converts at a time.
const CHUNK: usize = 1 << 16;
/// Numbers that are sent to a card at once.
#[cfg(feature = "cuda")]
const PIECE: usize = 4 << 20;
/// Pieces that are there at once: one is sent, others are read or wait.
#[cfg(any(feature = "cuda", test))]
const BUFFERS: usize = 3;

/// Anything, where nothing is sent to a card.
#[cfg(not(feature = "cuda"))]
pub(super) trait Sent {}
#[cfg(not(feature = "cuda"))]
impl<T> Sent for T {}

/// A float type that weights are turned into.
pub(super) trait Float: Sent + Copy + Default + Send + Sync {
    fn from_f64(value: f64) -> Self;
    fn from_f32(value: f32) -> Self;
    fn from_f16(value: f16) -> Self {
        Self::from_f32(value.to_f32())
    }
    fn from_bf16(value: bf16) -> Self {
        Self::from_f32(value.to_f32())
    }
    fn finite(self) -> bool;
}

impl Float for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn from_f32(value: f32) -> Self {
        value
    }
    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Float for bf16 {
    fn from_f64(value: f64) -> Self {
        bf16::from_f64(value)
    }
    fn from_f32(value: f32) -> Self {
        bf16::from_f32(value)
    }
    fn from_bf16(value: bf16) -> Self {
        value
    }
    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Float for f16 {
    fn from_f64(value: f64) -> Self {
        f16::from_f64(value)
    }
    fn from_f32(value: f32) -> Self {
        f16::from_f32(value)
    }
    fn from_f16(value: f16) -> Self {
        value
    }
    fn finite(self) -> bool {
        self.is_finite()
    }
}

/// Bytes of a number of a stored type; none if that is no float.
pub(super) fn width(stored: Stored) -> Option<usize> {
    match stored {
        Stored::F64 => Some(8),
        Stored::F32 => Some(4),
        Stored::F16 | Stored::Bf16 => Some(2),
        Stored::Other(..) | Stored::Gguf(_) => None,
    }
}

/// The numbers of `width` bytes of an entry as a tensor; none where one is not finite.
pub(super) fn floats<T: Float + candle_core::WithDType>(
    file: &WeightFile,
    entry: &Entry,
    width: usize,
    device: &Device,
) -> Result<Option<Tensor>> {
    let count = entry.bytes.len() / width;
    #[cfg(feature = "cuda")]
    if device.is_cuda() && count > PIECE {
        let tensor = Tensor::zeros(entry.shape.as_slice(), T::DTYPE, device)?;
        let put = |at: usize, numbers: &[T]| -> Result<()> { Ok(crate::card::put(&tensor, at, numbers)?) };
        let finite = in_pieces(file, entry, (count, width), PIECE, put)?;
        return Ok(finite.then_some(tensor));
    }
    let mut out = vec![T::default(); count];
    let finite = fill(file, entry.stored, entry.bytes.start, &mut out)?;
    Ok(if finite { Some(Tensor::from_vec(out, entry.shape.as_slice(), device)?) } else { None })
}

/// Reads the `count` numbers of `width` bytes of an entry, `piece` at a time, and hands each piece with its place to `take`: this
/// thread does that, while others read the next ones into the few buffers that there are. Ends early, with false, where a number
/// is not finite.
#[cfg(any(feature = "cuda", test))]
fn in_pieces<T: Float>(
    file: &WeightFile,
    entry: &Entry,
    (count, width): (usize, usize),
    piece: usize,
    mut take: impl FnMut(usize, &[T]) -> Result<()>,
) -> Result<bool> {
    use std::sync::mpsc::sync_channel;
    let (full, read) = sync_channel::<(usize, Vec<T>, Result<bool>)>(BUFFERS);
    let (empty, free) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS.min(count.div_ceil(piece)) {
        empty.send(vec![T::default(); piece.min(count)]).ok();
    }
    // What it ends with early drops both of its ends, so that the reader ends too.
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            for at in (0..count).step_by(piece) {
                let Ok(mut buffer) = free.recv() else { return };
                buffer.truncate(count - at);
                let finite = fill(file, entry.stored, entry.bytes.start + at * width, &mut buffer);
                let last = !matches!(finite, Ok(true));
                if full.send((at, buffer, finite)).is_err() || last {
                    return;
                }
            }
        });
        for (at, buffer, finite) in read {
            if !finite? {
                return Ok(false);
            }
            take(at, &buffer)?;
            // The reader may have ended.
            empty.send(buffer).ok();
        }
        Ok(true)
    })
}

/// Fills `out` with the numbers that lie in `file` from byte `start` on; whether all are finite.
fn fill<T: Float>(file: &WeightFile, stored: Stored, start: usize, out: &mut [T]) -> Result<bool> {
    match stored {
        Stored::F64 => convert::<T, 8>(file, start, out, |b| T::from_f64(f64::from_le_bytes(b))),
        Stored::F32 => convert::<T, 4>(file, start, out, |b| T::from_f32(f32::from_le_bytes(b))),
        Stored::F16 => convert::<T, 2>(file, start, out, |b| T::from_f16(f16::from_le_bytes(b))),
        Stored::Bf16 => convert::<T, 2>(file, start, out, |b| T::from_bf16(bf16::from_le_bytes(b))),
        Stored::Other(..) | Stored::Gguf(_) => Err(Error::fault(format!("{} is no float", stored.name()))),
    }
}

fn convert<T: Float, const N: usize>(
    file: &WeightFile,
    start: usize,
    out: &mut [T],
    one: impl Fn([u8; N]) -> T + Sync,
) -> Result<bool> {
    let finite = AtomicBool::new(true);
    let chunks = out.par_chunks_mut(CHUNK).enumerate();
    chunks.try_for_each_init(
        || vec![0; CHUNK * N],
        |piece, (i, out)| -> Result<()> {
            let piece = &mut piece[..out.len() * N];
            file.fill(start + i * CHUNK * N, piece)?;
            let mut all = true;
            for (slot, number) in out.iter_mut().zip(piece.as_chunks::<N>().0) {
                *slot = one(*number);
                // No early exit: a flag keeps the loop free of branches.
                all &= slot.finite();
            }
            if !all {
                finite.store(false, Ordering::Relaxed);
            }
            Ok(())
        },
    )?;
    Ok(finite.into_inner())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A file of some bytes and these numbers, and where they are.
    fn written(numbers: &[f32]) -> (tempfile::TempDir, WeightFile, Entry) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers");
        let before = [7u8; 13];
        let stored = numbers.iter().flat_map(|n| n.to_le_bytes());
        std::fs::write(&path, before.into_iter().chain(stored).collect::<Vec<_>>()).unwrap();
        let bytes = 13..13 + 4 * numbers.len();
        let entry = Entry { shape: vec![numbers.len()], stored: Stored::F32, bytes };
        (folder, WeightFile::open(&path).unwrap(), entry)
    }

    /// What comes piece by piece, and whether all was finite.
    fn pieces<T: Float>(file: &WeightFile, entry: &Entry, piece: usize) -> (Vec<T>, Result<bool>) {
        let mut all = Vec::new();
        let finite = in_pieces(file, entry, (entry.bytes.len() / 4, 4), piece, |at, numbers: &[T]| {
            assert_eq!(at, all.len());
            all.extend_from_slice(numbers);
            Ok(())
        });
        (all, finite)
    }

    #[test]
    fn pieces_in_their_order_are_the_whole() {
        let few = [0, 1, 9, 10, 11, 95].map(|n| (n, 10));
        for (n, piece) in few.into_iter().chain([(200_000, 65_537), (200_000, 300_000)]) {
            let numbers: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
            let rounded: Vec<bf16> = numbers.iter().map(|x| bf16::from_f32(*x)).collect();
            let (_folder, file, entry) = written(&numbers);
            assert_eq!(pieces::<bf16>(&file, &entry, piece), (rounded, Ok(true)), "{n} by {piece}");
            assert_eq!(pieces::<f32>(&file, &entry, piece), (numbers, Ok(true)), "{n} by {piece}");
        }
    }

    #[test]
    fn reading_ahead_ends_with_what_is_wrong() {
        let mut numbers = vec![1.5f32; 100];
        numbers[57] = f32::INFINITY;
        let (_folder, file, entry) = written(&numbers);
        assert_eq!(pieces::<f32>(&file, &entry, 10), (vec![1.5f32; 50], Ok(false)));
        // Who takes the pieces fails, with others still to come.
        let failed = in_pieces(&file, &entry, (100, 4), 10, |at, _: &[f32]| {
            (at != 20).then_some(()).ok_or_else(|| Error::user("the card is full"))
        });
        assert_eq!(failed, Err(Error::user("the card is full")));
        // The file ends before its numbers do.
        let beyond = Entry { bytes: 13..13 + 4 * 130, ..entry };
        let (_, cut) = pieces::<f32>(&file, &beyond, 200);
        assert!(cut.is_err_and(|error| error.to_string().contains("has become shorter")));
    }
}
