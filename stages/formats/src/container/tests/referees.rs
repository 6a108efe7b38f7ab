//! Files written by the original libraries. Needs `LFS_PYTHON`, a Python with the packages of `tests/referees.txt` and
//! `tests/referees-alone.txt`.

use sha2::{Digest, Sha256};

use super::*;

/// Runs a script with these libraries in a new folder; none if there is no such Python.
fn written(script: &str) -> Option<tempfile::TempDir> {
    let python = lfs_testing::python()?;
    let dir = tempfile::tempdir().unwrap();
    let run =
        std::process::Command::new(python).arg("-c").arg(script).current_dir(dir.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    Some(dir)
}

/// `identity sha256` of each item, in the format of the scripts' `expected.txt`.
fn digests(keep: &Keep) -> Vec<String> {
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    keep.items.iter().map(|k| format!("{} {}", k.identity.as_deref().unwrap_or("-"), hex(&k.image))).collect()
}

fn expected(dir: &Path) -> Vec<String> {
    std::fs::read_to_string(dir.join("expected.txt")).unwrap().lines().map(str::to_owned).collect()
}

/// The common part of the scripts: noise images, and a list of the expected items.
const COMMON: &str = r#"
import hashlib, io, random
import numpy
from PIL import Image
random.seed(7)
def image(k, side=12):
    noise = numpy.random.default_rng(k).integers(0, 256, (side, side, 3), dtype=numpy.uint8)
    out = io.BytesIO(); Image.fromarray(noise).save(out, "JPEG" if k % 2 else "PNG"); return out.getvalue()
lines = []
def expect(identity, data): lines.append(f"{identity} {hashlib.sha256(data).hexdigest()}")
def done(): open("expected.txt", "w").write("\n".join(lines) + "\n")
"#;

#[test]
fn verification_sets_of_every_protocol_and_form_are_read() {
    let script = format!(
        r#"{COMMON}
import pickle
images = [image(k) for k in range(8)]
same = [True, False, False, True]
for data in images: expect("-", data)
done()
arrays = [numpy.frombuffer(data, dtype=numpy.uint8) for data in images]
for protocol in (2, 3, 4, 5):
    for called, of, truth in (
        ("bytes", images, same),
        ("arrays", arrays, numpy.array(same)),
        ("writable", [a.copy() for a in arrays], [numpy.bool_(s) for s in same]),
        ("bytearrays", [bytearray(i) for i in images], [int(s) for s in same]),
        ("tuples", tuple(images), tuple(numpy.array(same).astype(numpy.int64))),
    ):
        pickle.dump((of, truth), open(f"{{called}}-{{protocol}}.bin", "wb"), protocol=protocol)
pixels = [numpy.array(Image.open(io.BytesIO(i)).convert("RGB")) for i in images[::2] for _ in range(2)]
pickle.dump((pixels, same), open("pixels.bin", "wb"), protocol=4)
"#
    );
    let Some(dir) = written(&script) else { return };
    let wanted = expected(dir.path());
    for called in ["bytes", "arrays", "writable", "bytearrays", "tuples"] {
        for protocol in 2..=5 {
            let path = dir.path().join(format!("{called}-{protocol}.bin"));
            let (format, keep) = read(&path).unwrap_or_else(|e| panic!("{called} {protocol}: {e}"));
            assert_eq!((format, digests(&keep)), ("verification-bin", wanted.clone()), "{called} {protocol}");
            assert_eq!(keep.pairs.iter().map(|p| p.2).collect::<Vec<_>>(), [true, false, false, true]);
        }
    }
    // Decoded images: the same pixels, as PNG.
    let keep = read(&dir.path().join("pixels.bin")).unwrap().1;
    let first = read(&dir.path().join("bytes-4.bin")).unwrap().1;
    let decoded = |k: &Kept| lfs_faces::image::decode(&k.image).unwrap();
    assert_eq!(decoded(&keep.items[0]), decoded(&first.items[0]));
}

#[test]
fn parquet_as_pyarrow_writes_it_is_read() {
    let script = format!(
        r#"{COMMON}
import json, os
import pyarrow as pa, pyarrow.parquet as pq
def struct(ks): return pa.array([{{"bytes": image(k), "path": None}} for k in ks], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
labels = [0, 0, 1, 2, 1]
for k, l in enumerate(labels): expect(["Ann", "Bo Ray", "Cy/D"][l], image(k))
done()
table = pa.table({{"image": struct(range(5)), "label": pa.array(labels, pa.int64())}})
note = {{"info": {{"features": {{"image": {{"_type": "Image"}}, "label": {{"names": ["Ann", "Bo Ray", "Cy/D"], "_type": "ClassLabel"}}}}}}}}
table = table.replace_schema_metadata({{"huggingface": json.dumps(note)}})
os.makedirs("named/data")
pq.write_table(table.slice(0, 3), "named/data/train-00000-of-00002.parquet", compression="zstd")
pq.write_table(table.slice(3), "named/data/train-00001-of-00002.parquet", compression="zstd")
open("named/README.md", "w").write("a card")
for k, kind in enumerate((pa.binary(), pa.large_binary(), pa.binary_view())):
    plain = pa.table({{"extra": pa.array(range(5)), "jpg": pa.array([image(k) for k in range(5)], kind), "identity": pa.array(["Ann", "Ann", "Bo Ray", "Cy/D", "Bo Ray"]).dictionary_encode(), "landmarks": pa.array([[float(i) for i in range(10)]] * 4 + [None], pa.list_(pa.float64()))}})
    pq.write_table(plain, f"plain{{k}}.parquet", compression=["snappy", "gzip", "lz4"][k], row_group_size=2)
pairs = pa.table({{"image1": struct([0, 2]), "image2": struct([1, 3]), "target": pa.array([True, False])}})
pq.write_table(pairs, "pairs.parquet", compression="brotli")
pq.write_table(pa.table({{"text": ["a"]}}), "text.parquet")
"#
    );
    let Some(dir) = written(&script) else { return };
    let wanted = expected(dir.path());
    let (format, keep) = read(&dir.path().join("named")).unwrap();
    assert_eq!((format, digests(&keep)), ("parquet", wanted.clone()));
    assert_eq!(keep.items[3].name, "Cy-D/00003.jpg");
    for k in 0..3 {
        let keep = read(&dir.path().join(format!("plain{k}.parquet"))).unwrap().1;
        assert_eq!(digests(&keep), wanted);
        assert_eq!(keep.items[3].points.unwrap()[4], [8.0, 9.0]);
        assert_eq!(keep.items[4].points, None);
    }
    let pairs = dir.path().join("pairs.parquet");
    assert!(open(&pairs).unwrap().1.is_pairs());
    let keep = read(&pairs).unwrap().1;
    assert_eq!(keep.pairs.iter().map(|p| p.2).collect::<Vec<_>>(), [true, false]);
    assert_eq!(keep.items.len(), 4);
    assert!(why(&dir.path().join("text.parquet")).contains("expected a column of images"));
}

#[test]
fn shards_as_webdataset_writes_them_are_read() {
    let script = format!(
        r#"{COMMON}
import webdataset
with webdataset.ShardWriter("shards-%06d.tar", maxcount=2, verbose=0) as out:
    for k, label in enumerate([3, 3, 14]):
        data = image(2 * k + 1)
        out.write({{"__key__": f"sample/{{k:04}}", "jpg": data, "cls": label, "json": {{"identity": "not this"}}}})
        expect(label, data)
done()
"#
    );
    let Some(dir) = written(&script) else { return };
    let wanted = expected(dir.path());
    std::fs::remove_file(dir.path().join("expected.txt")).unwrap();
    let (format, keep) = read(dir.path()).unwrap();
    assert_eq!((format, digests(&keep)), ("webdataset", wanted.clone()));
    let (format, keep) = read(&dir.path().join("shards-000001.tar")).unwrap();
    assert_eq!((format, digests(&keep)), ("webdataset", wanted[2..].to_vec()));
}

#[test]
fn databases_as_lmdb_writes_them_are_read() {
    let script = format!(
        r#"{COMMON}
import lmdb
def varint(n):
    out = b""
    while n > 127: out += bytes([n & 127 | 128]); n >>= 7
    return out + bytes([n])
def datum(data, label): return b"\x22" + varint(len(data)) + data + b"\x28" + varint(label) + b"\x38\x01"
env = lmdb.open("many", map_size=1 << 28)
with env.begin(write=True) as txn:
    for k in range(700):
        # Some on pages of their own, some beside others.
        data = image(k, 5 if k % 3 else 60)
        txn.put(f"{{k:08}}".encode(), datum(data, k // 7))
        expect(k // 7, data)
with env.begin(write=True) as txn: txn.put(b"zz", b"x")
with env.begin(write=True) as txn: txn.delete(b"zz")
env.close()
lmdb.open("none").close()
done()
"#
    );
    let Some(dir) = written(&script) else { return };
    let (format, keep) = read(&dir.path().join("many")).unwrap();
    assert_eq!((format, digests(&keep)), ("lmdb", expected(dir.path())));
    assert!(read(&dir.path().join("none")).unwrap().1.items.is_empty());
    // Truncation at any place is detected.
    let whole = std::fs::read(dir.path().join("many/data.mdb")).unwrap();
    for cut in [100, 5000, whole.len() / 2] {
        std::fs::write(dir.path().join("many/data.mdb"), &whole[..cut]).unwrap();
        assert!(why(&dir.path().join("many")).contains("damaged"), "{cut}");
    }
}

#[test]
fn arrays_as_numpy_writes_them_are_read() {
    let script = format!(
        r#"{COMMON}
pixels = numpy.arange(3 * 4 * 5 * 3, dtype=numpy.uint8).reshape(3, 4, 5, 3)
numpy.savez("a.npz", images=pixels, target=numpy.array([2, 2, 9], dtype=">i4"), other=numpy.zeros(3))
numpy.savez_compressed("b.npz", images=pixels[..., 0], names=numpy.array(["Ann", "Ann", "Bo Ray"]))
numpy.save("c.npy", numpy.zeros((4, 512), dtype=numpy.float32))
done()
"#
    );
    let Some(dir) = written(&script) else { return };
    let identities = |name: &str| {
        let keep = read(&dir.path().join(name)).unwrap().1;
        keep.items.iter().map(|k| k.identity.clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(identities("a.npz"), ["2", "2", "9"]);
    assert_eq!(identities("b.npz"), ["Ann", "Ann", "Bo Ray"]);
    let keep = read(&dir.path().join("a.npz")).unwrap().1;
    let last = lfs_faces::image::decode(&keep.items[2].image).unwrap();
    assert_eq!((last.width, last.height, last.rgb[0]), (5, 4, 120));
    assert!(why(&dir.path().join("c.npy")).contains("embeddings, it seems"));
}

#[test]
fn records_as_mxnet_writes_them_are_read() {
    let script = format!(
        r#"{COMMON}
import ctypes, importlib.util, os, struct
lib = ctypes.CDLL(os.path.join(importlib.util.find_spec("mxnet").submodule_search_locations[0], "libmxnet.so"))
writer, index = ctypes.c_void_p(), open("train.idx", "w")
assert lib.MXRecordIOWriterCreate(b"train.rec", ctypes.byref(writer)) == 0
def put(key, labels, data):
    at = ctypes.c_size_t()
    assert lib.MXRecordIOWriterTell(writer, ctypes.byref(at)) == 0
    index.write(f"{{key}}\t{{at.value}}\n")
    head = struct.pack("<IfQQ", len(labels), 0, key, 0) + struct.pack("<%df" % len(labels), *labels)
    record = head + data
    assert lib.MXRecordIOWriterWriteRecord(writer, ctypes.c_char_p(record), ctypes.c_size_t(len(record))) == 0
# The mark of the format in a comment of every picture, at each of four places.
mark = struct.pack("<I", 0xced7230a)
put(0, (7.0, 9.0), b"")
for k in range(6):
    data = image(2 * k + 1)
    comment = b"x" * k + mark * 5
    data = data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]
    put(k + 1, (float(k // 3), 0.0), data)
    expect(k // 3, data)
put(7, (1.0, 4.0), b"")
put(8, (4.0, 7.0), b"")
lib.MXRecordIOWriterFree(writer)
index.close()
open("property", "w").write("2,12,12")
done()
"#
    );
    let Some(dir) = written(&script) else { return };
    let (format, keep) = read(dir.path()).unwrap();
    assert_eq!((format, digests(&keep)), ("recordio", expected(dir.path())));
}
