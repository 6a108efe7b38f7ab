//! What the machine has to give: processors, GPUs, memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::plan::{CpuDemand, Resources};

/// What a run may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Processor slots (`-j`).
    pub cpu: u32,
    /// The GPUs, as `CUDA_VISIBLE_DEVICES` names them; one that several nodes may share stands here as often.
    pub gpus: Vec<String>,
    /// Bytes.
    pub memory: u64,
}

/// How much of the machine a run is to use; all where nothing is said.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Processor slots.
    pub jobs: Option<u32>,
    /// The number of GPUs.
    pub gpus: Option<u32>,
    /// How many nodes may share a GPU.
    pub share: Option<u32>,
    /// Bytes.
    pub memory: Option<u64>,
}

impl Limits {
    /// All of this machine, or what was asked for.
    pub fn of_machine(ask: &Ask) -> Self {
        let Ask { jobs, gpus, share, memory } = *ask;
        let cores = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        let driver = std::path::Path::new("/dev/nvidiactl").exists();
        let found = || match std::env::var("CUDA_VISIBLE_DEVICES") {
            Ok(list) => list.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
            Err(_) if !driver => vec![],
            Err(_) => (0..64)
                .filter(|n| std::path::Path::new(&format!("/dev/nvidia{n}")).exists())
                .map(|n| n.to_string())
                .collect(),
        };
        let mut all: Vec<String> = found();
        if let Some(wanted) = gpus {
            all.truncate(wanted as usize);
        }
        Self {
            cpu: jobs.unwrap_or(cores).max(1),
            gpus: vec![all; share.unwrap_or(1).max(1) as usize].concat(),
            memory: memory.or_else(machine_memory).unwrap_or(u64::MAX),
        }
    }

    /// How many processors a demand means here.
    pub fn cpus(&self, demand: CpuDemand) -> u32 {
        match demand {
            CpuDemand::Count(n) => n.min(self.cpu),
            CpuDemand::All => self.cpu,
        }
    }
}

fn machine_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What is free now.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    limits: Arc<Limits>,
    free: Arc<Mutex<Limits>>,
}

/// Taken resources; dropping gives them back.
#[derive(Debug)]
pub(super) struct Taken {
    slots: Slots,
    /// What was taken.
    pub what: Limits,
}

impl Slots {
    pub fn new(limits: Limits) -> Self {
        Self { free: Arc::new(Mutex::new(limits.clone())), limits: Arc::new(limits) }
    }

    /// How many GPUs there are, free or not.
    pub fn gpus(&self) -> usize {
        self.limits.gpus.iter().collect::<BTreeSet<_>>().len()
    }

    /// Takes what a node asks for, if it is free. A demand for more processors or memory than there are takes all of them; one for
    /// more GPUs is never met.
    pub fn take(&self, wanted: &Resources) -> Option<Taken> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let cpu = self.limits.cpus(wanted.cpu);
        let memory = wanted.memory.min(self.limits.memory);
        let gpus = least_shared(&self.limits.gpus, &free.gpus, wanted.gpu as usize);
        if free.cpu < cpu || free.memory < memory || gpus.len() < wanted.gpu as usize {
            return None;
        }
        free.cpu -= cpu;
        free.memory -= memory;
        for taken in &gpus {
            if let Some(at) = free.gpus.iter().position(|gpu| gpu == taken) {
                free.gpus.remove(at);
            }
        }
        Some(Taken { slots: self.clone(), what: Limits { cpu, gpus, memory } })
    }
}

/// So many different GPUs, or as many as there are: those that the fewest nodes have, in the order of the list of all.
fn least_shared(all: &[String], free: &[String], wanted: usize) -> Vec<String> {
    let mut left: Vec<(&String, usize)> = Vec::new();
    for gpu in all {
        let count = free.iter().filter(|f| *f == gpu).count();
        if count > 0 && left.iter().all(|(known, _)| *known != gpu) {
            left.push((gpu, count));
        }
    }
    let mut taken: Vec<usize> = (0..left.len()).collect();
    taken.sort_by_key(|i| std::cmp::Reverse(left[*i].1));
    taken.truncate(wanted);
    taken.sort_unstable();
    taken.into_iter().map(|i| left[i].0.clone()).collect()
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut free = self.slots.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.cpu += self.what.cpu;
        free.memory += self.what.memory;
        free.gpus.append(&mut self.what.gpus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(cpu: u32, gpu: u32) -> Resources {
        Resources { cpu: CpuDemand::Count(cpu), gpu, memory: 10 }
    }

    #[test]
    fn what_is_taken_comes_back() {
        let slots = Slots::new(Limits { cpu: 2, gpus: vec!["0".into()], memory: 25 });
        let a = slots.take(&wanted(1, 1)).unwrap();
        assert_eq!(a.what.gpus, ["0"]);
        assert!(slots.take(&wanted(1, 1)).is_none(), "the GPU is taken");
        let b = slots.take(&wanted(1, 0)).unwrap();
        assert!(slots.take(&wanted(0, 0)).is_none(), "the memory is taken");
        drop((a, b));
        assert!(slots.take(&wanted(9, 1)).is_some(), "a demand above the machine takes all of it");
    }

    #[test]
    fn a_shared_gpu_goes_to_as_many_nodes_and_never_twice_to_one() {
        let two = ["0", "1", "0", "1"].map(str::to_owned).to_vec();
        let slots = Slots::new(Limits { cpu: 9, gpus: two, memory: 1000 });
        assert_eq!(slots.gpus(), 2);
        let a = slots.take(&wanted(1, 1)).unwrap();
        let b = slots.take(&wanted(1, 1)).unwrap();
        assert_eq!(
            (&a.what.gpus[0], &b.what.gpus[0]),
            (&"0".to_owned(), &"1".to_owned()),
            "the free one first"
        );
        let c = slots.take(&wanted(1, 2)).unwrap();
        assert_eq!(c.what.gpus, ["0", "1"]);
        assert!(slots.take(&wanted(1, 1)).is_none());
        drop(a);
        assert!(slots.take(&wanted(1, 2)).is_none(), "two of one GPU are not two GPUs");
        assert_eq!(slots.take(&wanted(1, 1)).unwrap().what.gpus, ["0"]);
    }
}
