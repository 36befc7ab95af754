//! Every fused piece on shapes drawn at random, forward and back, against autograd through candle's plain operations in f64.

use super::super::{
    Causal, causal_softmax, cross_entropy, rms_norm, rms_norm_backward, rope, softmax_backward, swiglu, swiglu_backward,
};
use crate::model::attention::{Heads, Masks, Packed};
use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

const SHAPES: u64 = 30;
/// By how much a number may be off, as a share of its tensor's largest.
const TYPES: [(DType, f64); 2] = [(DType::F32, 1e-5), (DType::BF16, 1e-2)];

/// Draws sizes and numbers.
struct Draw {
    random: ChaCha8Rng,
    dtype: DType,
    seed: u64,
}

impl Draw {
    /// 1 to `most`, and more often 1 than another; always 1 with the first seed.
    fn size(&mut self, most: usize) -> usize {
        let one = self.seed == 0 || self.random.random_range(0..6) == 0;
        if one { 1 } else { self.random.random_range(1..=most) }
    }

    /// Numbers of both signs, none of them near 0.
    fn numbers(&mut self, shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n)
            .map(|_| {
                let size = self.random.random_range(0.25f32..1.5);
                if self.random.random::<bool>() { size } else { -size }
            })
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(self.dtype).unwrap()
    }

    /// What queries see: everything before them, or some of it.
    fn causal(&mut self, t: usize) -> Causal {
        let window = self.random.random::<bool>().then(|| self.size(t));
        Causal { window }
    }
}

/// Compares on many shapes in each type; `one` gives how far off its results are.
fn on_random_shapes(what: &str, one: impl Fn(&mut Draw) -> Vec<f64>) {
    for (dtype, tolerance) in TYPES {
        let mut worst = 0f64;
        for seed in 0..SHAPES {
            let mut draw = Draw { random: ChaCha8Rng::seed_from_u64(seed), dtype, seed };
            let offs = one(&mut draw);
            assert!(offs.iter().all(|off| *off < tolerance), "{what}, {dtype:?}, seed {seed}: off by {offs:?}");
            worst = offs.into_iter().fold(worst, f64::max);
        }
        println!("{what}, {dtype:?}: off by {worst:e} at most");
    }
}

/// The same numbers in f64, followed by autograd.
fn exact(x: &Tensor) -> Var {
    Var::from_tensor(&x.to_dtype(DType::F64).unwrap()).unwrap()
}

fn largest(x: &Tensor) -> f64 {
    x.abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap()
}

/// The largest difference over the largest number that is wanted, or over `least` if that is more: the size of what is added
/// and taken away where hardly anything is left.
fn off(got: &Tensor, want: &Tensor, least: f64) -> f64 {
    assert_eq!(got.dims(), want.dims());
    largest(&(got.to_dtype(DType::F64).unwrap() - want).unwrap()) / largest(want).max(least)
}

/// Gradients of Σ y · dy.
fn back(y: &Tensor, dy: &Tensor) -> GradStore {
    (y * dy.to_dtype(DType::F64).unwrap()).unwrap().sum_all().unwrap().backward().unwrap()
}

/// What is added to scores so that a query sees the keys that it may: (1, queries, keys).
fn mask(causal: Causal, queries: &Range<usize>, keys: &Range<usize>) -> Tensor {
    let shape = (1, queries.len(), keys.len());
    let mut mask = Vec::new();
    for i in queries.clone() {
        let seen = |j: usize| j <= i && causal.window.is_none_or(|w| j + w > i);
        mask.extend(keys.clone().map(|j| if seen(j) { 0.0 } else { -1e30f64 }));
    }
    Tensor::from_vec(mask, shape, &Device::Cpu).unwrap()
}

