//! What is fetched, and which of its files are kept: pinned by version and SHA-256.

use sha2::{Digest, Sha256};

/// The version of libtorch that the binding in use (`tch` 0.24) is made for.
pub const VERSION: &str = "2.11.0";

/// A wheel of the Python package registry.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    /// The package.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The digest of the file, in hexadecimal.
    pub sha256: &'static str,
}

/// A folder to make out of wheels.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// The folder below the root of the repository.
    pub folder: &'static str,
    /// What it is called in messages.
    pub title: &'static str,
    /// The wheels.
    pub wheels: &'static [Wheel],
    /// The tags of these wheels, newest first.
    pub platforms: &'static [&'static str],
    /// Members to keep: a path, or a folder when it ends in `/`.
    pub keep: &'static [&'static str],
    /// Whether `libtorch.so` is made a link to `libtorch_cpu.so`, so that `-ltorch` resolves.
    pub link_torch: bool,
    /// Libraries whose symbol tables are removed if `strip` is available: smaller, same results.
    pub strip: &'static [&'static str],
    /// Free space in bytes that fetching and unpacking needs at its peak.
    pub space: u64,
}

const TORCH: Wheel = Wheel {
    name: "torch",
    version: VERSION,
    sha256: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
};
const CUDART: Wheel = Wheel {
    name: "nvidia-cuda-runtime",
    version: "13.0.96",
    sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
};
/// Parts of the headers that CUDA's runtime includes.
const CRT: Wheel = Wheel {
    name: "nvidia-cuda-crt",
    version: "13.0.88",
    sha256: "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4",
};
const CUPTI: Wheel = Wheel {
    name: "nvidia-cuda-cupti",
    version: "13.0.85",
    sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
};

/// What building and a run on the CPU need: 415 MB. The headers of CUDA are for the part of the programs that GPUs run.
/// `libtorch_cpu.so` needs libcudart and libcupti even there, and finds them by its own run path.
pub const LEAN: Recipe = Recipe {
    folder: ".libtorch",
    title: "libtorch 2.11.0",
    wheels: &[TORCH, CUDART, CRT, CUPTI],
    platforms: &[
        "manylinux_2_28_x86_64",
        "manylinux_2_25_x86_64",
        "manylinux2014_x86_64",
        "manylinux_2_17_x86_64",
    ],
    keep: &[
        "torch/lib/libc10.so",
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libgomp.so.1",
        "torch/include/",
        "nvidia/cu13/include/",
        "nvidia/cu13/lib/libcudart.so.13",
        "nvidia/cu13/lib/libcupti.so.13",
    ],
    link_torch: true,
    strip: &["torch/lib/libtorch_cpu.so"],
    space: 1_500_000_000,
};

/// What a run on a GPU needs: every library of torch and of the CUDA packages that it names, without Python's
/// parts. The programs are built against [`LEAN`] and look for these when they start.
pub const CUDA: Recipe = Recipe {
    folder: ".libtorch-cuda",
    title: "libtorch 2.11.0 for CUDA 13",
    wheels: &[
        TORCH,
        CUDART,
        CUPTI,
        Wheel {
            name: "nvidia-cublas",
            version: "13.1.0.3",
            sha256: "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
        },
        Wheel {
            name: "nvidia-cuda-nvrtc",
            version: "13.0.88",
            sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
        },
        Wheel {
            name: "nvidia-cudnn-cu13",
            version: "9.19.0.56",
            sha256: "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf",
        },
        Wheel {
            name: "nvidia-cufft",
            version: "12.0.0.61",
            sha256: "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
        },
        Wheel {
            name: "nvidia-cufile",
            version: "1.15.1.6",
            sha256: "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44",
        },
        Wheel {
            name: "nvidia-curand",
            version: "10.4.0.35",
            sha256: "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
        },
        Wheel {
            name: "nvidia-cusolver",
            version: "12.0.4.66",
            sha256: "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112",
        },
        Wheel {
            name: "nvidia-cusparse",
            version: "12.6.3.3",
            sha256: "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b",
        },
        Wheel {
            name: "nvidia-cusparselt-cu13",
            version: "0.8.0",
            sha256: "25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd",
        },
        Wheel {
            name: "nvidia-nccl-cu13",
            version: "2.28.9",
            sha256: "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42",
        },
        Wheel {
            name: "nvidia-nvjitlink",
            version: "13.0.88",
            sha256: "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
        },
        Wheel {
            name: "nvidia-nvshmem-cu13",
            version: "3.4.5",
            sha256: "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80",
        },
        Wheel {
            name: "nvidia-nvtx",
            version: "13.0.85",
            sha256: "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4",
        },
    ],
    platforms: &[
        "manylinux_2_28_x86_64",
        "manylinux_2_27_x86_64",
        "manylinux_2_25_x86_64",
        "manylinux_2_18_x86_64",
        "manylinux2014_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2010_x86_64",
        "manylinux_2_12_x86_64",
        "manylinux1_x86_64",
        "manylinux_2_5_x86_64",
    ],
    keep: &["torch/lib/", "torch/include/", "nvidia/"],
    link_torch: false,
    strip: &[],
    space: 9_000_000_000,
};

impl Recipe {
    /// A digest of all that the folder's content depends on.
    pub fn digest(&self) -> String {
        // 1: the layout that `unpack` makes; to be raised when that changes.
        let text =
            format!("1 {VERSION} {:?} {:?} {} {:?}", self.wheels, self.keep, self.link_torch, self.strip);
        hex(&Sha256::digest(text.as_bytes()))
    }

    /// Whether a member of a wheel is kept.
    pub fn keeps(&self, member: &str) -> bool {
        let asked = |k: &&str| if k.ends_with('/') { member.starts_with(*k) } else { member == *k };
        self.keep.iter().any(asked) && !member.ends_with('/') && !member.ends_with(".py")
    }
}

/// Wheels as a requirements file of pip.
pub fn requirements(wheels: &[Wheel]) -> String {
    wheels.iter().map(|w| format!("{}=={} --hash=sha256:{}\n", w.name, w.version, w.sha256)).collect()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_members_are_kept() {
        for member in
            ["torch/lib/libtorch_cpu.so", "torch/include/ATen/ATen.h", "nvidia/cu13/lib/libcudart.so.13"]
        {
            assert!(LEAN.keeps(member), "{member}");
        }
        for member in
            ["torch/lib/libtorch_cuda.so", "torch/include/", "torch/version.py", "xtorch/lib/libc10.so"]
        {
            assert!(!LEAN.keeps(member), "{member}");
        }
    }

    #[test]
    fn every_wheel_is_pinned_by_version_and_digest() {
        for recipe in [LEAN, CUDA] {
            for wheel in recipe.wheels {
                assert_eq!(wheel.sha256.len(), 64, "{}", wheel.name);
                assert!(wheel.sha256.bytes().all(|b| b.is_ascii_hexdigit()), "{}", wheel.name);
            }
            assert_eq!(requirements(recipe.wheels).lines().count(), recipe.wheels.len());
        }
    }

    #[test]
    fn a_changed_recipe_has_another_digest() {
        assert_ne!(LEAN.digest(), CUDA.digest());
        assert_ne!(LEAN.digest(), Recipe { strip: &[], ..LEAN }.digest());
        assert_eq!(LEAN.digest(), Recipe { title: "another title", space: 1, ..LEAN }.digest());
    }
}
