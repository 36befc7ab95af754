//! Where the tensors live.

use crate::{Error, Result};
use candle_core::{DType, Device};

/// A device and what to call it.
#[derive(Debug, Clone)]
pub struct Place {
    /// The device.
    pub device: Device,
    /// `cpu, 2 threads` or `cuda:0`.
    pub label: String,
    /// Why it is not what `auto` would have liked best, if so.
    pub note: Option<String>,
}

/// Whether the NVIDIA driver's library can be found by the loader, without loading it.
pub fn has_driver() -> bool {
    let mut folders: Vec<std::path::PathBuf> =
        std::env::var_os("LD_LIBRARY_PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default();
    folders.extend(
        [
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib64",
            "/usr/lib",
            "/usr/local/nvidia/lib64",
            "/usr/lib/wsl/lib",
        ]
        .map(Into::into),
    );
    folders.iter().any(|f| f.join("libcuda.so.1").exists())
}

fn cpu(note: Option<String>) -> Place {
    let threads = rayon::current_num_threads();
    Place { device: Device::Cpu, label: format!("cpu, {threads} threads"), note }
}

fn cuda(ordinal: usize) -> Result<Place> {
    if !cfg!(feature = "cuda") {
        return Err(Error::user(format!(
            "device = \"cuda:{ordinal}\", but this lopper was built without CUDA; build it with `cargo build --release --features cuda` or use \"cpu\""
        )));
    }
    if !has_driver() {
        return Err(Error::user(format!(
            "device = \"cuda:{ordinal}\", but this machine has no NVIDIA driver (libcuda.so.1 was not found); use \"cpu\""
        )));
    }
    let device = Device::new_cuda(ordinal).map_err(|e| {
        Error::fault(format!("cuda:{ordinal} cannot be used: {}", e.to_string().lines().next().unwrap_or_default()))
    })?;
    Ok(Place { device, label: format!("cuda:{ordinal}"), note: None })
}

/// The device that a recipe's `device` names: `auto` takes the first card if there is one.
///
/// # Errors
/// When a card is asked for that cannot be used.
pub fn open(name: &str, ordinal: Option<usize>) -> Result<Place> {
    match (name, ordinal) {
        ("cpu", _) => Ok(cpu(None)),
        ("auto", _) if !cfg!(feature = "cuda") => Ok(cpu(None)),
        ("auto", _) if !has_driver() => Ok(cpu(Some("no NVIDIA driver on this machine: training on the CPU".into()))),
        ("auto", _) => Ok(cuda(0).unwrap_or_else(|e| cpu(Some(format!("{e}: training on the CPU"))))),
        (_, Some(ordinal)) => cuda(ordinal),
        (other, None) => Err(Error::user(format!("device = {other:?}: use \"auto\", \"cpu\" or \"cuda:0\""))),
    }
}

/// The type of frozen weights on `device`.
pub fn base_type(wanted: crate::recipe::BaseType, device: &Device) -> DType {
    use crate::recipe::BaseType;
    match wanted {
        BaseType::F32 => DType::F32,
        BaseType::Bf16 => DType::BF16,
        BaseType::Auto if device.is_cuda() => DType::BF16,
        BaseType::Auto => DType::F32,
    }
}
