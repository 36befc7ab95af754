//! A base with random weights as a GGUF file whose matrices lie in blocks of `Q4_K`, written tensor after tensor: it need not
//! fit into memory.

use super::Shape;
use half::f16;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Numbers of a block, ...
const NUMBERS: usize = 256;
/// ... and its bytes: two scales, 12 bytes of scales of 32 numbers each, 4 bits a number.
const BYTES: usize = 144;
/// Random blocks that are used again and again, from another place for each tensor: 9 MB.
const BLOCKS: usize = 1 << 16;
/// Every tensor begins at a multiple of it.
const ALIGNMENT: usize = 32;
/// What the format calls f32, ...
const F32: u32 = 0;
/// ... `Q4_K`, ...
const Q4_K: u32 = 12;
/// ... and a text.
const TEXT: u32 = 8;

/// A number is d · 16 · q − dmin · 16 with q from 0 to 15: uniform in ± `wide`, more or less.
fn random_blocks(random: &mut ChaCha8Rng, wide: f32) -> Vec<u8> {
    let mut blocks = vec![0; BLOCKS * BYTES];
    for block in blocks.chunks_exact_mut(BYTES) {
        let d = wide / 120.0 * random.random_range(0.7f32..1.3);
        block[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
        block[2..4].copy_from_slice(&f16::from_f32(7.5 * d).to_le_bytes());
        // All sixteen scales are 16: six bits, of which the upper two of some lie beside others.
        block[4..12].fill(0x50);
        random.fill(&mut block[16..]);
    }
    blocks
}

/// Bytes of a tensor.
fn size(dims: &[usize]) -> usize {
    let numbers: usize = dims.iter().product();
    if dims.len() == 1 { 4 * numbers } else { numbers / NUMBERS * BYTES }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// llama.cpp's name of a tensor.
fn translated(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".into(),
        "model.norm.weight" => return "output_norm.weight".into(),
        "lm_head.weight" => return "output.weight".into(),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("model.layers.").unwrap().split_once('.').unwrap();
    let part = match part.strip_suffix(".weight").unwrap() {
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "ffn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        other => panic!("{other} has no name in a GGUF file"),
    };
    format!("blk.{layer}.{part}.weight")
}

/// Writes the file.
pub(super) fn write(shape: Shape, path: &Path) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let blocks = random_blocks(&mut random, shape.wide());
    let tensors: Vec<(String, Vec<usize>)> = (0..=shape.layers).flat_map(|part| shape.tensors(part)).collect();
    let mut head = b"GGUF".to_vec();
    head.extend(3u32.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend(1u64.to_le_bytes());
    text(&mut head, "general.architecture");
    head.extend(TEXT.to_le_bytes());
    text(&mut head, "llama");
    let mut offset = 0usize;
    for (name, dims) in &tensors {
        assert!(dims.len() == 1 || dims[1].is_multiple_of(NUMBERS), "{name}: a row is no multiple of a block");
        text(&mut head, &translated(name));
        head.extend((dims.len() as u32).to_le_bytes());
        for &dim in dims.iter().rev() {
            head.extend((dim as u64).to_le_bytes());
        }
        let kind = if dims.len() == 1 { F32 } else { Q4_K };
        head.extend(kind.to_le_bytes());
        head.extend((offset as u64).to_le_bytes());
        offset += size(dims).next_multiple_of(ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
    let mut file = File::create(path).unwrap();
    file.write_all(&head).unwrap();
    for (_, dims) in &tensors {
        let size = size(dims);
        if dims.len() == 1 {
            file.write_all(&1f32.to_le_bytes().repeat(dims[0])).unwrap();
        } else {
            let (mut from, mut left) = (BYTES * random.random_range(0..BLOCKS), size);
            while left > 0 {
                let piece = &blocks[from..blocks.len().min(from + left)];
                file.write_all(piece).unwrap();
                left -= piece.len();
                from = 0;
            }
        }
        file.write_all(&vec![0; size.next_multiple_of(ALIGNMENT) - size]).unwrap();
    }
}
