//! Attention over f32 in this machine's memory: some queries of one key head of one sequence at a time, with all query heads
//! of its group, by one thread, so that their scores stay in its cache. Queries, keys and values are read where they lie.

use super::super::kernels::{Block, Causal, softmax_row, softmax_row_backward, with_slices};
use super::{Heads, Packed};
use candle_core::{Result, Tensor};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::cell::RefCell;

/// Scores that a thread works on at once where that leaves it enough queries: a megabyte, on the way back two.
const SCORES: usize = 256 << 10;
/// Queries of a block, at least where there are as many, and at most.
const MIN_QUERIES: usize = 8;
const MAX_QUERIES: usize = 64;
/// On the way back the blocks of a key head are dealt out to one task for so many queries, ...
const QUERIES_PER_TASK: usize = 256;
/// ... to so many tasks at most, and so many of all key heads of a sequence, one of each at least: each adds up gradients of keys and values of its
/// own. Their number depends on the shapes alone, as sums must not depend on the machine.
const MOST_TASKS: usize = 8;
const MOST_OF_SEQUENCE: usize = 32;

/// Queries of a block of a sequence of `t` tokens.
fn queries(t: usize, heads: Heads) -> usize {
    (SCORES / (t * heads.group()).max(1)).clamp(MIN_QUERIES, MAX_QUERIES).min(t)
}

/// Tasks that share the way back of a key head of a sequence of `t` tokens.
fn tasks(t: usize, heads: Heads) -> usize {
    t.div_ceil(QUERIES_PER_TASK).clamp(1, (MOST_OF_SEQUENCE / heads.key.max(1)).clamp(1, MOST_TASKS))
}

/// Numbers that are held at once beside arguments and results for sequences of these lengths: by all threads, for good, and
/// on the way back as partial sums.
pub fn scratch_numbers(lengths: impl Iterator<Item = usize> + Clone, heads: Heads, threads: usize) -> [usize; 2] {
    let of_thread = |t| queries(t, heads) * heads.group() * (2 * t + 3 * heads.dim);
    let scratch = lengths.clone().map(of_thread).max().unwrap_or(0);
    let sums = lengths.map(|t| tasks(t, heads) * t * 2 * heads.key * heads.dim).sum();
    [threads * scratch, sums]
}

/// What a thread works in on one block.
#[derive(Default)]
struct Scratch {
    q: Vec<f32>,
    dy: Vec<f32>,
    p: Vec<f32>,
    dp: Vec<f32>,
    out: Vec<f32>,
}

thread_local! {
    /// A thread's, kept: new memory costs as much as the work on it.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Does `work` in this thread's scratch.
fn in_scratch<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(work)
}

/// So many numbers to write to; what stands in them is left over.
fn at_least(x: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if x.len() < n {
        x.resize(n, 0.0);
    }
    &mut x[..n]
}

/// A matrix as it lies.
fn of(x: &[f32], rows: usize, columns: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(x, rows, columns)
}

fn of_mut(x: &mut [f32], rows: usize, columns: usize) -> MatMut<'_, f32> {
    MatMut::from_row_major_slice_mut(x, rows, columns)
}

fn product_into(c: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    matmul(c, Accum::Replace, a, b, 1.0, Par::Seq);
}

/// A block with the pieces of a result for its queries.
type Dealt<'a> = (Block, Vec<&'a mut [f32]>);

/// One head of keys and values of one sequence, with the heads of queries that see it.
#[derive(Clone, Copy)]
struct KeyHead<'a> {
    /// (T, query heads, dim) of all sequences.
    q: &'a [f32],
    /// (T, key heads, dim).
    k: &'a [f32],
    v: &'a [f32],
    /// The sequence's first row, and how many it has.
    start: usize,
    t: usize,
    head: usize,
    heads: Heads,
    causal: Causal,
}

