//! CUDA streams, CUDA graphs and sums over several GPUs. The C++ side is `shim/gpu.cpp`, a library of its own
//! embedded in the program, because it needs libtorch's GPU part, which is loaded only where it is installed.
#![allow(unsafe_code)] // calls into C++ cannot be checked by the compiler

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::Write;
use std::mem::transmute;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use lfs_stage::{Failure, Result};
use tch::Tensor;
use torch_sys::C_tensor;

use crate::shim::{checked, load_library, text};

/// The library; empty if the CUDA headers were missing when the program was built.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gpu.so"));

/// A pointer to a `CudaGraph` of the C++ side.
type Graph = *mut c_void;

type Names = unsafe extern "C" fn(*mut *mut c_char) -> *mut c_char;
type OfDevice = unsafe extern "C" fn(c_int) -> *mut c_char;
type OfNothing = unsafe extern "C" fn() -> *mut c_char;
type Record = unsafe extern "C" fn(*mut Graph, c_int) -> *mut c_char;
type OfGraph = unsafe extern "C" fn(Graph) -> *mut c_char;
type Sum = unsafe extern "C" fn(*const *mut C_tensor, usize) -> *mut c_char;

/// The functions of the library.
struct Calls {
    names: Names,
    own_stream: OfDevice,
    give_back: OfNothing,
    record: Record,
    recorded: OfGraph,
    replay: OfGraph,
    forget: OfGraph,
    sum: Sum,
}

unsafe extern "C" {
    fn memfd_create(name: *const c_char, flags: u32) -> c_int;
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *mut c_char;
}
const RTLD_NOW: c_int = 0x2;
const CLOSE_ON_EXEC: u32 = 0x1;

/// The functions, or why they are missing.
static CALLS: OnceLock<std::result::Result<Calls, String>> = OnceLock::new();

/// Loads libtorch's GPU part and the library on top of it, where they are installed. To be called once, at
/// the very beginning.
pub fn load() {
    let _ = CALLS.get_or_init(|| {
        if !load_library(c"libtorch_cuda.so") {
            return Err("libtorch's GPU part is not installed".to_owned());
        }
        own()
    });
}

/// Loads the library from the program itself, through an anonymous file in memory.
fn own() -> std::result::Result<Calls, String> {
    if LIBRARY.is_empty() {
        return Err("the program was built without the headers of CUDA".to_owned());
    }
    // SAFETY: the name is NUL-terminated; the result is a new descriptor, or negative.
    let fd = unsafe { memfd_create(c"lfs-gpu".as_ptr(), CLOSE_ON_EXEC) };
    if fd < 0 {
        return Err(format!("no file in memory: {}", std::io::Error::last_os_error()));
    }
    // SAFETY: nothing else owns the descriptor.
    let mut file = unsafe { std::fs::File::from_raw_fd(fd) };
    file.write_all(LIBRARY).map_err(|e| format!("no file in memory: {e}"))?;
    let name = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|e| e.to_string())?;
    // SAFETY: `name` is NUL-terminated; the handle is never closed.
    let library = unsafe { dlopen(name.as_ptr(), RTLD_NOW) };
    // The loader identifies a library by its name. The descriptor stays open, since another library could get
    // the same number and so the same name.
    let _ = file.into_raw_fd();
    let wrong = || {
        // SAFETY: null or a NUL-terminated string.
        let text = unsafe { dlerror() };
        if text.is_null() {
            return "it does not load".to_owned();
        }
        // SAFETY: as above.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    };
    if library.is_null() {
        return Err(wrong());
    }
    let find = |name: &CStr| {
        // SAFETY: a live library and a NUL-terminated string.
        let found = unsafe { dlsym(library, name.as_ptr()) };
        if found.is_null() { Err(wrong()) } else { Ok(found) }
    };
    // SAFETY: `shim/gpu.cpp` defines functions of these names and types.
    unsafe {
        Ok(Calls {
            names: transmute::<*mut c_void, Names>(find(c"lfs_gpu_names")?),
            own_stream: transmute::<*mut c_void, OfDevice>(find(c"lfs_gpu_own_stream")?),
            give_back: transmute::<*mut c_void, OfNothing>(find(c"lfs_gpu_give_back")?),
            record: transmute::<*mut c_void, Record>(find(c"lfs_gpu_record")?),
            recorded: transmute::<*mut c_void, OfGraph>(find(c"lfs_gpu_recorded")?),
            replay: transmute::<*mut c_void, OfGraph>(find(c"lfs_gpu_replay")?),
            forget: transmute::<*mut c_void, OfGraph>(find(c"lfs_gpu_forget")?),
            sum: transmute::<*mut c_void, Sum>(find(c"lfs_gpu_sum")?),
        })
    }
}

