//! The decoder of the Llama family around a frozen base: forward, and the backward pass to the adapters.

mod backward;
mod cached;

pub use cached::Caches;

use super::attention::{self, Heads, Masks};
use super::config::Config;
use super::device::within_threads;
use super::kernels::{self, Causal};
use super::linear::{Attached, Dropout, Frozen};
use super::matrix::{Hold, Matrix};
use super::weights::Weights;
use crate::Result;
use crate::lora::MergedSet;
use crate::module::Projection;
use candle_core::{DType, Device, Tensor};

/// A frozen base on a device.
#[derive(Debug)]
pub struct Decoder {
    config: Config,
    device: Device,
    dtype: DType,
    embeddings: Matrix,
    layers: Vec<Layer>,
    norm: Tensor,
    /// Vocabulary × hidden; the embeddings themselves where they are tied.
    head: Matrix,
}

#[derive(Debug)]
struct Layer {
    input_norm: Tensor,
    post_norm: Tensor,
    query_norm: Option<Tensor>,
    key_norm: Option<Tensor>,
    linears: [Frozen; 7],
    causal: Causal,
}

/// Packed sequences on their way through the layers.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Length of each sequence; the rows are theirs, one after another.
    pub lengths: Vec<usize>,
    cos: Tensor,
    sin: Tensor,
    masks: Masks,
}

/// The adapters of every module, ready for one pass.
#[derive(Debug, Default)]
pub struct Pass {
    modules: Vec<[Option<Attached>; 7]>,
}

impl Pass {
    fn at(&self, layer: usize, projection: Projection) -> Option<&Attached> {
        self.modules.get(layer)?[projection as usize].as_ref()
    }
}

/// What the backward pass of a layer needs.
#[derive(Debug)]
struct Trace {
    x: Tensor,
    h: Tensor,
    q_raw: Option<Tensor>,
    k_raw: Option<Tensor>,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attended: Tensor,
    mid: Tensor,
    h2: Tensor,
    gate: Tensor,
    up: Tensor,
    act: Tensor,
    z: [Option<Tensor>; 7],
}

impl Trace {
    fn input(&self, projection: Projection) -> &Tensor {
        match projection {
            Projection::QProj | Projection::KProj | Projection::VProj => &self.h,
            Projection::OProj => &self.attended,
            Projection::GateProj | Projection::UpProj => &self.h2,
            Projection::DownProj => &self.act,
        }
    }
}

/// The layers' memory of a forward pass.
#[derive(Debug)]
pub struct Tape {
    kept: Vec<Kept>,
}

#[derive(Debug)]
enum Kept {
    All(Box<Trace>),
    /// Only the layer's input: the layer is run forward again on the way back.
    Input(Tensor),
}

/// Rows of logits that the loss computes at once: about 64 MB of f32.
pub fn logits_at_once(vocabulary: usize) -> usize {
    (16 * 1024 * 1024 / vocabulary).max(1)
}

impl Decoder {
    /// Reads the base's weights onto `device`, matrices as `hold` says, the rest in `dtype`, which is the activations'.
    ///
    /// # Errors
    /// Names the first tensor that is missing or has another shape than the configuration says.
    pub fn load(config: Config, weights: &Weights, dtype: DType, hold: Hold, device: &Device) -> Result<Self> {
        let get = |name: &str, shape: &[usize]| weights.tensor(name, shape, dtype, device);
        let matrix = |name: &str, shape: [usize; 2]| weights.matrix(name, shape, dtype, hold, device);
        let hidden = config.hidden;
        let embeddings = matrix("model.embed_tokens.weight", [config.vocab, hidden])?;
        let mut layers = Vec::with_capacity(config.layers);
        for i in 0..config.layers {
            let prefix = format!("model.layers.{i}");
            let mut linears = Vec::with_capacity(7);
            for projection in Projection::ALL {
                let (d_out, d_in) = config.linear_shape(projection);
                let name = format!("{prefix}.{}.{projection}", projection.block());
                let weight = matrix(&format!("{name}.weight"), [d_out, d_in])?;
                let bias =
                    if config.has_bias(projection) { Some(get(&format!("{name}.bias"), &[d_out])?) } else { None };
                linears.push(Frozen::new(weight, bias));
            }
            let linears: [Frozen; 7] =
                linears.try_into().map_err(|_| crate::Error::fault("a layer without its seven linears"))?;
            let head_norm = |name: &str| {
                if config.qk_norm {
                    get(&format!("{prefix}.self_attn.{name}.weight"), &[config.head_dim]).map(Some)
                } else {
                    Ok(None)
                }
            };
            layers.push(Layer {
                input_norm: get(&format!("{prefix}.input_layernorm.weight"), &[hidden])?,
                post_norm: get(&format!("{prefix}.post_attention_layernorm.weight"), &[hidden])?,
                query_norm: head_norm("q_norm")?,
                key_norm: head_norm("k_norm")?,
                linears,
                causal: Causal { window: config.window(i) },
            });
        }
        let norm = get("model.norm.weight", &[hidden])?;
        let head = if config.tie { embeddings.clone() } else { matrix("lm_head.weight", [config.vocab, hidden])? };
        Ok(Self { config, device: device.clone(), dtype, embeddings, layers, norm, head })
    }

