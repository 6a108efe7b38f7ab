//! `cargo xtask dist`: the programs as a Python wheel and as a tarball.
//!
//! Both hold `bin` (`lfs-pipe`, `lfs-remote`, `lfs-libtorch`, and `lfs-stages`, which finds libtorch), `libexec/lfs-pipe/lfs-stages` (the
//! worker) and the manual pages. libtorch is not in them: `lfs-libtorch` fetches it, or an installed `torch` of the same version is used.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use sha2::{Digest, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::cargo;
use crate::host::Host;
use crate::recipe::{VERSION as TORCH, hex};
use crate::stop::{Doing, Result, Stop};

const NAME: &str = "lfs_pipe";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A file of the distribution.
struct Packed {
    /// Below the prefix: `bin/lfs-pipe`.
    path: String,
    bytes: Vec<u8>,
    is_program: bool,
}

/// Builds the programs and packs them into `dist`.
///
/// # Errors
/// When the build fails or a file cannot be written.
pub fn dist(host: &Host) -> Result<ExitCode> {
    let program = cargo::build(host)?;
    let folder = host.root.join("dist");
    let staging = folder.join("staging");
    let _ = fs::remove_dir_all(&staging);
    fs::create_dir_all(&staging).doing("create", &staging)?;
    let packed = collect(host, &program, &staging)?;
    let _ = fs::remove_dir_all(&staging);
    let wheel = folder.join(format!("{NAME}-{VERSION}-py3-none-linux_x86_64.whl"));
    write_wheel(&wheel, &packed)?;
    let tarball = folder.join(format!("lfs-pipe-{VERSION}-linux-x86_64.tar.gz"));
    write_tarball(&tarball, &packed)?;
    for path in [wheel, tarball] {
        let size = fs::metadata(&path).doing("read", &path)?.len();
        println!("{}  {:.1} MB", path.strip_prefix(&host.root).unwrap_or(&path).display(), size as f64 / 1e6);
    }
    Ok(ExitCode::SUCCESS)
}

fn collect(host: &Host, program: &Path, staging: &Path) -> Result<Vec<Packed>> {
    let built = |name: &str| -> Result<Vec<u8>> {
        let (from, to) = (program.with_file_name(name), staging.join(name));
        fs::copy(&from, &to).doing("copy", &from)?;
        // Smaller, with the same results; without `strip` it is packed unchanged.
        if let Some(strip) = host.find("strip") {
            let _ = host.command(strip).arg(&to).stderr(Stdio::null()).status();
        }
        fs::read(&to).doing("read", &to)
    };
    let worker = built("lfs-stages")?;
    let launcher = include_str!("launcher.sh")
        .replace("@VERSION@", VERSION)
        .replace("@TORCH@", TORCH)
        .replace("@DIGEST@", &hex(&Sha256::digest(&worker)));
    let mut packed = vec![
        Packed { path: "libexec/lfs-pipe/lfs-stages".into(), bytes: worker, is_program: true },
        Packed { path: "bin/lfs-stages".into(), bytes: launcher.into_bytes(), is_program: true },
    ];
    for name in ["lfs-pipe", "lfs-remote", "lfs-libtorch"] {
        packed.push(Packed { path: format!("bin/{name}"), bytes: built(name)?, is_program: true });
    }
    let man = staging.join("man");
    let status = host.command(program).arg("man").arg(&man).status().doing("start", program)?;
    if !status.success() {
        return Err(Stop::new("the manual pages could not be written"));
    }
    let mut pages: Vec<PathBuf> =
        fs::read_dir(&man).doing("list", &man)?.filter_map(|e| e.ok().map(|e| e.path())).collect();
    pages.sort();
    for page in pages {
        let name = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&page).doing("read", &page)?;
        packed.push(Packed { path: format!("share/man/man1/{name}"), bytes, is_program: false });
    }
    Ok(packed)
}

/// A wheel: its scripts go to `bin`, its data to the prefix (the wheel specification, version 1.0).
fn write_wheel(path: &Path, packed: &[Packed]) -> Result<()> {
    let info = format!("{NAME}-{VERSION}.dist-info");
    let metadata = format!(
        "Metadata-Version: 2.1\nName: lfs-pipe\nVersion: {VERSION}\nSummary: A pipeline runner, and stages that reproduce Loss Function \
         Search for Face Recognition\nLicense: MIT OR Apache-2.0\nRequires-Python: >=3.8\nProvides-Extra: torch\n\
         Requires-Dist: torch=={TORCH}; extra == 'torch'\n"
    );
    let wheel = format!(
        "Wheel-Version: 1.0\nGenerator: xtask ({VERSION})\nRoot-Is-Purelib: false\nTag: py3-none-linux_x86_64\n"
    );
    let mut zip = ZipWriter::new(File::create(path).doing("create", path)?);
    let mut record = String::new();
    let mut add = |name: &str, bytes: &[u8], is_program: bool| -> Result<()> {
        let mode = if is_program { 0o755 } else { 0o644 };
        let options = SimpleFileOptions::default().unix_permissions(mode);
        zip.start_file(name, options).map_err(|e| Stop::new(format!("{name}: {e}")))?;
        zip.write_all(bytes).doing("write", path)?;
        let _ = writeln!(record, "{name},sha256={},{}", base64(&Sha256::digest(bytes)), bytes.len());
        Ok(())
    };
    for file in packed {
        let name = match file.path.strip_prefix("bin/") {
            Some(name) => format!("{NAME}-{VERSION}.data/scripts/{name}"),
            None => format!("{NAME}-{VERSION}.data/data/{}", file.path),
        };
        add(&name, &file.bytes, file.is_program)?;
    }
    add(&format!("{info}/METADATA"), metadata.as_bytes(), false)?;
    add(&format!("{info}/WHEEL"), wheel.as_bytes(), false)?;
    let name = format!("{info}/RECORD");
    record += &format!("{name},,\n");
    zip.start_file(&name, SimpleFileOptions::default()).map_err(|e| Stop::new(e.to_string()))?;
    zip.write_all(record.as_bytes()).doing("write", path)?;
    zip.finish().map_err(|e| Stop::new(e.to_string())).map(drop)
}

/// URL-safe base64 without padding, as RECORD wants digests.
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn write_tarball(path: &Path, packed: &[Packed]) -> Result<()> {
    let file = File::create(path).doing("create", path)?;
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::default()));
    for file in packed {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.bytes.len() as u64);
        header.set_mode(if file.is_program { 0o755 } else { 0o644 });
        let name = format!("lfs-pipe-{VERSION}/{}", file.path);
        tar.append_data(&mut header, &name, file.bytes.as_slice()).doing("write", path)?;
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).doing("write", path).map(drop)
}
