//! Dropout as a card draws it, against the CPU's: the same mask, and the same numbers to the bit.

use super::{TYPES, bytes, empty, ramp, run, values};
use candle_core::{DType, Device, Tensor};
use lopper::lora::{MergedModule, merge::Segment};
use lopper::model::linear::{Attached, Dropout};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What the CPU makes of `x` as the input of module number `stream`.
fn on_the_cpu(x: &Tensor, dropout: Dropout, stream: u64) -> Tensor {
    let zeros = |width: usize| Tensor::zeros((1, width), DType::F32, &Device::Cpu).unwrap();
    let segments = vec![Segment { adapter: 0, start: 0, rank: 1, scale: 1.0 }];
    let module = MergedModule { a: zeros(x.dim(1).unwrap()), b: zeros(1), segments };
    Attached::new(&module, DType::F32, Some(dropout), stream).unwrap().input(x).unwrap()
}

#[test]
#[ignore = "needs a C++ compiler"]
fn what_a_card_drops_is_what_the_cpu_drops() {
    for ((dtype, name), (rows, columns)) in
        TYPES.into_iter().flat_map(|t| [(1, 1), (1, 8), (3, 37), (5, 64), (40, 301)].map(|s| (t, s)))
    {
        for (p, key, stream) in [(0.05, 7, 0), (1.0 / 3.0, 0x51ee_d0f4_77a3_0009, (7 << 33) + 5), (0.999, 0, 223)] {
            let dropout = Dropout { p, key };
            let (x, y) = (ramp(&[rows, columns], 0.2, dtype), ramp(&[rows, columns], 0.7, dtype));
            let thinned = on_the_cpu(&x, dropout, stream);
            let seed = ChaCha8Rng::seed_from_u64(key).get_seed().to_vec();
            let least = (p * (1u64 << 53) as f64).ceil() as u64;
            let words = [seed, stream.to_le_bytes().to_vec(), least.to_le_bytes().to_vec()].concat();
            let factor = f64::from((1.0 / (1.0 - p)) as f32);
            // Also where x does not begin where four lie at once.
            for skew in [0, 1] {
                let what = format!("{rows} x {columns} in {dtype:?}, p {p}, {skew} before");
                let placed = [vec![0; skew * dtype.size_in_bytes()], bytes(&x, dtype)].concat();
                let sizes = [2.0, (rows * columns) as f64, factor, skew as f64];
                let mut buffers = vec![placed, empty(&bytes(&y, dtype)), words.clone()];
                run(&format!("dropout_{name}"), &mut buffers, &sizes);
                assert_eq!(buffers[1], bytes(&thinned, dtype), "{what}");
                buffers[1] = bytes(&y, dtype);
                run(&format!("dropout_onto_{name}"), &mut buffers, &sizes);
                assert_eq!(buffers[1], bytes(&(&y + &thinned).unwrap(), dtype), "{what}, added");
            }
            let dropped = values(&thinned).into_iter().filter(|x| *x == 0.0).count();
            let expected = p * (rows * columns) as f64;
            assert!(rows < 40 || (dropped as f64 - expected).abs() < 300.0, "{dropped} of {expected}");
        }
    }
}
