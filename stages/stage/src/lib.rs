//! The contract between a runner and its workers.
//!
//! A *worker* is any program that answers two calls:
//!
//! - `WORKER describe` prints one [`Description`] as JSON: its kinds, their parameters (a JSON Schema), inputs,
//!   outputs, the digests of the code behind them, and facts of the environment on which results depend.
//! - `WORKER serve` reads [`Request`]s and writes [`Reply`]s, one JSON object a line, until its input ends.
//!
//! A kind is a type that implements [`Stage`]. It has access to its parameters and a [`Context`], and not to graphs, keys, caches
//! or other stages.

mod context;
mod describe;
mod failure;
mod kind;
mod protocol;
mod serve;

pub use context::{Context, Progress, StepFolder, StepSpec};
pub use describe::{Choice, Cpu, Description, Gpus, InputInfo, KindInfo, OutputInfo, PROTOCOL, Shape};
pub use failure::{Failure, IoContext, Result};
pub use kind::{Input, Kind, Output, Source, Stage, any, choice, one, optional, several};
pub use protocol::{
    Binding, Cell, Job, Labels, Member, NOTE_FILE, Repeated, Reply, Request, Step, StepAnswer,
};
pub use serve::{run_in_place, worker_main};