    /// The base's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Type of activations, and of weights that are not held otherwise.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Number of frozen parameters.
    pub fn parameters(&self) -> usize {
        let layers: usize = self
            .layers
            .iter()
            .map(|l| {
                let norms = [Some(&l.input_norm), Some(&l.post_norm), l.query_norm.as_ref(), l.key_norm.as_ref()];
                l.linears.iter().map(Frozen::parameters).sum::<usize>()
                    + norms.into_iter().flatten().map(Tensor::elem_count).sum::<usize>()
            })
            .sum();
        let head = if self.config.tie { 0 } else { self.head.parameters() };
        layers + self.embeddings.parameters() + self.norm.elem_count() + head
    }

    /// Prepares adapters for a pass; with `dropout` for training.
    ///
    /// # Errors
    /// When memory is short.
    pub fn pass(&self, adapters: Option<&MergedSet>, dropout: Option<Dropout>) -> Result<Pass> {
        let Some(set) = adapters else { return Ok(Pass::default()) };
        let mut modules: Vec<[Option<Attached>; 7]> = (0..self.layers.len()).map(|_| Default::default()).collect();
        for (id, module) in &set.modules {
            let stream = (id.layer * 7 + id.projection as usize) as u64;
            modules[id.layer][id.projection as usize] = Some(Attached::new(module, self.dtype(), dropout, stream)?);
        }
        Ok(Pass { modules })
    }

    fn rotary(&self, positions: impl Iterator<Item = usize>) -> Result<(Tensor, Tensor)> {
        let frequencies = self.config.inv_freq();
        let mut angles = Vec::new();
        let mut rows = 0;
        for position in positions {
            rows += 1;
            angles.extend(frequencies.iter().map(|f| position as f32 * f));
        }
        let shape = (rows, frequencies.len());
        let cos: Vec<f32> = angles.iter().map(|a| a.cos()).collect();
        let sin: Vec<f32> = angles.iter().map(|a| a.sin()).collect();
        let put = |values| Tensor::from_vec(values, shape, &self.device)?.to_dtype(self.dtype());
        Ok((put(cos)?, put(sin)?))
    }

    /// The embedded rows of packed `tokens`, sequences of `lengths` one after another.
    ///
    /// # Errors
    /// When a token is not in the vocabulary.
    pub fn embed(&self, tokens: &[u32], lengths: &[usize]) -> Result<(Tensor, Packed)> {
        if let Some(token) = tokens.iter().find(|&&t| t as usize >= self.config.vocab) {
            return Err(crate::Error::user(format!(
                "token {token} is outside the base's vocabulary of {}: the tokenizer belongs to another model",
                self.config.vocab
            )));
        }
        let x = self.embeddings.select(&Tensor::new(tokens, &self.device)?)?;
        let (cos, sin) = self.rotary(lengths.iter().flat_map(|&t| 0..t))?;
        let masks = if kernels::in_one_pass(&x) {
            Masks::default()
        } else {
            Masks::new(lengths, &self.layers.iter().map(|l| l.causal), self.heads(), self.dtype(), &self.device)?
        };
        Ok((x, Packed { lengths: lengths.to_vec(), cos, sin, masks }))
    }

