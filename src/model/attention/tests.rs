#![allow(clippy::unwrap_used)]
use super::kernels::tests::{off, ramp};
use super::*;
use candle_core::{D, Var};

/// Attention of one sequence by plain operations, all scores at once.
fn plain(q: &Tensor, k: &Tensor, v: &Tensor, heads: Heads, causal: Causal) -> Result<Tensor> {
    let t = q.dim(0)?;
    let repeated = |x: &Tensor| {
        let x = x.transpose(0, 1)?.unsqueeze(1)?.broadcast_as((heads.key, heads.group(), t, heads.dim))?;
        x.reshape((heads.query, t, heads.dim))
    };
    let scores = (q.transpose(0, 1)?.contiguous()?.matmul(&repeated(k)?.t()?.contiguous()?)? * heads.scale())?;
    let mask = kernels::hidden(&causal.block(0..t), causal, DType::F32, &Device::Cpu)?;
    let p = candle_nn::ops::softmax(&scores.broadcast_add(&mask)?, D::Minus1)?;
    p.matmul(&repeated(v)?)?.transpose(0, 1)?.reshape((t, heads.query * heads.dim))
}

#[test]
fn blocks_of_queries_give_what_all_scores_at_once_give() {
    assert!(queries_at_once(1100, 4, false) < 1100 && queries_at_once(37, 4, false) == 37);
    let lengths = [1100, 1, 37, 65];
    for (query, key, dim) in [(4, 2, 8), (3, 1, 5), (2, 2, 16)] {
        for causal in [Causal { window: None }, Causal { window: Some(300) }, Causal { window: Some(20) }] {
            compare(&lengths, Heads { query, key, dim }, causal);
        }
    }
}

/// Both ways, over slices and by tensor operations, against autograd through plain operations, sequence by sequence.
fn compare(lengths: &[usize], heads: Heads, causal: Causal) {
    let total: usize = lengths.iter().sum();
    let make = |n: usize, seed: f32| ramp(&[total, n, heads.dim], seed);
    let (q, k, v) = (make(heads.query, 0.1), make(heads.key, 0.5), make(heads.key, 0.9));
    let dy = make(heads.query, 1.3).flatten_from(1).unwrap();
    let masks = Masks::default();
    let packed = Packed { q: &q, k: &k, v: &v, lengths, heads, causal, masks: &masks };
    assert!(packed.lies_in_memory(&dy));
    let ways = [
        ("slices", packed.forward().unwrap(), packed.backward(&dy).unwrap()),
        ("operations", packed.forward_by_operations().unwrap(), packed.backward_by_operations(&dy).unwrap()),
    ];
    let mut start = 0;
    for &t in lengths {
        let of = |x: &Tensor| Var::from_tensor(&x.narrow(0, start, t).unwrap().contiguous().unwrap()).unwrap();
        let inputs = [of(&q), of(&k), of(&v)];
        let want = plain(&inputs[0], &inputs[1], &inputs[2], heads, causal).unwrap();
        let loss = (&want * dy.narrow(0, start, t).unwrap()).unwrap().sum_all().unwrap();
        let grads = loss.backward().unwrap();
        for (way, y, gradients) in &ways {
            let what = format!("{way}, {heads:?}, {causal:?}, {t}");
            assert!(off(&y.narrow(0, start, t).unwrap(), &want) < 1e-5, "{what}");
            for (got, input) in gradients.iter().zip(&inputs) {
                let (got, want) = (got.narrow(0, start, t).unwrap(), grads.get(input).unwrap());
                let small = want.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-4;
                assert!(small || off(&got, want) < 1e-5, "{what}: {}", off(&got, want));
            }
        }
        start += t;
    }
}
