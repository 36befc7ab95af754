//! Where the tensors live.

mod libraries;

use super::matrix::Hold;
use super::rounded;
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

impl Place {
    /// Bytes in use: on the card, by every process there; on the CPU, by this one. 0 where the system does not tell.
    pub fn memory(&self) -> u64 {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(card) = &self.device {
            let taken = card.cuda_stream().context().mem_get_info().map_or(0, |(free, total)| (total - free) as u64);
            return taken.saturating_sub(crate::card::spare_memory(card).unwrap_or(0));
        }
        resident_memory()
    }

    /// Bytes that are free on its card, with what this process keeps there for what comes next; `None` on the CPU, or where
    /// the driver does not tell.
    pub fn free_on_card(&self) -> Option<u64> {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(card) = &self.device {
            let (free, _) = card.cuda_stream().context().mem_get_info().ok()?;
            return Some(free as u64 + crate::card::spare_memory(card).unwrap_or(0));
        }
        None
    }

    /// The most bytes that this process ever had in use on its card; `None` on the CPU, or where the driver does not tell.
    pub fn most_memory(&self) -> Option<u64> {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(card) = &self.device {
            return crate::card::most_memory(card).ok();
        }
        None
    }
}

/// Resident memory of this process in bytes, 0 where the system does not tell.
pub fn resident_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().map_or(0, |kb| kb * 1024)
}

fn cpu(note: Option<String>) -> Place {
    let threads = rayon::current_num_threads();
    Place { device: Device::Cpu, label: format!("cpu, {threads} threads"), note }
}

/// Why a card cannot be used by this build on this machine, or nothing.
fn obstacle() -> Option<String> {
    if !cfg!(feature = "cuda") {
        return Some("this lopper was built without CUDA; `.ci/cuda-build` builds one with it".into());
    }
    libraries::check().map(|missing| missing.to_string())
}

/// What `f` returns; a panic in it, as cudarc's where a library cannot be loaded, as an error.
fn caught<T>(f: impl FnOnce() -> std::result::Result<T, String>) -> std::result::Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(text.unwrap_or("its library cannot be used").to_owned())
    })
}

fn first_line(text: &str) -> String {
    crate::text::printable(text.lines().next().unwrap_or_default()).into_owned()
}

/// The oldest card that kernels are compiled for, where the build says it: `80`, `90a`.
#[cfg(feature = "cuda")]
const OLDEST: Option<&str> = option_env!("CUDA_COMPUTE_CAP");

/// Why a card of this compute capability (major, minor) runs none of the kernels that are compiled for `oldest` cards, if so:
/// its driver would say that no sooner than at the first of them, candle's or lopper's.
#[cfg(any(feature = "cuda", test))]
fn too_old((major, minor): (i32, i32), oldest: Option<&str>) -> Option<String> {
    let oldest: i32 = oldest?.trim_end_matches(|c: char| c.is_ascii_lowercase()).parse().ok()?;
    (10 * major + minor < oldest).then(|| {
        let (major_built, minor_built) = (oldest / 10, oldest % 10);
        format!(
            "the card has compute capability {major}.{minor}, and this lopper's kernels are for \
             {major_built}.{minor_built} and later"
        )
    })
}

/// The card as a device, or why it cannot be one.
fn card(ordinal: usize) -> std::result::Result<Place, String> {
    if let Some(obstacle) = obstacle() {
        return Err(obstacle);
    }
    // Every thread has a queue of its own on this device: only one thread may use it.
    let device = caught(|| Device::new_cuda(ordinal).map_err(|e| e.to_string()))
        .map_err(|e| format!("the card cannot be used: {}", first_line(&e)))?;
    #[cfg(feature = "cuda")]
    if let Device::Cuda(card) = &device
        && let Ok(have) = card.cuda_stream().context().compute_capability()
        && let Some(why) = too_old(have, OLDEST)
    {
        return Err(why);
    }
    // Without it steps are slower, and that is all.
    #[cfg(feature = "cuda")]
    let note = match &device {
        Device::Cuda(card) => {
            let why =
                |e: candle_core::Error| format!("steps are slower: memory is not kept; {}", first_line(&e.to_string()));
            crate::card::keep_memory(card).err().map(why)
        }
        _ => None,
    };
    #[cfg(not(feature = "cuda"))]
    let note = None;
    Ok(Place { device, label: format!("cuda:{ordinal}"), note })
}

