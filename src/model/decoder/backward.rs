//! The way back through the layers to the adapters, and the norms of their inputs.

use super::{Decoder, Kept, Packed, Pass, Tape, Trace};
use crate::Result;
use crate::lora::{Gradients, SquareSums};
use crate::model::kernels;
use crate::module::{ModuleId, Projection};
use candle_core::Tensor;

impl Decoder {
    /// The way back from `dy`, the gradient of the last layer's output: adds the adapters' gradients to
    /// `gradients` and, if asked, the squared column sums of every matrix's input to `squares`.
    ///
    /// # Errors
    /// When memory is short.
    pub fn backward(
        &self,
        dy: Tensor,
        tape: Tape,
        packed: &Packed,
        pass: &Pass,
        gradients: &mut Gradients,
        mut squares: Option<&mut SquareSums>,
    ) -> Result<()> {
        let lowest = pass.modules.iter().position(|m| m.iter().any(Option::is_some)).unwrap_or(self.layers.len());
        let mut dy = dy;
        for (index, kept) in tape.kept.into_iter().enumerate().rev() {
            if index < lowest {
                break;
            }
            let trace = match kept {
                Kept::All(trace) => *trace,
                Kept::Input(x) => self.packed_layer(index, &x, packed, pass)?.1,
            };
            if let Some(squares) = squares.as_deref_mut() {
                self.add_squares(index, &trace, pass, squares)?;
            }
            match self.layer_backward(index, &dy, &trace, packed, pass, gradients, index > lowest)? {
                Some(dx) => dy = dx,
                None => break,
            }
        }
        Ok(())
    }

    /// Adds the squared column sums of every matrix's input over these rows, without a way back.
    ///
    /// # Errors
    /// When memory is short.
    pub fn measure(&self, x: &Tensor, packed: &Packed, pass: &Pass, squares: &mut SquareSums) -> Result<()> {
        let mut x = x.clone();
        for index in 0..self.layers.len() {
            let (y, trace) = self.packed_layer(index, &x, packed, pass)?;
            self.add_squares(index, &trace, pass, squares)?;
            x = y;
        }
        Ok(())
    }

    #[allow(clippy::unused_self, reason = "the pass belongs to this decoder")]
    fn add_squares(&self, index: usize, trace: &Trace, pass: &Pass, squares: &mut SquareSums) -> Result<()> {
        let adapted = |p: Projection| Some((p, pass.at(index, p)?, trace.z[p as usize].as_ref()?));
        let adapted: Vec<_> = Projection::ALL.into_iter().filter_map(adapted).collect();
        let zs: Vec<&Tensor> = adapted.iter().map(|(_, _, z)| *z).collect();
        let of_z = kernels::column_squares_of(&zs)?;
        // q, k and v share their input, as do gate and up.
        let mut shared: Option<(candle_core::TensorId, Tensor)> = None;
        for ((projection, adapters, _), z) in adapted.into_iter().zip(&of_z) {
            let input = adapters.input(trace.input(projection))?;
            let x = match &shared {
                Some((id, x)) if *id == input.id() => x.clone(),
                _ => kernels::column_squares(&input)?,
            };
            shared = Some((input.id(), x.clone()));
            squares.add(ModuleId::new(index, projection), &x, z)?;
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn layer_backward(
        &self,
        index: usize,
        dy: &Tensor,
        trace: &Trace,
        packed: &Packed,
        pass: &Pass,
        gradients: &mut Gradients,
        wants_dx: bool,
    ) -> Result<Option<Tensor>> {
        use Projection as P;
        let layer = &self.layers[index];
        let eps = self.config.eps;
        let mut back = |p: P, dy: &Tensor, wants_dx: bool| -> Result<Option<Tensor>> {
            let adapters = pass.at(index, p).zip(trace.z[p as usize].as_ref());
            let (dx, gradient) = layer.linears[p as usize].backward(dy, trace.input(p), adapters, wants_dx)?;
            if let Some(gradient) = gradient {
                gradients.add(ModuleId::new(index, p), gradient.a, gradient.b)?;
            }
            Ok(dx)
        };
        let missing = || crate::Error::fault("a backward pass without a gradient");
        let d_act = back(P::DownProj, dy, true)?.ok_or_else(missing)?;
        let (d_gate, d_up) = kernels::swiglu_backward(&trace.gate, &trace.up, &d_act)?;
        let dh2 = (back(P::GateProj, &d_gate, true)?.ok_or_else(missing)?
            + back(P::UpProj, &d_up, true)?.ok_or_else(missing)?)?;
        let d_mid = (dy + kernels::rms_norm_backward(&trace.mid, &layer.post_norm, eps, &dh2)?)?;
        let d_attended = back(P::OProj, &d_mid, true)?.ok_or_else(missing)?;
        let attention = self.attention([&trace.q, &trace.k, &trace.v], packed, layer.causal);
        let [dq, dk, dv] = attention.backward(&d_attended)?;
        let opposite = packed.sin.neg()?;
        let mut dq = kernels::rope(&dq, &packed.cos, &opposite)?;
        let mut dk = kernels::rope(&dk, &packed.cos, &opposite)?;
        if let (Some(q_norm), Some(k_norm), Some(q), Some(k)) =
            (&layer.query_norm, &layer.key_norm, &trace.q_raw, &trace.k_raw)
        {
            dq = kernels::rms_norm_backward(&q.reshape(dq.shape())?, q_norm, eps, &dq)?;
            dk = kernels::rms_norm_backward(&k.reshape(dk.shape())?, k_norm, eps, &dk)?;
        }
        let q = back(P::QProj, &dq.flatten_from(1)?, wants_dx)?;
        let k = back(P::KProj, &dk.flatten_from(1)?, wants_dx)?;
        let v = back(P::VProj, &dv.flatten_from(1)?, wants_dx)?;
        let (Some(q), Some(k), Some(v)) = (q, k, v) else { return Ok(None) };
        let dh = ((q + k)? + v)?;
        Ok(Some((d_mid + kernels::rms_norm_backward(&trace.x, &layer.input_norm, eps, &dh)?)?))
    }
}
