//! CPU arithmetic: either the same bits on every machine, or the fastest kernels of this one.

use std::ffi::CStr;
use std::sync::OnceLock;

use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shim;

/// How float32 is computed on the CPU; it does not concern GPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arithmetic {
    /// The same bits on every x86-64 processor with AVX2 and FMA, for the same number of threads.
    #[default]
    Portable,
    /// The kernels that libraries choose for this processor. The last bits differ between processors.
    Fastest,
}

/// The environment variables that affect the choice of kernels, with the value that prevents a choice by
/// processor; `None` unsets a variable.
///
/// The variables that allow rounding of factors (`.._FPMATH_MODE`) are read before `main`, so that unsetting
/// them here has no effect. It does not matter: the kernels that would round need more than AVX2.
const VARIABLES: [(&CStr, Option<&CStr>); 9] = [
    (c"ATEN_CPU_CAPABILITY", Some(c"avx2")),
    (c"ONEDNN_MAX_CPU_ISA", Some(c"AVX2")),
    (c"DNNL_MAX_CPU_ISA", None),
    (c"ONEDNN_CPU_ISA_HINTS", Some(c"NO_HINTS")),
    (c"DNNL_CPU_ISA_HINTS", None),
    (c"ONEDNN_DEFAULT_FPMATH_MODE", None),
    (c"DNNL_DEFAULT_FPMATH_MODE", None),
    // Portable arithmetic does not use MKL. If it ever did, MKL would use its one kernel for all vendors.
    (c"MKL_CBWR", Some(c"COMPATIBLE")),
    (c"MKL_ENABLE_INSTRUCTIONS", None),
];

/// The names of [`VARIABLES`].
pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().filter_map(|(name, _)| name.to_str().ok())
}

/// The arithmetic of this process, fixed once set.
static SETTLED: OnceLock<Arithmetic> = OnceLock::new();

impl Arithmetic {
    /// Sets up this process. Libraries choose their kernels once, so a process keeps its arithmetic for life.
    ///
    /// # Errors
    /// When the process already uses the other arithmetic or other kernels, or the processor lacks AVX2 or
    /// FMA.
    pub(crate) fn settle(self) -> Result<()> {
        if self == Self::Portable && !is_possible() {
            return Err(Failure::new(LACKS).help(LACKS_HELP));
        }
        let settled = *SETTLED.get_or_init(|| {
            if self == Self::Portable {
                VARIABLES.iter().for_each(|(name, value)| shim::variable(name, *value));
            }
            self
        });
        let capability = shim::cpu_capability();
        if settled != self {
            return Err(Failure::new(format!(
                "this process computes with {} arithmetic for its life, and {} was asked for",
                settled.name(),
                self.name()
            )));
        }
        if self == Self::Portable && capability != "AVX2" {
            return Err(Failure::new(format!(
                "libtorch chose its kernels for {capability} before it could be restricted; portable arithmetic needs AVX2"
            )));
        }
        Ok(())
    }

    /// Portable where the processor supports it, else fastest; for work whose result is the same either way.
    pub fn whichever() -> Self {
        if is_possible() { Self::Portable } else { Self::Fastest }
    }

    /// The name in manifests.
    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Fastest => "fastest",
        }
    }

    /// The arithmetic of this process; portable if none was set.
    pub(crate) fn of_this_process() -> Self {
        SETTLED.get().copied().unwrap_or_default()
    }
}

/// Why portable arithmetic cannot be used on a processor, and what to do.
pub(crate) const LACKS: &str = "this processor has no AVX2 or no FMA, which arithmetic = \"portable\" needs";
pub(crate) const LACKS_HELP: &str =
    "set arithmetic = \"fastest\": results then have other last bits than those of other machines";

/// Whether the processor supports portable arithmetic.
pub(crate) fn is_possible() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
