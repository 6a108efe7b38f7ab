//! Memory: how much there is, and what it means when it runs out.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use lfs_stage::{Failure, Result};

/// Bytes that can be had without pushing others out, where the system says so.
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

/// Does something with libtorch. The bindings panic when it refuses; that memory ran out is no defect of the program, and
/// is told with what to lower.
///
/// # Errors
/// What `work` gives, or that memory ran out.
pub fn within_memory<T>(doing: &str, lower: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let ran_out = |text: &str| {
        let text = text.to_lowercase();
        ["out of memory", "can't allocate memory", "cublas_status_alloc_failed"]
            .iter()
            .any(|t| text.contains(t))
    };
    let failure = || {
        Failure::new(format!("memory ran out while {doing}"))
            .help(format!("lower {lower}; what was finished is kept"))
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Err(e)) if ran_out(&e.message) => Err(failure()),
        Ok(done) => done,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            match text.or_else(|| panic.downcast_ref::<&str>().copied()) {
                Some(text) if ran_out(text) => Err(failure()),
                _ => resume_unwind(panic),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libtorch_cannot_allocate_is_told_and_other_panics_go_on() {
        // A real refusal: no machine has this much.
        let work = || {
            let _ = tch::Tensor::zeros([1 << 50], (tch::Kind::Float, tch::Device::Cpu));
            Ok(())
        };
        let failure = within_memory("training", "`batch`", work).unwrap_err();
        assert_eq!(failure.message, "memory ran out while training");
        assert!(failure.help.unwrap().contains("lower `batch`"));
        let gpu = || {
            Err::<(), _>(Failure::new("libtorch failed while x: CUDA out of memory. Tried to allocate 2 GiB"))
        };
        assert!(within_memory("training", "`batch`", gpu).unwrap_err().message.contains("memory ran out"));
        let other = catch_unwind(|| {
            within_memory("a", "b", || -> Result<()> { resume_unwind(Box::new("something else")) })
        });
        assert_eq!(*other.unwrap_err().downcast_ref::<&str>().unwrap(), "something else");
    }
}
