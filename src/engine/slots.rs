//! What the machine has to give: processors, GPUs, memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::plan::{CpuDemand, Resources};

/// What a run may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Processor slots (`-j`).
    pub cpu: u32,
    /// The GPUs, as `CUDA_VISIBLE_DEVICES` names them; one that several nodes may share is listed as often.
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
            memory: memory.or_else(super::memory::of_machine).unwrap_or(u64::MAX),
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

/// What is free now.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    limits: Arc<Limits>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    free: Limits,
    /// The node that waits for slots and is the first in the order.
    first: Option<usize>,
    /// What was taken beside it since it waits.
    beside: Sum,
    /// Counts the nodes that waited so.
    waits: u64,
}

/// An amount of everything.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    cpu: u64,
    gpus: u64,
    memory: u128,
}

/// Taken resources; dropping gives them back.
#[derive(Debug)]
pub(super) struct Taken {
    slots: Slots,
    /// What was taken.
    pub what: Limits,
    /// Beside which of the nodes that waited.
    beside: Option<u64>,
}

impl Slots {
    pub fn new(limits: Limits) -> Self {
        let state = State { free: limits.clone(), first: None, beside: Sum::default(), waits: 0 };
        Self { state: Arc::new(Mutex::new(state)), limits: Arc::new(limits) }
    }

    /// How many processors there are, free or not.
    pub fn processors(&self) -> usize {
        self.limits.cpu as usize
    }

    /// How many GPUs there are, free or not.
    pub fn gpus(&self) -> usize {
        self.limits.gpus.iter().collect::<BTreeSet<_>>().len()
    }

    /// Takes what a node asks for, if it is free. A demand for more processors or memory than there are takes all of them; one for
    /// more GPUs is never met.
    pub fn take(&self, wanted: &Resources) -> Option<Taken> {
        self.take_from(&mut self.state(), wanted, None)
    }

    /// Says which node is the first in the order that waits for slots.
    pub fn wait_for(&self, node: usize) {
        let mut state = self.state();
        if state.first != Some(node) {
            state.first = Some(node);
            state.waits += 1;
            state.beside = Sum::default();
        }
    }

    /// Takes what a node asks for, if it is free and the first node that waits has no less of the machine for it: what is taken
    /// beside that node and what it needs fit together, so that it waits for nothing that was started after it began to wait.
    pub fn take_beside(&self, wanted: &Resources, first: &Resources) -> Option<Taken> {
        let mut state = self.state();
        let (all, first, more) = (self.limits.sum(), self.sum(first), self.sum(wanted));
        let fits = state.beside.cpu + first.cpu + more.cpu <= all.cpu
            && state.beside.gpus + first.gpus + more.gpus <= all.gpus
            && state.beside.memory + first.memory + more.memory <= all.memory;
        if !fits {
            return None;
        }
        let waits = state.waits;
        let taken = self.take_from(&mut state, wanted, Some(waits))?;
        state.beside = state.beside.plus(&taken.what.sum());
        Some(taken)
    }

    fn take_from(&self, state: &mut State, wanted: &Resources, beside: Option<u64>) -> Option<Taken> {
        let free = &mut state.free;
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
        Some(Taken { slots: self.clone(), what: Limits { cpu, gpus, memory }, beside })
    }

    /// What a node takes of this machine.
    fn sum(&self, wanted: &Resources) -> Sum {
        Sum {
            cpu: self.limits.cpus(wanted.cpu).into(),
            gpus: wanted.gpu.into(),
            memory: wanted.memory.min(self.limits.memory).into(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Limits {
    fn sum(&self) -> Sum {
        Sum { cpu: self.cpu.into(), gpus: self.gpus.len() as u64, memory: self.memory.into() }
    }
}

impl Sum {
    fn plus(&self, other: &Self) -> Self {
        Self { cpu: self.cpu + other.cpu, gpus: self.gpus + other.gpus, memory: self.memory + other.memory }
    }

    fn minus(&self, other: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            gpus: self.gpus.saturating_sub(other.gpus),
            memory: self.memory.saturating_sub(other.memory),
        }
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
        let mut state = self.slots.state();
        if self.beside == Some(state.waits) {
            state.beside = state.beside.minus(&self.what.sum());
        }
        state.free.cpu += self.what.cpu;
        state.free.memory += self.what.memory;
        state.free.gpus.append(&mut self.what.gpus);
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

    #[test]
    fn who_waits_for_one_thing_holds_up_nobody_who_wants_another_and_is_not_starved() {
        let limits = Limits { cpu: 4, gpus: vec!["0".into()], memory: 1000 };
        let slots = Slots::new(limits);
        let running = slots.take(&wanted(1, 1)).unwrap();
        slots.wait_for(7);
        let beside: Vec<_> = std::iter::from_fn(|| slots.take_beside(&wanted(1, 0), &wanted(1, 1))).collect();
        assert_eq!(beside.len(), 3, "the processors that are free");
        drop(running);
        assert!(
            slots.take(&wanted(1, 1)).is_some(),
            "and the one that waited gets its GPU as soon as it is free"
        );
        // One that wants the whole machine waits for what runs, and for nothing that comes after it.
        let slots = Slots::new(Limits { cpu: 4, gpus: vec![], memory: 1000 });
        let running = slots.take(&wanted(3, 0)).unwrap();
        let all = Resources { cpu: CpuDemand::All, gpu: 0, memory: 10 };
        slots.wait_for(8);
        assert!(slots.take(&all).is_none() && slots.take_beside(&wanted(1, 0), &all).is_none());
        assert!(slots.take_beside(&wanted(0, 0), &all).is_some(), "what needs no processor does no harm");
        drop(running);
        assert!(slots.take(&all).is_some());
    }

    #[test]
    fn beside_a_large_node_that_waits_small_ones_take_what_it_leaves() {
        let slots = Slots::new(Limits { cpu: 8, gpus: vec![], memory: 24 });
        let memory = |memory| Resources { cpu: CpuDemand::Count(1), gpu: 0, memory };
        let large = slots.take(&memory(16)).unwrap();
        slots.wait_for(1);
        let small = slots.take_beside(&memory(4), &memory(16)).unwrap();
        let _other = slots.take_beside(&memory(4), &memory(16)).unwrap();
        assert!(
            slots.take_beside(&memory(1), &memory(16)).is_none(),
            "with a third the large one would not fit"
        );
        drop(small);
        assert!(slots.take_beside(&memory(4), &memory(16)).is_some());
        drop(large);
        assert!(slots.take(&memory(16)).is_some());
    }
}
