//! What a set-up promises, with stand-ins for Python and pip.

use super::*;
use crate::testing::{PIP, Sandbox};

fn calls(s: &Sandbox) -> usize {
    fs::read_to_string(s.root().join("calls")).unwrap_or_default().lines().count()
}

fn read(s: &Sandbox, file: &str) -> String {
    fs::read_to_string(s.root().join(".libtorch").join(file)).unwrap()
}

#[test]
fn a_set_up_keeps_the_named_members_alone() {
    let s = Sandbox::new();
    ensure(&s.host(), &s.recipe()).unwrap();
    assert_eq!(read(&s, "torch/build-version"), VERSION);
    assert_eq!(read(&s, "torch/lib/libtorch.so"), "cpu, to be stripped");
    assert_eq!(read(&s, "nvidia/cu13/lib/libcupti.so.13"), "cupti");
    assert!(!s.root().join(".libtorch/torch/lib/libtorch_cuda.so").exists());
    assert!(!s.root().join(".libtorch.part").exists());
}

#[test]
fn a_second_set_up_does_nothing() {
    let s = Sandbox::new();
    let recipe = s.recipe();
    ensure(&s.host(), &recipe).unwrap();
    s.program("python3", "exit 1");
    ensure(&s.host(), &recipe).unwrap();
    assert_eq!(calls(&s), 1);
}

#[test]
fn a_changed_recipe_and_a_damaged_library_are_fetched_again() {
    let s = Sandbox::new();
    let recipe = s.recipe();
    ensure(&s.host(), &recipe).unwrap();
    ensure(&s.host(), &Recipe { strip: &[], ..recipe }).unwrap();
    assert_eq!(calls(&s), 2);
    ensure(&s.host(), &recipe).unwrap();
    fs::write(s.root().join(".libtorch/torch/lib/libc10.so"), "").unwrap();
    ensure(&s.host(), &recipe).unwrap();
    assert_eq!(calls(&s), 4);
    assert_eq!(read(&s, "torch/lib/libc10.so"), "c10");
}

#[test]
fn a_folder_without_a_stamp_is_replaced() {
    let s = Sandbox::new();
    fs::create_dir_all(s.root().join(".libtorch/torch/lib")).unwrap();
    fs::write(s.root().join(".libtorch/torch/lib/half.so"), "half").unwrap();
    ensure(&s.host(), &s.recipe()).unwrap();
    assert!(!s.root().join(".libtorch/torch/lib/half.so").exists());
}

#[test]
fn a_wheel_that_arrives_broken_is_fetched_once_more() {
    let s = Sandbox::new();
    let recipe = s.recipe();
    let served = s.root().join("served");
    let script = format!(
        "{PIP}\ncp {0}/* \"$dest\"\n[ $(wc -l < \"$(dirname \"$0\")/../calls\") = 1 ] && echo half > \"$dest/torch-1.whl\"\nexit 0",
        served.display()
    );
    s.program("python3", &script);
    ensure(&s.host(), &recipe).unwrap();
    assert_eq!((calls(&s), read(&s, "torch/lib/libc10.so").as_str()), (2, "c10"));
}

#[test]
fn a_wheel_that_stays_broken_is_refused_and_never_used() {
    let s = Sandbox::new();
    let recipe = s.recipe();
    s.program("python3", &format!("{PIP}\necho half > \"$dest/torch-1.whl\""));
    let text = ensure(&s.host(), &recipe).unwrap_err().to_string();
    assert!(text.contains("digest") && text.contains(recipe.wheels[0].sha256), "{text}");
    assert!(!s.root().join(".libtorch").exists());
}

#[test]
fn an_interrupted_set_up_keeps_what_has_arrived() {
    let s = Sandbox::new();
    let recipe = s.recipe();
    let served = s.root().join("served");
    // The network goes away after the first wheel.
    let first = format!(
        "{PIP}\ncp {}/nvidia-1.whl \"$dest\"\necho half > \"$dest/torch-1.whl\"\n\
         echo 'WARNING: Retrying (Retry(total=0)) after connection broken' >&2\necho 'ERROR: No matching' >&2\nexit 1",
        served.display()
    );
    s.program("python3", &first);
    let text = ensure(&s.host(), &recipe).unwrap_err().to_string();
    assert!(text.contains("no connection"), "{text}");
    // A half-unpacked tree of an earlier kill lies there, too.
    fs::create_dir_all(s.root().join(".libtorch.part/tree/torch/lib")).unwrap();
    s.program("python3", &format!("{PIP}\ncp {}/torch-1.whl \"$dest\"", served.display()));
    ensure(&s.host(), &recipe).unwrap();
    assert_eq!(read(&s, "nvidia/cu13/lib/libcudart.so.13"), "rt");
}

