//! How much memory there is for a run.

use std::path::{Path, PathBuf};

/// The machine's memory, or less where a control group allows less, in bytes.
pub(super) fn of_machine() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let least = files(Path::new("/sys/fs/cgroup"), &groups).into_iter().filter_map(|file| limit(&file)).min();
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
    let all = line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)?;
    Some(least.map_or(all, |least| least.min(all)))
}

/// The files with the limits of this process's control groups, of either version, and of all groups above.
fn files(base: &Path, groups: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (base, name) = match controllers {
            "" => (base.to_owned(), "memory.max"),
            all if all.split(',').any(|c| c == "memory") => (base.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        let group = base.join(path.trim_start_matches('/'));
        // In a container the path may be one of the host, and its own group lie at the top.
        out.extend(group.ancestors().take_while(|a| a.starts_with(&base)).map(|a| a.join(name)));
    }
    out
}

/// The number in a file; `max`, and the huge number that the older version has for it, is none.
fn limit(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok().filter(|n| *n < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_a_group_and_of_those_above_counts() {
        let dir = tempfile::tempdir().unwrap();
        for (group, text) in
            [("a", "3000\n"), ("a/b", "max\n"), ("memory/x", "5000\n"), ("memory", "9223372036854771712\n")]
        {
            let folder = dir.path().join(group);
            std::fs::create_dir_all(&folder).unwrap();
            let name = if group.starts_with("memory") { "memory.limit_in_bytes" } else { "memory.max" };
            std::fs::write(folder.join(name), text).unwrap();
        }
        let least = |groups: &str| files(dir.path(), groups).iter().filter_map(|f| limit(f)).min();
        assert_eq!(least("0::/a/b\n"), Some(3000));
        assert_eq!(least("0::/\n"), None);
        assert_eq!(least("4:cpu:/y\n3:memory:/x\n"), Some(5000));
        assert_eq!(least("3:hugetlb,memory:/elsewhere/of/the/host\n"), None);
        assert_eq!(least("nonsense"), None);
        assert!(of_machine().unwrap() > 1 << 20);
    }
}
