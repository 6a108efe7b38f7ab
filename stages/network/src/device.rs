//! Where tensors live and how the arithmetic there is set up. The only file that names CUDA.

use std::collections::BTreeMap;

use lfs_stage::{Choice, Failure, Gpus, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{gpu, shim};

/// What a person can ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// A GPU where there is one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The first CUDA GPU.
    Cuda,
}

/// In which numbers a network is trained. Weights, sums and losses are float32 in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 24 bits of precision.
    #[default]
    Float32,
    /// 8 bits of precision in the factors of convolutions and products, and in the maps between them.
    Bfloat16,
}

impl Precision {
    /// Does something in this precision on a device.
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

/// Loads the GPU part of libtorch, where it is installed. Must be the first thing in `main`, while the process
/// has one thread and before any other call of libtorch; without the library everything runs on the processor.
pub fn load_gpu_library() {
    // cuBLAS is deterministic only with a workspace of fixed size, and reads this once.
    shim::default_variable(c"CUBLAS_WORKSPACE_CONFIG", c":4096:8");
    gpu::load();
}

impl Device {
    /// `auto` replaced by what this machine has.
    ///
    /// # Errors
    /// When a GPU was asked for and there is none.
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

/// Makes this thread and this process ready to compute: the number of threads first, since it changes bits.
/// Returns the device.
///
/// # Errors
/// When the device is not there.
pub fn prepare(device: Device, threads: u32) -> Result<tch::Device> {
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(1));
    let device = device.resolve()?;
    shim::deterministic(true)?;
    gpu::own_stream(device)?;
    Ok(device)
}

/// Lets a GPU choose quicker kernels whose last bits vary from call to call, and round the factors of products to 11 bits.
///
/// # Errors
/// When libtorch fails.
pub fn let_vary(device: tch::Device) -> Result<()> {
    match device {
        tch::Device::Cuda(_) => shim::deterministic(false),
        _ => Ok(()),
    }
}

/// A device for each of so many replicas of a network: all on the processor, or each on a GPU of its own.
///
/// # Errors
/// When there are fewer GPUs, or no way to add over them.
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

/// Facts that every result computed with libtorch depends on.
pub fn facts() -> BTreeMap<String, String> {
    BTreeMap::from([("libtorch".to_owned(), shim::version())])
}

/// What the values of a parameter `device` stand for on this machine.
pub fn choices() -> BTreeMap<String, Choice> {
    let gpu = has_gpu();
    let mut capability = format!("{} {}", shim::cpu_capability(), cpu_vendor());
    // These choose other kernels.
    for name in ["ONEDNN_MAX_CPU_ISA", "MKL_CBWR"] {
        if let Ok(value) = std::env::var(name) {
            capability += &format!(" {name}={value}");
        }
    }
    let cpu =
        Choice { facts: BTreeMap::from([("cpu-capability".to_owned(), capability)]), ..Choice::default() };
    let names = gpu::names().map(|names| ("gpu".to_owned(), names));
    let cuda = Choice {
        facts: names.into_iter().collect(),
        gpus: Some(Gpus::One),
        unavailable: (!gpu).then(|| format!("{NO_GPU}; {GPU_HELP}")),
        ..lfs_stage::choice(&["network/shim/gpu.cpp"])
    };
    let becomes = Some(if gpu { "cuda" } else { "cpu" }.to_owned());
    let auto = Choice { becomes, ..Choice::default() };
    BTreeMap::from([("auto".to_owned(), auto), ("cpu".to_owned(), cpu), ("cuda".to_owned(), cuda)])
}

/// What the values of a parameter `precision` stand for on this machine. Kernels for bfloat16 are chosen by finer abilities of
/// the processor than those for float32.
pub fn precisions() -> BTreeMap<String, Choice> {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find_map(|l| l.strip_prefix("flags")).unwrap_or_default();
    let counts =
        |flag: &&str| ["bf16", "fp16", "vnni", "ne_convert", "amx"].iter().any(|part| flag.contains(part));
    let mut abilities: Vec<&str> = flags.split_whitespace().filter(counts).collect();
    abilities.sort_unstable();
    let facts = BTreeMap::from([("cpu-bfloat16".to_owned(), abilities.join(" "))]);
    let rounded = Choice { facts, ..Choice::default() };
    BTreeMap::from([("float32".to_owned(), Choice::default()), ("bfloat16".to_owned(), rounded)])
}

/// Math libraries choose kernels by the maker of the processor too.
fn cpu_vendor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|l| l.strip_prefix("vendor_id"));
    line.map_or("unknown", |l| l.trim_start_matches([' ', '\t', ':'])).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_becomes_what_the_machine_has_and_cuda_is_refused_without_a_gpu() {
        let choices = choices();
        let auto = choices["auto"].becomes.clone().unwrap();
        assert!(choices[&auto].unavailable.is_none());
        assert!(!choices["cpu"].facts["cpu-capability"].is_empty());
        if auto == "cpu" {
            let failure = Device::Cuda.resolve().unwrap_err();
            assert!(failure.message.contains("no CUDA GPU"), "{failure}");
            assert!(choices["cuda"].unavailable.is_some());
        }
    }

    #[test]
    fn the_version_is_the_one_that_the_bindings_are_made_for() {
        assert!(facts()["libtorch"].starts_with("2.11."), "{:?}", facts());
    }
}