    /// Query, key and value of the rows, after head norms and rotary embedding.
    fn qkv(&self, layer: &Layer, parts: [&Tensor; 3], cos: &Tensor, sin: &Tensor) -> candle_core::Result<[Tensor; 3]> {
        let heads = self.heads();
        let rows = parts[0].dim(0)?;
        let mut q = parts[0].reshape((rows, heads.query, heads.dim))?;
        let mut k = parts[1].reshape((rows, heads.key, heads.dim))?;
        if let (Some(q_norm), Some(k_norm)) = (&layer.query_norm, &layer.key_norm) {
            q = kernels::rms_norm(&q, q_norm, self.config.eps)?;
            k = kernels::rms_norm(&k, k_norm, self.config.eps)?;
        }
        let v = parts[2].reshape((rows, heads.key, heads.dim))?;
        Ok([kernels::rope(&q, cos, sin)?, kernels::rope(&k, cos, sin)?, v])
    }

    fn heads(&self) -> Heads {
        Heads { query: self.config.heads, key: self.config.kv_heads, dim: self.config.head_dim }
    }

    fn attention<'a>(&self, [q, k, v]: [&'a Tensor; 3], packed: &'a Packed, causal: Causal) -> attention::Packed<'a> {
        let Packed { lengths, masks, .. } = packed;
        attention::Packed { q, k, v, lengths, heads: self.heads(), causal, masks }
    }

    /// One layer over `x`; `attend` gets query, key and value and returns the attended rows.
    fn layer(
        &self,
        index: usize,
        x: &Tensor,
        (cos, sin): (&Tensor, &Tensor),
        pass: &Pass,
        attend: impl FnOnce(&Tensor, &Tensor, &Tensor, Causal) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<(Tensor, Trace)> {
        use Projection as P;
        let layer = &self.layers[index];
        let run = |p: P, x: &Tensor| layer.linears[p as usize].forward(x, pass.at(index, p));
        let h = kernels::rms_norm(x, &layer.input_norm, self.config.eps)?;
        let (q_raw, zq) = run(P::QProj, &h)?;
        let (k_raw, zk) = run(P::KProj, &h)?;
        let (v_raw, zv) = run(P::VProj, &h)?;
        let [q, k, v] = self.qkv(layer, [&q_raw, &k_raw, &v_raw], cos, sin)?;
        let attended = attend(&q, &k, &v, layer.causal)?;
        let (o, zo) = run(P::OProj, &attended)?;
        let mid = (x + o)?;
        let h2 = kernels::rms_norm(&mid, &layer.post_norm, self.config.eps)?;
        let (gate, zg) = run(P::GateProj, &h2)?;
        let (up, zu) = run(P::UpProj, &h2)?;
        let act = kernels::swiglu(&gate, &up)?;
        let (down, zd) = run(P::DownProj, &act)?;
        let y = (&mid + down)?;
        let normed = layer.query_norm.is_some();
        let trace = Trace {
            x: x.clone(),
            h,
            q_raw: normed.then_some(q_raw),
            k_raw: normed.then_some(k_raw),
            q,
            k,
            v,
            attended,
            mid,
            h2,
            gate,
            up,
            act,
            z: [zq, zk, zv, zo, zg, zu, zd],
        };
        Ok((y, trace))
    }

    fn packed_layer(
        &self,
        index: usize,
        x: &Tensor,
        packed: &Packed,
        pass: &Pass,
    ) -> candle_core::Result<(Tensor, Trace)> {
        within_threads(&self.device, || {
            self.layer(index, x, (&packed.cos, &packed.sin), pass, |q, k, v, causal| {
                self.attention([q, k, v], packed, causal).forward()
            })
        })
    }

    /// All layers and the final norm, keeping nothing. (T, hidden).
    ///
    /// # Errors
    /// When memory is short.
    pub fn forward(&self, x: &Tensor, packed: &Packed, pass: &Pass) -> Result<Tensor> {
        let x = self.forward_hidden(x, packed, pass)?;
        Ok(kernels::rms_norm(&x, &self.norm, self.config.eps)?)
    }

    /// All layers, keeping nothing; the rows **before** the final norm, as [`Self::loss`] takes them.
    ///
    /// # Errors
    /// When memory is short.
    pub fn forward_hidden(&self, x: &Tensor, packed: &Packed, pass: &Pass) -> Result<Tensor> {
        let whole = self.forward_while(x, packed, pass, &mut || Ok(true))?;
        whole.ok_or_else(|| crate::Error::fault("a pass ended half-way"))
    }

    /// The same, but `go_on` is asked before every layer; `None` when it said no.
    ///
    /// # Errors
    /// When memory is short, or `go_on` fails.
    pub fn forward_while(
        &self,
        x: &Tensor,
        packed: &Packed,
        pass: &Pass,
        go_on: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<Option<Tensor>> {
        self.forward_from(0, x, packed, pass, &mut |_| go_on())
    }

    /// The same from layer `first` on, whose input `x` is; `go_on` gets the input of every layer.
    ///
    /// # Errors
    /// When memory is short, or `go_on` fails.
    pub fn forward_from(
        &self,
        first: usize,
        x: &Tensor,
        packed: &Packed,
        pass: &Pass,
        go_on: &mut dyn FnMut(&Tensor) -> Result<bool>,
    ) -> Result<Option<Tensor>> {
        let mut x = x.clone();
        for index in first..self.layers.len() {
            if !go_on(&x)? {
                return Ok(None);
            }
            x = self.packed_layer(index, &x, packed, pass)?.0;
        }
        Ok(Some(x))
    }

    /// All layers, keeping what the way back needs: the top `whole` layers everything, those below their input. These are
    /// run forward again on the way back, when what those above them kept is gone: the same operations on the same
    /// numbers, with the same dropout. So `whole` decides on memory and time, and on no number.
    /// Returns the rows **before** the final norm.
    ///
    /// # Errors
    /// When memory is short.
    pub fn forward_traced(&self, x: &Tensor, packed: &Packed, pass: &Pass, whole: usize) -> Result<(Tensor, Tape)> {
        let mut x = x.clone();
        let mut kept = Vec::with_capacity(self.layers.len());
        let below = self.layers.len().saturating_sub(whole);
        for index in 0..self.layers.len() {
            let (y, trace) = self.packed_layer(index, &x, packed, pass)?;
            kept.push(if index < below { Kept::Input(x) } else { Kept::All(Box::new(trace)) });
            x = y;
        }
        Ok((x, Tape { kept }))
    }

    /// Loss of `targets` (row, token): Σ of nats over them, and with `scale` the gradient of
    /// `scale` · Σ for the rows before the final norm. Only the targets' rows reach the vocabulary.
    ///
    /// # Errors
    /// When memory is short.
    pub fn loss(&self, x: &Tensor, targets: &[(u32, u32)], scale: Option<f64>) -> Result<(f64, Option<Tensor>)> {
        let chunk = logits_at_once(self.config.vocab);
        let mut sum = 0.0;
        let mut gradient = scale.map(|_| x.zeros_like()).transpose()?;
        for part in targets.chunks(chunk) {
            let rows: Vec<u32> = part.iter().map(|t| t.0).collect();
            let tokens: Vec<u32> = part.iter().map(|t| t.1).collect();
            let rows = Tensor::new(rows, &self.device)?;
            let before = x.index_select(&rows, 0)?;
            let h = kernels::rms_norm(&before, &self.norm, self.config.eps)?;
            let (losses, d_logits) = kernels::cross_entropy(self.head.forward(&h)?, &tokens, scale)?;
            sum += losses.iter().map(|&l| f64::from(l)).sum::<f64>();
            if let (Some(all), Some(d_logits)) = (gradient.take(), d_logits) {
                let dh = self.head.backward(&d_logits)?;
                let dx = kernels::rms_norm_backward(&before, &self.norm, self.config.eps, &dh)?;
                gradient = Some(all.index_add(&rows, &dx, 0)?);
            }
        }
        Ok((sum, gradient))
    }

    /// The nats of every target, in their order, for the rows before the final norm.
    ///
    /// # Errors
    /// When memory is short.
    pub fn losses(&self, x: &Tensor, targets: &[(u32, u32)]) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(targets.len());
        for part in targets.chunks(logits_at_once(self.config.vocab)) {
            let rows: Vec<u32> = part.iter().map(|t| t.0).collect();
            let tokens: Vec<u32> = part.iter().map(|t| t.1).collect();
            let before = x.index_select(&Tensor::new(rows, &self.device)?, 0)?;
            let h = kernels::rms_norm(&before, &self.norm, self.config.eps)?;
            all.extend(kernels::cross_entropy(self.head.forward(&h)?, &tokens, None)?.0);
        }
        Ok(all)
    }

    /// Logits (T, vocabulary) of rows that [`Self::forward`] returned.
    ///
    /// # Errors
    /// When memory is short.
    pub fn logits(&self, x: &Tensor) -> Result<Tensor> {
        Ok(within_threads(&self.device, || self.head.forward(x))?)
    }
}