impl KeyHead<'_> {
    /// The blocks, each with those of a result's `pieces`, one a token, that are for its queries.
    fn deal<'p>(&self, pieces: Vec<&'p mut [f32]>) -> Vec<Dealt<'p>> {
        let mut pieces = pieces.into_iter();
        self.causal
            .blocks(self.t, queries(self.t, self.heads))
            .map(|block| {
                let of_block = pieces.by_ref().take(block.queries.len()).collect();
                (block, of_block)
            })
            .collect()
    }

    /// The block's keys of `x`, which is (T, key heads, dim).
    fn keys<'x>(&self, x: &'x [f32], block: &Block) -> MatRef<'x, f32> {
        let (row, n, dim) = (self.heads.key * self.heads.dim, block.keys.len(), self.heads.dim);
        let from = (self.start + block.keys.start) * row + self.head * dim;
        MatRef::from_row_major_slice_with_stride(&x[from..from + (n - 1) * row + dim], n, dim, row)
    }

    /// The block's queries of `x`, which is (T, query heads, dim): (queries · group, dim).
    fn gather<'r>(&self, x: &[f32], block: &Block, into: &'r mut Vec<f32>) -> &'r [f32] {
        let (row, width) = (self.heads.query * self.heads.dim, self.heads.group() * self.heads.dim);
        into.clear();
        for token in block.queries.clone() {
            let from = (self.start + token) * row + self.head * width;
            into.extend_from_slice(&x[from..from + width]);
        }
        into
    }

    /// The attention weights of a block, over `rows` of queries.
    fn weights(&self, block: &Block, rows: &[f32], p: &mut [f32]) {
        let (group, dim, width) = (self.heads.group(), self.heads.dim, block.keys.len());
        let n = block.queries.len() * group;
        product_into(of_mut(p, n, width), of(rows, n, dim), self.keys(self.k, block).transpose());
        for (row, scores) in p.chunks_mut(width).enumerate() {
            let seen = self.causal.seen(block.queries.start + row / group, block);
            softmax_row(scores, seen, self.heads.scale() as f32);
        }
    }

    /// Attention of a block's queries into `y`, a piece a token.
    fn forward(&self, block: &Block, y: &mut [&mut [f32]], scratch: &mut Scratch) {
        let (dim, width) = (self.heads.dim, block.keys.len());
        let n = block.queries.len() * self.heads.group();
        let p = at_least(&mut scratch.p, n * width);
        self.weights(block, self.gather(self.q, block, &mut scratch.q), p);
        let out = at_least(&mut scratch.out, n * dim);
        product_into(of_mut(out, n, dim), of(p, n, width), self.keys(self.v, block));
        scatter(out, y);
    }

    /// The block's gradient of q into `dq`, a piece a token; those of k and v are added to `sums`, (t, dim) each.
    fn backward(
        &self,
        dy: &[f32],
        block: &Block,
        dq: &mut [&mut [f32]],
        sums: &mut [Vec<f32>; 2],
        scratch: &mut Scratch,
    ) {
        let (dim, width) = (self.heads.dim, block.keys.len());
        let n = block.queries.len() * self.heads.group();
        let (q, dy) = (self.gather(self.q, block, &mut scratch.q), self.gather(dy, block, &mut scratch.dy));
        let p = at_least(&mut scratch.p, n * width);
        self.weights(block, q, p);
        let dp = at_least(&mut scratch.dp, n * width);
        product_into(of_mut(dp, n, width), of(dy, n, dim), self.keys(self.v, block).transpose());
        let keys = block.keys.start * dim..block.keys.end * dim;
        let [dk, dv] = sums;
        let onto = |sum: &mut [f32], a: &[f32], b: &[f32]| {
            matmul(of_mut(sum, width, dim), Accum::Add, of(a, n, width).transpose(), of(b, n, dim), 1.0, Par::Seq);
        };
        onto(&mut dv[keys.clone()], p, dy);
        for (dp, p) in dp.chunks_mut(width).zip(p.chunks(width)) {
            softmax_row_backward(dp, p, self.heads.scale() as f32);
        }
        onto(&mut dk[keys], dp, q);
        let out = at_least(&mut scratch.out, n * dim);
        product_into(of_mut(out, n, dim), of(dp, n, width), self.keys(self.k, block));
        scatter(out, dq);
    }
}

/// Rows of some tokens to where they belong.
fn scatter(rows: &[f32], pieces: &mut [&mut [f32]]) {
    let width = pieces.first().map_or(1, |piece| piece.len());
    for (piece, row) in pieces.iter_mut().zip(rows.chunks(width)) {
        piece.copy_from_slice(row);
    }
}

