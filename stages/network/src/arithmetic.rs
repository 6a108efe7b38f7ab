//! How a processor computes: the same bits on every machine, or as fast as this one can.

use std::ffi::CStr;
use std::sync::OnceLock;

use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shim;

/// How float32 is computed on a processor. A GPU is not concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arithmetic {
    /// The same bits on every x86-64 processor with AVX2 and FMA, for the same number of threads.
    #[default]
    Portable,
    /// The kernels that libraries choose for this processor: other last bits on another one.
    Fastest,
}

/// Variables by which libraries choose kernels, and what keeps them from choosing by the processor: a value, or none.
///
/// The leave to round factors (`.._FPMATH_MODE`) is read before the program begins, and has no effect: kernels that would make use of it need
/// more than AVX2.
const VARIABLES: [(&CStr, Option<&CStr>); 9] = [
    (c"ATEN_CPU_CAPABILITY", Some(c"avx2")),
    (c"ONEDNN_MAX_CPU_ISA", Some(c"AVX2")),
    (c"DNNL_MAX_CPU_ISA", None),
    (c"ONEDNN_CPU_ISA_HINTS", Some(c"NO_HINTS")),
    (c"DNNL_CPU_ISA_HINTS", None),
    (c"ONEDNN_DEFAULT_FPMATH_MODE", None),
    (c"DNNL_DEFAULT_FPMATH_MODE", None),
    // Nothing of what has to be portable goes through MKL; should something, it takes its one kernel for all makers.
    (c"MKL_CBWR", Some(c"COMPATIBLE")),
    (c"MKL_ENABLE_INSTRUCTIONS", None),
];

/// The names of these.
pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().filter_map(|(name, _)| name.to_str().ok())
}

/// What was settled for the life of this process.
static SETTLED: OnceLock<Arithmetic> = OnceLock::new();

impl Arithmetic {
    /// Sets up this process. Libraries choose once: a process has one arithmetic for its life.
    ///
    /// # Errors
    /// When it computes in the other one already, or the processor lacks AVX2 or FMA.
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

    /// The default where the processor can compute so: for what is the same either way.
    pub fn whichever() -> Self {
        if is_possible() { Self::Portable } else { Self::Fastest }
    }

    /// Its name in a manifest.
    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Fastest => "fastest",
        }
    }

    /// What this process computes in.
    pub(crate) fn of_this_process() -> Self {
        SETTLED.get().copied().unwrap_or_default()
    }
}

/// Why portable arithmetic cannot be used on a processor, and what to do.
pub(crate) const LACKS: &str = "this processor has no AVX2 or no FMA, which arithmetic = \"portable\" needs";
pub(crate) const LACKS_HELP: &str =
    "set arithmetic = \"fastest\": results then have other last bits than those of other machines";

/// Whether the processor has what portable arithmetic needs.
pub(crate) fn is_possible() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
