//! Puts this crate's sources into it, compiles the shim, and says where libtorch lies.

#![allow(clippy::expect_used)] // a build script can only stop with a message

use std::path::Path;

fn main() {
    lfs_source::emit();
    lfs_source::link_libtorch();
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch lies");
    let include = Path::new(&lib).parent().expect("libtorch's lib folder has a parent").join("include");
    println!("cargo:rerun-if-changed=shim");
    cc::Build::new()
        .cpp(true)
        .pic(true)
        .warnings(false)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .flag("-std=c++17")
        .flag("-D_GLIBCXX_USE_CXX11_ABI=1")
        .flag("-O3")
        // The same bits from every compiler and every kind of processor: no multiplication melts into a sum.
        .flag("-ffp-contract=off")
        // The threads of libtorch's own kernels.
        .flag("-fopenmp")
        .file("shim/shim.cpp")
        .file("shim/norm.cpp")
        .file("shim/product.cpp")
        .compile("lfs_shim");
    println!("cargo:rustc-link-lib=dylib=gomp");
    build_gpu_part(&include);
}

/// A library of its own, for it needs libtorch's GPU part; the program carries it and loads it where that is. Empty without the
/// headers of CUDA.
fn build_gpu_part(include: &Path) {
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    let out = Path::new(&std::env::var("OUT_DIR").expect("cargo says where to build")).join("gpu.so");
    let ours = include.ancestors().nth(2).map(|root| root.join("nvidia/cu13/include"));
    let theirs = std::env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("include"));
    let places: Vec<_> = ours.into_iter().chain(theirs).collect();
    for place in &places {
        println!("cargo:rerun-if-changed={}", place.join("cuda_runtime_api.h").display());
    }
    let without = |why: &str| {
        std::fs::write(&out, []).expect("OUT_DIR can be written");
        println!("cargo:warning={why}: built without recorded steps and training over several GPUs");
    };
    let Some(headers) = places.iter().find(|place| place.join("cuda_runtime_api.h").exists()) else {
        return without("no headers of CUDA (CUDA_HOME)");
    };
    let mut command = cc::Build::new().cpp(true).pic(true).warnings(false).get_compiler().to_command();
    command
        .args(["-shared", "-s", "-O2", "-std=c++17", "-D_GLIBCXX_USE_CXX11_ABI=1", "-isystem"])
        .arg(include)
        .arg("-isystem")
        .arg(headers);
    let done = command.arg("shim/gpu.cpp").arg("-o").arg(&out).status().expect("the C++ compiler runs");
    // A libtorch that was made without CUDA has not all of the headers.
    if !done.success() {
        without("shim/gpu.cpp does not compile with this libtorch");
    }
}
