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
    let heads = Heads { query: 4, key: 2, dim: 8 };
    let lengths = [1100, 1, 37];
    assert!(queries_at_once(1100, 4, false) < 1100 && queries_at_once(37, 4, false) == 37);
    let total: usize = lengths.iter().sum();
    let make = |n: usize, seed: f32| ramp(&[total, n, heads.dim], seed);
    let (q, k, v, dy) = (make(4, 0.1), make(2, 0.5), make(2, 0.9), make(4, 1.3));
    let dy = dy.flatten_from(1).unwrap();
    for causal in [Causal { window: None }, Causal { window: Some(300) }] {
        let masks = Masks::default();
        let packed = Packed { q: &q, k: &k, v: &v, lengths: &lengths, heads, causal, masks: &masks };
        let (y, gradients) = (packed.forward().unwrap(), packed.backward(&dy).unwrap());
        let mut start = 0;
        for t in lengths {
            let of = |x: &Tensor| Var::from_tensor(&x.narrow(0, start, t).unwrap().contiguous().unwrap()).unwrap();
            let inputs = [of(&q), of(&k), of(&v)];
            let want = plain(&inputs[0], &inputs[1], &inputs[2], heads, causal).unwrap();
            assert!(off(&y.narrow(0, start, t).unwrap(), &want) < 1e-5, "{causal:?}, {t}");
            let loss = (want * dy.narrow(0, start, t).unwrap()).unwrap().sum_all().unwrap();
            let grads = loss.backward().unwrap();
            for (got, input) in gradients.iter().zip(&inputs) {
                let (got, want) = (got.narrow(0, start, t).unwrap(), grads.get(input).unwrap());
                let small = want.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-4;
                assert!(small || off(&got, want) < 1e-5, "{causal:?}, {t}: {}", off(&got, want));
            }
            start += t;
        }
    }
}