fn calls() -> Result<&'static Calls> {
    let missing = |why: &str| {
        Failure::new(format!("several GPUs and recorded steps cannot be had: {why}"))
            .help("start with the libraries that `cargo xtask libtorch --cuda` fetches; the program must have been built where CUDA's headers are (fetched with libtorch, or below CUDA_HOME)")
    };
    match CALLS.get() {
        Some(Ok(calls)) => Ok(calls),
        Some(Err(why)) => Err(missing(why)),
        None => Err(missing("nothing was loaded")),
    }
}

/// Why CUDA graphs and sums over GPUs are not available, if they are not.
pub fn missing() -> Option<String> {
    calls().err().map(|failure| failure.message)
}

fn number(device: tch::Device) -> Option<c_int> {
    match device {
        tch::Device::Cuda(number) => c_int::try_from(number).ok(),
        _ => None,
    }
}

/// The distinct models and compute capabilities of the GPUs, if there are any.
pub fn names() -> Option<String> {
    let mut out = std::ptr::null_mut();
    // SAFETY: writes a string that is owned by the caller.
    checked(unsafe { (calls().ok()?.names)(&raw mut out) }, "asking for the names of GPUs").ok()?;
    text(out).filter(|names| !names.is_empty())
}

/// Gives this thread its own stream on a GPU if possible. Does nothing on the CPU.
///
/// # Errors
/// When the GPU refuses.
pub fn own_stream(device: tch::Device) -> Result<()> {
    match (number(device), calls()) {
        // SAFETY: takes a number.
        (Some(number), Ok(calls)) => checked(unsafe { (calls.own_stream)(number) }, "taking a stream"),
        _ => Ok(()),
    }
}

/// Returns cached but unused memory to the GPUs, if there are any: this process may wait a long time while
/// other processes need it.
///
/// # Errors
/// When a GPU refuses.
pub fn empty_cache(device: tch::Device) -> Result<()> {
    match (number(device), calls()) {
        // SAFETY: has no arguments.
        (Some(_), Ok(calls)) => checked(unsafe { (calls.give_back)() }, "giving memory back"),
        _ => Ok(()),
    }
}

/// Replaces each tensor, one per device, by the sum of all. On the CPU they are added in their order.
///
/// # Errors
/// When libtorch fails.
pub fn sum(tensors: &mut [Tensor]) -> Result<()> {
    if tensors.iter().all(|t| t.device() == tch::Device::Cpu) {
        let Some((first, rest)) = tensors.split_first_mut() else { return Ok(()) };
        rest.iter().for_each(|other| *first += other);
        rest.iter_mut().for_each(|other| other.copy_(first));
        return Ok(());
    }
    let calls = calls()?;
    let handles: Vec<*mut C_tensor> = tensors.iter_mut().map(Tensor::as_mut_ptr).collect();
    // SAFETY: `handles.len()` live handles; their elements are changed in place.
    checked(unsafe { (calls.sum)(handles.as_ptr(), handles.len()) }, "adding gradients over GPUs")
}