#[test]
fn rms_norm_on_random_shapes_equals_autograd() {
    on_random_shapes("rms norm", |draw| {
        let (rows, heads, width) = (draw.size(20), draw.size(5), draw.size(260));
        let shape = if draw.random.random::<bool>() { vec![rows, width] } else { vec![rows, heads, width] };
        let (x, w, dy) = (draw.numbers(&shape), draw.numbers(&[width]), draw.numbers(&shape));
        let (var, weight) = (exact(&x), exact(&w));
        let root = (var.sqr().unwrap().mean_keepdim(D::Minus1).unwrap() + 1e-5).unwrap().sqrt().unwrap();
        let want = var.broadcast_div(&root).unwrap().broadcast_mul(weight.as_tensor()).unwrap();
        let gradients = back(&want, &dy);
        vec![
            off(&rms_norm(&x, &w, 1e-5).unwrap(), &want, 0.0),
            off(&rms_norm_backward(&x, &w, 1e-5, &dy).unwrap(), gradients.get(&var).unwrap(), 0.5),
        ]
    });
}

#[test]
fn swiglu_on_random_shapes_equals_autograd() {
    on_random_shapes("swiglu", |draw| {
        let shape = [draw.size(20), draw.size(260)];
        let [gate, up, dy] = [(); 3].map(|()| draw.numbers(&shape));
        let (g, u) = (exact(&gate), exact(&up));
        let want = (candle_nn::ops::silu(g.as_tensor()).unwrap() * u.as_tensor()).unwrap();
        let gradients = back(&want, &dy);
        let (d_gate, d_up) = swiglu_backward(&gate, &up, &dy).unwrap();
        let terms = 0.5 * largest(&(exact(&dy).as_tensor() * u.as_tensor()).unwrap());
        vec![
            off(&swiglu(&gate, &up).unwrap(), &want, 0.0),
            off(&d_gate, gradients.get(&g).unwrap(), terms),
            off(&d_up, gradients.get(&u).unwrap(), 0.0),
        ]
    });
}

#[test]
fn softmax_under_a_mask_on_random_shapes_equals_autograd() {
    on_random_shapes("causal softmax", |draw| {
        let (t, heads, group, dim) = (draw.size(24), draw.size(3), draw.size(3), draw.size(64));
        let (causal, from) = (draw.causal(t), draw.size(t) - 1);
        let block = causal.block(from..from + draw.size(t - from));
        let (queries, keys) = (block.queries.len(), block.keys.len());
        let shape = [heads, group * queries, keys];
        let (scores, dp) = (draw.numbers(&shape), draw.numbers(&shape));
        let scale = 1.0 / (dim as f64).sqrt();
        let var = exact(&scores);
        let hidden = mask(causal, &block.queries, &block.keys);
        let hidden = hidden.broadcast_as((group, queries, keys)).unwrap().reshape((1, group * queries, keys)).unwrap();
        let masked = (var.as_tensor() * scale).unwrap().broadcast_add(&hidden).unwrap();
        let want = candle_nn::ops::softmax(&masked, D::Minus1).unwrap();
        let gradients = back(&want, &dp);
        let terms = scale * largest(&(&want * exact(&dp).as_tensor()).unwrap());
        let p = causal_softmax(scores, scale, causal, &block, None).unwrap();
        let ds = softmax_backward(dp, &p, scale).unwrap();
        vec![off(&p, &want, 0.0), off(&ds, gradients.get(&var).unwrap(), terms)]
    });
}

/// Attention of one sequence, all scores at once: (t, query heads · dim).
fn plain(q: &Tensor, k: &Tensor, v: &Tensor, heads: Heads, causal: Causal) -> candle_core::Result<Tensor> {
    let t = q.dim(0)?;
    let repeated = |x: &Tensor| {
        let shape = (heads.key, heads.query / heads.key, t, heads.dim);
        x.transpose(0, 1)?.unsqueeze(1)?.broadcast_as(shape)?.reshape((heads.query, t, heads.dim))
    };
    let scores = q.transpose(0, 1)?.contiguous()?.matmul(&repeated(k)?.t()?.contiguous()?)?;
    let scores = (scores / (heads.dim as f64).sqrt())?.broadcast_add(&mask(causal, &(0..t), &(0..t)))?;
    let p = candle_nn::ops::softmax(&scores, D::Minus1)?;
    p.matmul(&repeated(v)?)?.transpose(0, 1)?.reshape((t, heads.query * heads.dim))
}