/// The device that a recipe's `device` names: `auto` takes the first card if there is one.
///
/// # Errors
/// When a card is asked for that cannot be used.
pub fn open(name: &str, ordinal: Option<usize>) -> Result<Place> {
    match (name, ordinal) {
        ("cpu", _) => Ok(cpu(None)),
        // Not worth a warning in every run: `lopper health` says it.
        ("auto", _) if !cfg!(feature = "cuda") => Ok(cpu(None)),
        ("auto", _) => Ok(card(0).unwrap_or_else(|why| cpu(Some(format!("training on the CPU: {why}"))))),
        (_, Some(ordinal)) => card(ordinal).map_err(|why| refused(ordinal, &why)),
        (other, None) => Err(Error::user(format!("device = {other:?}: use \"auto\", \"cpu\" or \"cuda:0\""))),
    }
}

/// Refuses a device that this build on this machine cannot have, without opening it.
///
/// # Errors
/// As [`open`], as far as can be told beforehand.
pub fn check(name: &str, ordinal: Option<usize>) -> Result<()> {
    match (ordinal, obstacle()) {
        (Some(ordinal), Some(why)) if name.starts_with("cuda") => Err(refused(ordinal, &why)),
        _ => Ok(()),
    }
}

/// Where a recipe's `device` leads here, without opening it: the number of a card, or the CPU.
pub fn leads_to(name: &str, ordinal: Option<usize>) -> Option<usize> {
    match (name, ordinal) {
        ("auto", _) if obstacle().is_none() && free_on_card(0).is_some() => Some(0),
        (_, ordinal) => ordinal,
    }
}

/// Free memory of a card in bytes; `None` where it cannot be asked.
#[cfg(feature = "cuda")]
pub fn free_on_card(ordinal: usize) -> Option<u64> {
    use candle_core::cuda_backend::cudarc::driver::CudaContext;
    if obstacle().is_some() {
        return None;
    }
    let context = caught(|| CudaContext::new(ordinal).map_err(|e| e.to_string())).ok()?;
    context.mem_get_info().ok().map(|(free, _)| free as u64)
}

/// Free memory of a card in bytes; `None` where it cannot be asked.
#[cfg(not(feature = "cuda"))]
pub fn free_on_card(_: usize) -> Option<u64> {
    None
}

/// Free memory of every card in bytes, by ordinal; empty where none can be asked.
pub fn free_on_cards() -> Vec<u64> {
    /// No machine has more.
    const MOST: usize = 16;
    (0..MOST).map_while(free_on_card).collect()
}

fn refused(ordinal: usize, why: &str) -> Error {
    Error::user(format!("device = \"cuda:{ordinal}\", but {why}; device = \"cpu\" works everywhere"))
}

/// What `lopper health` says: the build, and what it finds here.
pub fn cards() -> Vec<String> {
    let missing = libraries::check();
    if !cfg!(feature = "cuda") {
        return vec![match missing {
            Some(missing) if missing.driver() => "not built in; no NVIDIA driver on this machine either".into(),
            _ => "not built in, although this machine has an NVIDIA driver: `.ci/cuda-build` builds it in".into(),
        }];
    }
    if let Some(missing) = missing {
        return vec![format!("built in, but the CPU is used: {missing}")];
    }
    let mut lines = vec!["built in; the libraries are found".to_owned()];
    lines.extend(named().unwrap_or_else(|e| vec![format!("no card can be used: {}", first_line(&e))]));
    lines
}

/// The cards by name.
#[cfg(feature = "cuda")]
fn named() -> std::result::Result<Vec<String>, String> {
    use candle_core::cuda_backend::cudarc::driver::CudaContext;
    caught(|| {
        let count = CudaContext::device_count().map_err(|e| e.to_string())?;
        (0..count as usize)
            .map(|ordinal| {
                let context = CudaContext::new(ordinal).map_err(|e| e.to_string())?;
                let name = context.name().map_err(|e| e.to_string())?;
                let (free, total) = context.mem_get_info().map_err(|e| e.to_string())?;
                let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
                let memory = format!("{:.1} of {:.1} GiB free", gib(free), gib(total));
                let line = format!("cuda:{ordinal} {}, {memory}", first_line(&name));
                let old = context.compute_capability().ok().and_then(|have| too_old(have, OLDEST));
                Ok(old.map_or_else(|| line.clone(), |why| format!("{line}; not used: {why}")))
            })
            .collect()
    })
}

