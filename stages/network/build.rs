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
        .compile("lfs_shim");
    println!("cargo:rustc-link-lib=dylib=gomp");
}
