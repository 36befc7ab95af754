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

#[test]
fn heads_that_cannot_be_shared_out_are_refused() {
    let heads = Heads { query: 3, key: 2, dim: 4 };
    let (q, kv) = (ramp(&[5, 3, 4], 0.1), ramp(&[5, 2, 4], 0.5));
    let packed = Packed {
        q: &q,
        k: &kv,
        v: &kv,
        lengths: &[5],
        heads,
        causal: Causal { window: None },
        masks: &Masks::default(),
    };
    assert!(packed.forward().is_err() && packed.backward(&q.flatten_from(1).unwrap()).is_err());
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

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (lengths, heads) = ([1100, 1, 37, 65], Heads { query: 6, key: 2, dim: 8 });
    let total: usize = lengths.iter().sum();
    let make = |n: usize, seed: f32| ramp(&[total, n, heads.dim], seed);
    let (q, k, v, dy) = (make(6, 0.1), make(2, 0.5), make(2, 0.9), make(6, 1.3));
    let masks = Masks::default();
    let packed =
        Packed { q: &q, k: &k, v: &v, lengths: &lengths, heads, causal: Causal { window: None }, masks: &masks };
    let bits = |x: &Tensor| -> Vec<u32> {
        x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
    };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let [dq, dk, dv] = packed.backward(&dy).unwrap();
            [packed.forward().unwrap(), dq, dk, dv].map(|x| bits(&x))
        })
    };
    let one = on(1);
    assert!(one.iter().all(|bits| bits.iter().any(|b| *b != 0)));
    assert!(one == on(3));
}

#[test]
fn what_does_not_fit_is_an_error_and_views_are_taken_as_they_are() {
    let heads = Heads { query: 2, key: 1, dim: 4 };
    let (q, k, v) = (ramp(&[5, 2, 4], 0.1), ramp(&[5, 1, 4], 0.5), ramp(&[5, 1, 4], 0.9));
    let masks = Masks::default();
    let causal = Causal { window: None };
    let of = |lengths: &[usize], q: &Tensor| {
        let packed = Packed { q, k: &k, v: &v, lengths, heads, causal, masks: &masks };
        packed.forward()
    };
    let want = of(&[2, 3], &q).unwrap();
    for lengths in [&[2, 0, 3][..], &[2, 4]] {
        assert!(of(lengths, &q).is_err(), "{lengths:?}");
    }
    let view = q.transpose(0, 2).unwrap().contiguous().unwrap().transpose(0, 2).unwrap();
    assert!(!view.is_contiguous());
    assert!(off(&of(&[2, 3], &view).unwrap(), &want) < 1e-5);
}
