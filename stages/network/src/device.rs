//! Devices and the set-up of their arithmetic.

use std::collections::BTreeMap;

use lfs_stage::{Choice, Failure, Gpus, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arithmetic::{self, Arithmetic};
use crate::{gpu, shim};

/// The parameter `device`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The first CUDA GPU.
    Cuda,
}

/// The numeric format of training. Weights, sums and losses are always float32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 24 bits of precision.
    #[default]
    Float32,
    /// 8 bits of precision in the factors of convolutions and matrix products, and in the feature maps
    /// between them.
    Bfloat16,
}

impl Precision {
    /// Runs `work` in this precision on a device.
    ///
    /// # Errors
    /// When libtorch cannot.
    pub fn during<T>(self, device: tch::Device, work: impl FnOnce() -> T) -> Result<T> {
        match self {
            Self::Float32 => Ok(work()),
            Self::Bfloat16 => shim::in_bfloat16(matches!(device, tch::Device::Cuda(_)), work),
        }
    }
}

/// Loads the GPU part of libtorch, if it is installed; without it everything runs on the CPU. Must be called
/// first in `main`, while the process has one thread and before any other call of libtorch.
pub fn load_gpu_library() {
    // cuBLAS is deterministic only with a workspace of fixed size. It reads this variable once.
    shim::default_variable(c"CUBLAS_WORKSPACE_CONFIG", c":4096:8");
    gpu::load();
}

impl Device {
    /// The device; `auto` becomes the GPU if there is one.
    ///
    /// # Errors
    /// When `cuda` was requested and there is no GPU.
    pub fn resolve(self) -> Result<tch::Device> {
        match self {
            Device::Cpu => Ok(tch::Device::Cpu),
            Device::Auto if has_gpu() => Ok(tch::Device::Cuda(0)),
            Device::Auto => Ok(tch::Device::Cpu),
            Device::Cuda if has_gpu() => Ok(tch::Device::Cuda(0)),
            Device::Cuda => Err(Failure::new(NO_GPU).help(GPU_HELP)),
        }
    }
}

const NO_GPU: &str = "device = \"cuda\" was asked for, but libtorch finds no CUDA GPU here";
const GPU_HELP: &str = "use device = \"cpu\" or \"auto\", or install a CUDA build of libtorch and start with \
                        LD_LIBRARY_PATH set to its lib folder";

fn has_gpu() -> bool {
    tch::Cuda::is_available()
}

/// Prepares this thread and this process for computing, and returns the device. Must be called before any
/// other use of libtorch, which then chooses its kernels.
///
/// # Errors
/// When the device is missing, or the processor does not support the arithmetic.
pub fn prepare(device: Device, threads: u32, arithmetic: Arithmetic) -> Result<tch::Device> {
    let device = device.resolve()?;
    if device == tch::Device::Cpu {
        arithmetic.settle()?;
        shim::keep_memory();
    }
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(1));
    shim::deterministic(true)?;
    gpu::own_stream(device)?;
    Ok(device)
}

/// Allows a GPU faster kernels whose last bits vary from call to call, and TF32, which rounds the factors of
/// products to 11 bits.
///
/// # Errors
/// When libtorch fails.
pub fn let_vary(device: tch::Device) -> Result<()> {
    match device {
        tch::Device::Cuda(_) => shim::deterministic(false),
        _ => Ok(()),
    }
}

/// The devices of `count` replicas of a network: all on the CPU, or each on its own GPU.
///
/// # Errors
/// When there are fewer GPUs, or the library that adds over GPUs is missing.
pub fn replicas(first: tch::Device, count: u32) -> Result<Vec<tch::Device>> {
    if count <= 1 || first == tch::Device::Cpu {
        return Ok(vec![first; count.max(1) as usize]);
    }
    let there = tch::Cuda::device_count();
    if i64::from(count) > there {
        return Err(Failure::new(format!("{count} replicas want as many GPUs, and there are {there}")).help(format!(
            "set `replicas` to {there} at most; under `lfs-pipe run` a node has the GPUs that `resources.gpu` gives it"
        )));
    }
    if let Some(why) = gpu::missing() {
        return Err(Failure::new(why));
    }
    let all: Vec<tch::Device> = (0..count as usize).map(tch::Device::Cuda).collect();
    all.iter().try_for_each(|device| gpu::own_stream(*device))?;
    Ok(all)
}