#[test]
fn attention_on_random_shapes_equals_autograd() {
    on_random_shapes("attention", |draw| {
        let lengths: Vec<usize> = (0..draw.size(3)).map(|_| draw.size(20)).collect();
        let (key, dim) = (draw.size(3), draw.size(40));
        let heads = Heads { query: key * draw.size(3), key, dim };
        let causal = draw.causal(20);
        let total: usize = lengths.iter().sum();
        let (q, k, v) = (
            draw.numbers(&[total, heads.query, dim]),
            draw.numbers(&[total, key, dim]),
            draw.numbers(&[total, key, dim]),
        );
        let dy = draw.numbers(&[total, heads.query * dim]);
        let masks = Masks::default();
        let packed = Packed { q: &q, k: &k, v: &v, lengths: &lengths, heads, causal, masks: &masks };
        let (y, gradients) = (packed.forward().unwrap(), packed.backward(&dy).unwrap());
        let mut offs = Vec::new();
        let mut start = 0;
        for t in lengths {
            let part = |x: &Tensor| x.narrow(0, start, t).unwrap().contiguous().unwrap();
            let inputs = [&q, &k, &v].map(|x| exact(&part(x)));
            let want = plain(&inputs[0], &inputs[1], &inputs[2], heads, causal).unwrap();
            let wanted = back(&want, &part(&dy));
            offs.push(off(&part(&y), &want, 0.0));
            for (got, input) in gradients.iter().zip(&inputs) {
                // A query of one key alone has no gradient, and its terms are about 1.
                offs.push(off(&part(got), wanted.get(input).unwrap(), 0.5));
            }
            start += t;
        }
        offs
    });
}

#[test]
fn rotary_embedding_on_random_shapes_equals_the_slow_formulation() {
    on_random_shapes("rope", |draw| {
        let (tokens, heads, half) = (draw.size(30), draw.size(7), draw.size(40));
        let (x, dy) = (draw.numbers(&[tokens, heads, 2 * half]), draw.numbers(&[tokens, heads, 2 * half]));
        let angles: Vec<f32> = (0..tokens * half).map(|_| draw.random.random_range(-4.0f32..4.0)).collect();
        let angles = Tensor::from_vec(angles, (tokens, half), &Device::Cpu).unwrap();
        let cos = angles.cos().unwrap().to_dtype(draw.dtype).unwrap();
        let sin = angles.sin().unwrap().to_dtype(draw.dtype).unwrap();
        let var = exact(&x);
        let by_head = var.transpose(0, 1).unwrap().unsqueeze(0).unwrap();
        let turned = candle_nn::rotary_emb::rope_slow(&by_head, exact(&cos).as_tensor(), exact(&sin).as_tensor());
        let want = turned.unwrap().squeeze(0).unwrap().transpose(0, 1).unwrap();
        let gradients = back(&want, &dy);
        vec![
            off(&rope(&x, &cos, &sin).unwrap(), &want, 0.0),
            off(&rope(&dy, &cos, &sin.neg().unwrap()).unwrap(), gradients.get(&var).unwrap(), 0.0),
        ]
    });
}

#[test]
fn cross_entropy_on_random_shapes_equals_autograd() {
    on_random_shapes("cross-entropy", |draw| {
        let (rows, vocabulary) = (draw.size(20), draw.size(2100));
        let logits = draw.numbers(&[rows, vocabulary]);
        let targets: Vec<u32> = (0..rows).map(|_| draw.random.random_range(0..vocabulary as u32)).collect();
        let scale = draw.random.random_range(0.1f64..1.0);
        let var = exact(&logits);
        let log_p = candle_nn::ops::log_softmax(var.as_tensor(), D::Minus1).unwrap();
        let index = Tensor::new(&targets[..], &Device::Cpu).unwrap().unsqueeze(1).unwrap();
        let want = log_p.gather(&index, 1).unwrap().neg().unwrap().squeeze(1).unwrap();
        let wanted = (want.sum_all().unwrap() * scale).unwrap().backward().unwrap();
        let (losses, gradient) = cross_entropy(logits, &targets, Some(scale)).unwrap();
        let losses = Tensor::new(losses, &Device::Cpu).unwrap();
        vec![off(&losses, &want, 1.0), off(&gradient.unwrap(), wanted.get(&var).unwrap(), scale)]
    });
}