#[test]
fn a_set_up_stopped_before_the_last_rename_needs_no_network() {
    let s = Sandbox::new();
    let recipe = s.recipe();
    ensure(&s.host(), &recipe).unwrap();
    let staging = s.root().join(".libtorch.part");
    fs::create_dir_all(&staging).unwrap();
    fs::rename(s.root().join(".libtorch"), staging.join("tree")).unwrap();
    s.program("python3", "exit 1");
    ensure(&s.host(), &recipe).unwrap();
    assert_eq!((calls(&s), read(&s, "torch/lib/libc10.so").as_str()), (1, "c10"));
}

#[test]
fn a_full_disk_is_said_before_anything_is_fetched() {
    let s = Sandbox::new();
    let recipe = s.recipe();
    s.program("df", "echo 'Filesystem 1024-blocks Used Available Capacity Mounted'; echo '/dev/x 9000000 8000000 1000000 89% /'");
    let text = ensure(&s.host(), &recipe).unwrap_err().to_string();
    assert!(text.contains("1.5 GB are needed") && text.contains("1.0 GB are free"), "{text}");
    assert_eq!(calls(&s), 0);
}

#[test]
fn strip_is_used_where_it_is_and_may_fail() {
    let s = Sandbox::new();
    let recipe = s.recipe();
    s.program("strip", "printf stripped > \"$3\"");
    ensure(&s.host(), &recipe).unwrap();
    assert_eq!(read(&s, "torch/lib/libtorch_cpu.so"), "stripped");
    s.program("strip", "printf half > \"$3\"; exit 1");
    fs::remove_dir_all(s.root().join(".libtorch")).unwrap();
    ensure(&s.host(), &recipe).unwrap();
    assert_eq!(read(&s, "torch/lib/libtorch_cpu.so"), "cpu, to be stripped");
    assert!(!s.root().join(".libtorch/torch/lib/libtorch_cpu.stripped").exists());
}

#[test]
fn two_set_ups_at_once_fetch_once() {
    let s = Sandbox::new();
    let (recipe, host) = (s.recipe(), s.host());
    std::thread::scope(|scope| {
        let both = [scope.spawn(|| ensure(&host, &recipe)), scope.spawn(|| ensure(&host, &recipe))];
        for one in both {
            one.join().unwrap().unwrap();
        }
    });
    assert_eq!(calls(&s), 1);
}

#[test]
fn an_exported_libtorch_is_used_and_checked() {
    let s = Sandbox::new();
    let theirs = s.root().join("theirs");
    let refuses = |word: &str| {
        let text = lean(&Host { libtorch: Some(theirs.clone()), ..s.host() }).unwrap_err().to_string();
        assert!(text.contains(word) && text.contains("unset it"), "{text}");
    };
    refuses("lib/libtorch_cpu.so");
    fs::create_dir_all(theirs.join("lib")).unwrap();
    fs::create_dir_all(theirs.join("include/ATen")).unwrap();
    for name in ["libtorch_cpu.so", "libtorch.so", "libc10.so"] {
        fs::write(theirs.join("lib").join(name), "").unwrap();
    }
    refuses("build-version");
    fs::write(theirs.join("version.py"), "__version__ = '2.10.0+cu130'\n").unwrap();
    refuses("2.10.0+cu130");
    fs::write(theirs.join("build-version"), "2.9.0+cpu\n").unwrap();
    refuses("2.9.0+cpu");
    fs::write(theirs.join("build-version"), "2.11.0+cpu\n").unwrap();
    lean(&Host { libtorch: Some(theirs.clone()), ..s.host() }).unwrap();
    let text = lean(&Host { libtorch: Some("theirs".into()), ..s.host() }).unwrap_err().to_string();
    assert!(text.contains("absolute"), "{text}");
    assert!(!s.root().join(".libtorch").exists());
}