/// The facts that every result computed with libtorch depends on.
pub fn facts() -> BTreeMap<String, String> {
    BTreeMap::from([("libtorch".to_owned(), shim::version())])
}

/// The values of a parameter `device` on this machine.
pub fn choices() -> BTreeMap<String, Choice> {
    let gpu = has_gpu();
    let names = gpu::names().map(|names| ("gpu".to_owned(), names));
    let cuda = Choice {
        facts: names.into_iter().collect(),
        gpus: Some(Gpus::One),
        unavailable: (!gpu).then(|| format!("{NO_GPU}; {GPU_HELP}")),
        ..lfs_stage::choice(&["network/shim/gpu.cpp"])
    };
    let becomes = Some(if gpu { "cuda" } else { "cpu" }.to_owned());
    let auto = Choice { becomes, ..Choice::default() };
    BTreeMap::from([
        ("auto".to_owned(), auto),
        ("cpu".to_owned(), Choice::default()),
        ("cuda".to_owned(), cuda),
    ])
}

/// The values of a parameter `arithmetic` on this machine.
pub fn arithmetics() -> BTreeMap<String, Choice> {
    let lacks =
        (!arithmetic::is_possible()).then(|| format!("{}; {}", arithmetic::LACKS, arithmetic::LACKS_HELP));
    let portable = Choice { unavailable: lacks, ..on_processors("portable", BTreeMap::new()) };
    BTreeMap::from([("portable".to_owned(), portable), ("fastest".to_owned(), fastest())])
}

/// The values of a parameter `precision` on this machine.
pub fn precisions() -> BTreeMap<String, Choice> {
    BTreeMap::from([("float32".to_owned(), Choice::default()), ("bfloat16".to_owned(), fastest())])
}

/// The kernels that libraries choose for this processor. Everything that affects the choice is a fact.
fn fastest() -> Choice {
    let mut facts =
        BTreeMap::from([("cpu-capability".to_owned(), shim::cpu_capability()), ("cpu".to_owned(), cpu())]);
    for name in arithmetic::variables() {
        if let Ok(value) = std::env::var(name) {
            facts.insert(format!("variable {name}"), value);
        }
    }
    on_processors("fastest", facts)
}

/// A choice that applies to the CPU only and is fixed for the life of a process.
fn on_processors(process: &str, facts: BTreeMap<String, String>) -> Choice {
    let when = BTreeMap::from([("device".to_owned(), vec!["cpu".to_owned()])]);
    Choice { facts, when, process: Some(process.to_owned()), ..Choice::default() }
}

/// Vendor, family, model, stepping, caches and flags of the processor: libraries choose kernels by all of
/// them.
fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |name: &str| {
        let line = info.lines().find(|l| l.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|l| l.split_once(':')).map_or("", |(_, value)| value.trim())
    };
    let mut caches = String::new();
    for index in 0..8 {
        let folder = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
        let read = |file: &str| std::fs::read_to_string(format!("{folder}/{file}")).unwrap_or_default();
        caches += &format!(" {}", read("size").trim());
    }
    let words = ["vendor_id", "cpu family", "model", "stepping"].map(of).join(" ");
    format!("{words}; caches{}; {}", caches.trim_end(), of("flags"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_becomes_what_the_machine_has_and_cuda_is_refused_without_a_gpu() {
        let choices = choices();
        let auto = choices["auto"].becomes.clone().unwrap();
        assert!(choices[&auto].unavailable.is_none());
        assert!(choices["cpu"].facts.is_empty());
        if auto == "cpu" {
            let failure = Device::Cuda.resolve().unwrap_err();
            assert!(failure.message.contains("no CUDA GPU"), "{failure}");
            assert!(choices["cuda"].unavailable.is_some());
        }
    }

    #[test]
    fn what_is_portable_holds_nothing_of_the_processor_and_what_is_fastest_everything() {
        let arithmetics = arithmetics();
        assert!(arithmetics["portable"].facts.is_empty());
        for choice in [&arithmetics["fastest"], &precisions()["bfloat16"]] {
            assert!(
                choice.facts["cpu"].len() > 30 && !choice.facts["cpu-capability"].is_empty(),
                "{choice:?}"
            );
            assert_eq!(choice.when["device"], ["cpu"]);
        }
        assert_eq!(precisions()["float32"], Choice::default());
    }

    #[test]
    fn the_version_is_the_one_that_the_bindings_are_made_for() {
        assert!(facts()["libtorch"].starts_with("2.11."), "{:?}", facts());
    }
}
