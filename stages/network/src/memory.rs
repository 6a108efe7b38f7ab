//! Available memory, and errors when it runs out.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use lfs_stage::{Failure, Result};

/// The available memory in bytes, if the system reports it: the minimum over the machine and the control
/// groups of this process.
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = left_in_groups(Path::new("/sys/fs/cgroup"), &groups);
    Some(left.map_or(kib * 1024, |left| left.min(kib * 1024)))
}

/// The files of a control group.
struct Files {
    /// The limits. (Above `high` a process is slowed down almost to a halt.)
    limits: &'static [&'static str],
    /// The memory in use.
    usage: &'static str,
    /// The fields of `memory.stat` with the part of it that can be reclaimed.
    reclaimable: &'static [&'static str],
}
const SECOND: Files = Files {
    limits: &["memory.max", "memory.high"],
    usage: "memory.current",
    reclaimable: &["inactive_file ", "active_file ", "slab_reclaimable "],
};
const FIRST: Files = Files {
    limits: &["memory.limit_in_bytes"],
    usage: "memory.usage_in_bytes",
    reclaimable: &["total_inactive_file ", "total_active_file "],
};

/// The memory that the tightest limit leaves, over the control groups in a list (`/proc/self/cgroup`) and
/// their ancestors, for both versions of the file system.
fn left_in_groups(root: &Path, list: &str) -> Option<u64> {
    let groups = list.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, own) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        match controllers {
            "" => Some((root.to_owned(), own, SECOND)),
            all if all.split(',').any(|c| c == "memory") => Some((root.join("memory"), own, FIRST)),
            _ => None,
        }
    });
    groups.filter_map(|(root, own, files)| left_in(&root, own, files)).min()
}

fn left_in(root: &Path, own: &str, files: Files) -> Option<u64> {
    let number = |folder: &Path, file: &str| -> Option<u64> {
        std::fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
    };
    let left = |folder: &Path| {
        // `max`, which does not parse, is no limit.
        let most = files.limits.iter().filter_map(|file| number(folder, file)).min()?;
        let held = number(folder, files.usage)?;
        let details = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let of = |name: &&str| details.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<u64>().ok());
        let reclaimable: u64 = files.reclaimable.iter().filter_map(of).sum();
        Some(most.saturating_sub(held.saturating_sub(reclaimable)))
    };
    let own = root.join(own);
    own.ancestors().take_while(|folder| folder.starts_with(root)).filter_map(left).min()
}

/// Runs `work`, and reports running out of memory as an error with what to lower. The bindings panic on
/// errors of libtorch, but running out of memory is not a bug of the program.
///
/// # Errors
/// The error of `work`, or that memory ran out.
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
            let stat = format!("anon 5\ninactive_file {}\nactive_file {}\n", cache / 2, cache - cache / 2);
            std::fs::write(folder.join("memory.stat"), stat).unwrap();
        };
        let left = |list: &str| left_in_groups(dir.path(), list);
        let own = "5:freezer:/\n0::/a/b\n";
        assert_eq!((left(own), left("")), (None, None));
        group("a", "1000", 700, 100);
        group("a/b", "max", 600, 0);
        assert_eq!(left(own), Some(400));
        group("a/b", "650", 600, 50);
        assert_eq!(left(own), Some(100));
        group("a/b", "650", 700, 0);
        assert_eq!(left(own), Some(0));
        std::fs::write(dir.path().join("a/b/memory.high"), "710\n").unwrap();
        std::fs::write(dir.path().join("a/b/memory.max"), "900\n").unwrap();
        assert_eq!(left(own), Some(10));
        // Control groups v1, in their own folder.
        let folder = dir.path().join("memory/c");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("memory.limit_in_bytes"), "900\n").unwrap();
        std::fs::write(folder.join("memory.usage_in_bytes"), "500\n").unwrap();
        std::fs::write(
            folder.join("memory.stat"),
            "inactive_file 7\ntotal_inactive_file 30\ntotal_active_file 20\n",
        )
        .unwrap();
        assert_eq!(left("4:cpu,memory:/c\n0::/\n"), Some(450));
    }

    #[test]
    fn what_libtorch_cannot_allocate_is_told_and_other_panics_go_on() {
        // A real failure: no machine has this much memory.
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