/// A CUDA graph: work on a GPU that is recorded once and replayed on the same memory.
#[derive(Debug)]
pub struct CudaGraph(Graph);

impl CudaGraph {
    /// Whether CUDA graphs are available on this device.
    pub fn can(device: tch::Device) -> bool {
        number(device).is_some() && calls().is_ok()
    }

    /// Records the work that `work` submits to a GPU. It is not executed before [`CudaGraph::replay`]. The
    /// result of `work` refers to memory that each replay overwrites.
    ///
    /// # Errors
    /// When the work fails, or has parts that cannot be recorded. Nothing was executed then.
    pub fn of<T>(device: tch::Device, work: impl FnOnce() -> Result<T>) -> Result<(Self, T)> {
        let calls = calls()?;
        let device =
            number(device).ok_or_else(|| Failure::new("work is recorded on a GPU, and here is none"))?;
        let mut graph: Graph = std::ptr::null_mut();
        // SAFETY: writes a handle that `CudaGraph` frees.
        checked(unsafe { (calls.record)(&raw mut graph, device) }, "beginning to record")?;
        let recording = Self(graph);
        // The recording must be ended in any case, since the GPU does nothing else until then.
        let made = catch_unwind(AssertUnwindSafe(work));
        // SAFETY: a live handle.
        let ended = checked(unsafe { (calls.recorded)(graph) }, "recording");
        match made {
            Ok(Ok(out)) => ended.map(|()| (recording, out)),
            Ok(Err(failure)) => Err(failure),
            Err(panic) => match panic.downcast_ref::<String>() {
                // The bindings panic on errors of libtorch.
                Some(text) => {
                    let first = text.lines().next().unwrap_or_default();
                    Err(Failure::new(format!("libtorch failed while recording: {first}")))
                }
                None => resume_unwind(panic),
            },
        }
    }

    /// Executes the graph.
    ///
    /// # Errors
    /// When the GPU fails.
    pub fn replay(&self) -> Result<()> {
        // SAFETY: a live handle.
        checked(unsafe { (calls()?.replay)(self.0) }, "taking a recorded step")
    }
}

impl Drop for CudaGraph {
    fn drop(&mut self) {
        if let Ok(calls) = calls() {
            // SAFETY: a live handle, which is not used from here on.
            let _ = checked(unsafe { (calls.forget)(self.0) }, "forgetting a recording");
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn sums_on_the_processor_are_everywhere_the_same() {
        let mut all: Vec<Tensor> =
            (1..4_i64).map(|k| Tensor::arange(3, (Kind::Float, tch::Device::Cpu)) * k).collect();
        sum(&mut all).unwrap();
        for one in &all {
            assert_eq!(Vec::<f32>::try_from(one).unwrap(), [0.0, 6.0, 12.0]);
        }
        sum(&mut []).unwrap();
    }

    #[test]
    fn without_a_gpu_there_is_nothing_to_record_and_that_is_said() {
        if tch::Cuda::is_available() {
            eprintln!("skipped: a GPU is here");
            return;
        }
        assert!(!CudaGraph::can(tch::Device::Cpu));
        let refused = CudaGraph::of(tch::Device::Cpu, || Ok(())).unwrap_err();
        assert!(!refused.message.is_empty());
    }

    /// Where libtorch's GPU part is installed, the embedded library loads, with or without a GPU.
    #[test]
    fn the_library_in_the_program_loads_where_the_gpu_part_of_libtorch_is() {
        load();
        if let Some(why) = CALLS.get().and_then(|calls| calls.as_ref().err()) {
            assert_eq!(why, "libtorch's GPU part is not installed");
            eprintln!("skipped: {why}");
            return;
        }
        assert_eq!(missing(), None);
        if !tch::Cuda::is_available() {
            let refused = own_stream(tch::Device::Cuda(0)).unwrap_err();
            assert!(refused.message.contains("taking a stream"), "{refused}");
        }
    }
}