#[cfg(not(feature = "cuda"))]
#[allow(clippy::unnecessary_wraps, reason = "as with CUDA")]
fn named() -> std::result::Result<Vec<String>, String> {
    Ok(Vec::new())
}

/// The type of activations on `device`, and of frozen weights that are not held as [`hold`] says.
pub fn base_type(wanted: crate::recipe::BaseType, device: &Device) -> DType {
    use crate::recipe::BaseType;
    match wanted {
        BaseType::Auto | BaseType::Stored | BaseType::Bf16 if device.is_cuda() => DType::BF16,
        _ => DType::F32,
    }
}

/// How a base's matrices are held on the CPU or on a card.
pub fn hold(wanted: crate::recipe::BaseType, on_card: bool) -> Hold {
    use crate::recipe::BaseType;
    match wanted {
        BaseType::Stored => Hold::Stored,
        BaseType::Bf16 if !on_card => Hold::Halves,
        BaseType::Auto | BaseType::F32 | BaseType::Bf16 => Hold::Numbers,
    }
}

/// What a base held so is called; the rest of its numbers in f32, or in bf16 (`half`).
pub fn type_label(hold: Hold, half: bool) -> &'static str {
    match hold {
        Hold::Stored => "stored",
        // Another pace, and other numbers.
        Hold::Halves if rounded::unit() => "bf16 by AMX",
        Hold::Halves => "bf16",
        Hold::Numbers if half => "bf16",
        Hold::Numbers => "f32",
    }
}

/// Runs `f` within the threads that share the work of this machine's products, which it then hands to them without
/// waking one and being woken for each. On a card the calling thread does it: every thread has a queue of its own there.
pub fn within_threads<T: Send>(device: &Device, f: impl FnOnce() -> T + Send) -> T {
    if device.is_cpu() { rayon::scope(|_| f()) } else { f() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_cannot_be_used_is_refused_in_one_sentence_or_replaced_by_the_cpu() {
        if obstacle().is_none() {
            return;
        }
        let refusal = open("cuda:0", Some(0)).map(|p| p.label);
        assert!(matches!(&refusal, Err(Error::User(text)) if text.lines().count() == 1), "{refusal:?}");
        let auto = open("auto", None).map(|p| (p.device.is_cpu(), p.note.is_some()));
        assert_eq!(auto, Ok((true, cfg!(feature = "cuda"))));
        assert!(open("gpu", None).is_err());
        assert_eq!(check("cuda:0", Some(0)).map_err(|e| e.to_string()), refusal.map(|_| ()).map_err(|e| e.to_string()));
        assert_eq!(check("auto", None).map_err(|e| e.to_string()), Ok(()));
    }

    #[test]
    fn a_card_older_than_the_kernels_is_named_with_what_they_are_for() {
        let why = too_old((7, 5), Some("80")).unwrap();
        assert!(why.contains("capability 7.5") && why.contains("for 8.0 and later"), "{why}");
        for newer in [(8, 0), (8, 6), (9, 0), (12, 0)] {
            assert_eq!(too_old(newer, Some("80")), None);
        }
        assert!(too_old((8, 9), Some("90a")).is_some_and(|why| why.contains("for 9.0")));
        assert_eq!(too_old((9, 0), Some("90a")), None);
        // A build that took the card at hand does not say it.
        assert_eq!(too_old((7, 5), None), None);
        assert_eq!(too_old((7, 5), Some("native")), None);
    }

    #[test]
    fn a_panicking_library_is_an_error() {
        #[allow(clippy::panic)]
        let said = caught::<()>(|| panic!("Unable to load {}", "cublas"));
        assert_eq!(said, Err("Unable to load cublas".into()));
        assert_eq!(caught(|| Ok(1)), Ok(1));
    }
}
