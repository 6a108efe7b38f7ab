//! Memory: how much there is, and what it means when it runs out.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use lfs_stage::{Failure, Result};

/// Bytes that can be had without pushing others out, where the system says so: of the machine, and of the control groups
/// that this process is in.
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|l| l.strip_prefix("0::/")).unwrap_or_default();
    let left = left_in_groups(Path::new("/sys/fs/cgroup"), own);
    Some(left.map_or(kib * 1024, |left| left.min(kib * 1024)))
}

/// What the narrowest limit of a control group, or of one above it, leaves (version 2 of the file system).
fn left_in_groups(root: &Path, own: &str) -> Option<u64> {
    let number = |folder: &Path, file: &str| -> Option<u64> {
        std::fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
    };
    let left = |folder: &Path| {
        // `max` is no number: no limit.
        let (most, held) = (number(folder, "memory.max")?, number(folder, "memory.current")?);
        let details = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let line = details.lines().find_map(|l| l.strip_prefix("inactive_file "));
        let reclaimable: u64 = line.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        Some(most.saturating_sub(held.saturating_sub(reclaimable)))
    };
    let own = root.join(own);
    own.ancestors().take_while(|folder| folder.starts_with(root)).filter_map(left).min()
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
    fn the_narrowest_control_group_counts() {
        let dir = tempfile::tempdir().unwrap();
        let group = |name: &str, most: &str, held: u64, cache: u64| {
            let folder = dir.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("memory.max"), format!("{most}\n")).unwrap();
            std::fs::write(folder.join("memory.current"), format!("{held}\n")).unwrap();
            let stat = format!("anon 5\ninactive_file {cache}\nactive_file 3\n");
            std::fs::write(folder.join("memory.stat"), stat).unwrap();
        };
        assert_eq!(left_in_groups(dir.path(), "a/b"), None);
        group("a", "1000", 700, 100);
        group("a/b", "max", 600, 0);
        assert_eq!(left_in_groups(dir.path(), "a/b"), Some(400));
        group("a/b", "650", 600, 50);
        assert_eq!(left_in_groups(dir.path(), "a/b"), Some(100));
        group("a/b", "650", 700, 0);
        assert_eq!(left_in_groups(dir.path(), "a/b"), Some(0));
    }

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