/// The pieces of `x`, (T, key heads, `width`), by sequence and head: one a token.
fn split_by_head<'a>(x: &'a mut [f32], of: &Packed, width: usize) -> Vec<Vec<&'a mut [f32]>> {
    let key = of.heads.key;
    let mut pieces = x.chunks_mut(width.max(1));
    let mut all = Vec::with_capacity(of.lengths.len() * key);
    for &t in of.lengths {
        let mut heads: Vec<Vec<_>> = (0..key).map(|_| Vec::with_capacity(t)).collect();
        for _ in 0..t {
            heads.iter_mut().for_each(|head| head.extend(pieces.next()));
        }
        all.append(&mut heads);
    }
    all
}

/// All key heads of all sequences, in the order of [`split_by_head`].
fn key_heads<'a>(of: &Packed, [q, k, v]: [&'a [f32]; 3]) -> Vec<KeyHead<'a>> {
    let heads = of.heads;
    let mut start = 0;
    let sequence = |&t: &usize| {
        let first = start;
        start += t;
        (0..heads.key).map(move |head| KeyHead { q, k, v, start: first, t, head, heads, causal: of.causal })
    };
    of.lengths.iter().flat_map(sequence).collect()
}

/// [`Packed::forward`].
pub(super) fn forward(of: &Packed) -> Result<Tensor> {
    let (tokens, row) = (of.q.dim(0)?, of.heads.query * of.heads.dim);
    let mut y = vec![0f32; tokens * row];
    let pieces = split_by_head(&mut y, of, of.heads.group() * of.heads.dim);
    with_slices([of.q, of.k, of.v], |slices| {
        key_heads(of, slices).into_par_iter().zip(pieces).for_each(|(head, pieces)| {
            head.deal(pieces).into_par_iter().for_each(|(block, mut pieces)| {
                in_scratch(|scratch| head.forward(&block, &mut pieces, scratch));
            });
        });
        Ok(())
    })?;
    Tensor::from_vec(y, (tokens, row), of.q.device())
}

/// [`Packed::backward`]; `dy` is (T, query heads · dim).
pub(super) fn backward(of: &Packed, dy: &Tensor) -> Result<[Tensor; 3]> {
    let (tokens, heads) = (of.q.dim(0)?, of.heads);
    let (dim, width, key_row) = (heads.dim, heads.group() * heads.dim, heads.key * heads.dim);
    let mut dq = vec![0f32; tokens * heads.query * dim];
    let [mut dk, mut dv] = [(); 2].map(|()| vec![0f32; tokens * key_row]);
    let (dqs, dks, dvs) =
        (split_by_head(&mut dq, of, width), split_by_head(&mut dk, of, dim), split_by_head(&mut dv, of, dim));
    with_slices([of.q, of.k, of.v, dy], |[q, k, v, dy]| {
        let results = dqs.into_par_iter().zip(dks).zip(dvs);
        key_heads(of, [q, k, v]).into_par_iter().zip(results).for_each(|(head, ((dq, mut dk), mut dv))| {
            let mut parts: Vec<Vec<_>> = (0..tasks(head.t, heads)).map(|_| Vec::new()).collect();
            let count = parts.len();
            for (i, dealt) in head.deal(dq).into_iter().enumerate() {
                parts[i % count].push(dealt);
            }
            let part = |blocks: Vec<Dealt<'_>>| {
                let mut sums = [(); 2].map(|()| vec![0f32; head.t * dim]);
                for (block, mut pieces) in blocks {
                    in_scratch(|scratch| head.backward(dy, &block, &mut pieces, &mut sums, scratch));
                }
                sums
            };
            // Added in their order, whoever was done first.
            for [k, v] in parts.into_par_iter().map(part).collect::<Vec<_>>() {
                for (pieces, sum) in [(&mut dk, k), (&mut dv, v)] {
                    for (piece, sum) in pieces.iter_mut().zip(sum.chunks(dim)) {
                        piece.iter_mut().zip(sum).for_each(|(x, more)| *x += more);
                    }
                }
            }
        });
        Ok(())
    })?;
    let device = of.q.device();
    Ok([
        Tensor::from_vec(dq, (tokens, heads.query, dim), device)?,
        Tensor::from_vec(dk, (tokens, heads.key, dim), device)?,
        Tensor::from_vec(dv, (tokens, heads.key, dim), device)?,
    ])
}
