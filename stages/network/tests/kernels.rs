//! Which kernels are chosen in portable arithmetic, by what the libraries themselves say.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::process::Command;

use lfs_network::arithmetic::Arithmetic;
use lfs_network::backbone::Backbone;
use lfs_network::device::{self, Device};
use lfs_network::functions;
use lfs_network::model::{Model, Plan};
use tch::{Kind, Tensor};

/// Run in a process of its own, whose output is read.
#[test]
#[ignore = "the other test runs it"]
fn a_step_of_every_network() {
    let here = device::prepare(Device::Cpu, 2, Arithmetic::Portable).unwrap();
    for backbone in Backbone::ALL {
        let plan = Plan { backbone: backbone.with_defaults(), size: 32, embedding: 16 };
        let model = Model::seeded(&plan, 1, here).unwrap();
        let x =
            (Tensor::arange(4 * 3 * 32 * 32, (Kind::Float, here)).remainder(7.0) - 3.0).view([4, 3, 32, 32]);
        let cosines =
            functions::linear(&model.forward(&x, true), &Tensor::ones([5, 16], (Kind::Float, here)));
        functions::softplus(&functions::log_sum_exp(&cosines)).mean(Kind::Float).backward();
    }
}

#[test]
fn portable_arithmetic_takes_one_set_of_kernels_whatever_a_person_set() {
    // Each would choose other kernels, where it was heard.
    let chosen: [&[(&str, &str)]; 3] = [
        &[],
        &[
            ("ATEN_CPU_CAPABILITY", "default"),
            ("ONEDNN_MAX_CPU_ISA", "SSE41"),
            ("DNNL_MAX_CPU_ISA", "AVX512_CORE"),
        ],
        &[
            ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16"),
            ("MKL_CBWR", "AVX2"),
            ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-FMA"),
        ],
    ];
    let traces = chosen.map(|variables| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_step_of_every_network", "--ignored", "--nocapture"]);
        command.env("ONEDNN_VERBOSE", "profile_exec").env("MKL_VERBOSE", "1").envs(variables.iter().copied());
        let said = command.output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let text = String::from_utf8(said.stdout).unwrap();
        assert!(!text.contains("MKL_VERBOSE"), "a product goes through MKL:\n{text}");
        // What was done, by which kernel, on what; not how long it took. A leave to round is read before the program begins, and stays
        // without effect: AVX2 has no kernel that would make use of it.
        let lines = text.lines().filter(|l| l.starts_with("onednn_verbose") && l.contains(",exec,"));
        let kernel = |l: &str| l.rsplit_once(',').unwrap().0.replace(" attr-fpmath:bf16", "");
        lines.map(kernel).collect::<Vec<_>>()
    });
    let convolutions: Vec<&String> = traces[0].iter().filter(|l| l.contains("convolution")).collect();
    assert!(convolutions.len() > 50, "{}", convolutions.len());
    for line in &traces[0] {
        assert!(!line.contains("avx512") && !line.contains("amx") && !line.contains("avx2_vnni"), "{line}");
    }
    let kernels = convolutions.iter().filter(|l| l.contains("avx2")).count();
    println!("{} primitives, {} convolutions, {kernels} by AVX2", traces[0].len(), convolutions.len());
    assert!(kernels * 10 > convolutions.len() * 9, "{kernels} of {}: {convolutions:?}", convolutions.len());
    for trace in &traces[1..] {
        assert_eq!(trace, &traces[0], "a variable chose other kernels");
    }
}
