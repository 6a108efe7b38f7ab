//! Rows of every form of file, and what is refused.

use half::bf16;
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::*;

fn npy_file(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let head = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((head.len() as u16).to_le_bytes());
    out.extend(head.as_bytes());
    out.extend(data);
    out
}

fn open(bytes: &[u8]) -> Result<Vectors, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v");
    std::fs::write(&path, bytes).unwrap();
    Vectors::open(&path)
}

fn floats(rows: &[f32]) -> Vec<u8> {
    rows.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn rows_of_every_form_have_length_one_and_keep_their_own() {
    let f8: Vec<u8> = [3.0_f64, 4.0, 0.0, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let data = floats(&[3.0, 4.0, 0.0, -2.0]);
    let view = TensorView::new(Dtype::F32, vec![2, 2], &data).unwrap();
    let tensors = serialize([("embeddings", view)], None).unwrap();
    for bytes in [npy_file("<f4", "(2, 2)", &data), npy_file("<f8", "(2, 2)", &f8), tensors] {
        let v = open(&bytes).unwrap();
        let mut row = [0.0; 2];
        v.unit(0, &mut row);
        assert_eq!((v.len(), v.width(), row, v.norm(0), v.norm(1)), (2, 2, [0.6, 0.8], 5.0, 2.0));
        v.unit(1, &mut row);
        assert_eq!(row, [0.0, -1.0]);
    }
}

fn tensor_file(rows: &[[f32; 2]]) -> Vec<u8> {
    let data = floats(rows.as_flattened());
    let view = TensorView::new(Dtype::F32, vec![rows.len(), 2], &data).unwrap();
    serialize([("embeddings", view)], None).unwrap()
}

#[test]
fn rows_are_read_from_any_place_and_have_length_one() {
    let v = open(&tensor_file(&[[3.0, 4.0], [0.0, -2.0], [1.0, 0.0]])).unwrap();
    let mut out = Vec::new();
    v.unit_rows(0, 1, &mut out);
    assert_eq!((v.len(), v.width(), out.as_slice()), (3, 2, &[0.6, 0.8][..]));
    v.unit_rows(1, 2, &mut out);
    assert_eq!(out, [0.0, -1.0, 1.0, 0.0]);
}

#[test]
fn what_has_no_direction_is_refused_with_its_row() {
    for bad in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
        let text = open(&tensor_file(&[[1.0, 0.0], bad])).err().unwrap().to_string();
        assert!(text.contains("row 1"), "{text}");
    }
}

#[test]
fn a_file_that_is_cut_short_or_holds_something_else_is_refused() {
    let whole = tensor_file(&[[1.0, 0.0], [0.0, 1.0]]);
    for end in 0..whole.len() {
        assert!(open(&whole[..end]).is_err(), "{end}");
    }
    let other = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    let text = open(&serialize([("weights", other)], None).unwrap()).err().unwrap().to_string();
    assert!(text.contains("no tensor `embeddings`"), "{text}");
}

#[test]
fn rows_without_direction_are_named_the_first_ten() {
    let mut rows = vec![1.0_f32; 40];
    rows[6] = f32::NAN;
    rows[10..40].fill(0.0);
    let text = open(&npy_file("<f4", "(20, 2)", &floats(&rows))).err().unwrap().to_string();
    assert!(
        text.contains("16 of 20 rows have no direction: row 3 is not finite, row 5 is zero, row 6 is zero, ")
            && text.contains("row 13 is zero ..;"),
        "{text}"
    );
}

#[test]
fn another_form_is_refused() {
    let data = floats(&[1.0; 4]);
    for bytes in [
        npy_file("<i4", "(2, 2)", &data),
        npy_file("<f4", "(4,)", &data),
        npy_file("<f4", "(3, 2)", &data),
        npy_file("<f4", "(2, 0)", &data),
        npy_file("<f4", "(18446744073709551615, 2)", &data),
        b"some text".to_vec(),
        b"\x93NUMPY".to_vec(),
    ] {
        let text = open(&bytes).err().unwrap().to_string();
        assert!(text.contains("expected embeddings, a row an image"), "{text}");
    }
}

/// Writes the same rows with the original libraries, in every form and type.
const EVERY_FORM: &str = r#"
import os, struct
import numpy, pyarrow, pyarrow.parquet
rows = numpy.array([[3, 4, 0.5], [0, -2, 1], [1, 0, 0.25], [-0.5, 8, 2]])
flipped = rows[:, ::-1]
names = ["Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bo/Bo_0001.jpg", "Bo/Bo_0003.jpg"]
for kind in ("<f2", "<f4", "<f8", ">f2", ">f4", ">f8"):
    numpy.save(f"c{kind[1:]}{'b' if kind[0] == '>' else 'l'}.npy", rows.astype(kind))
    numpy.save(f"fortran{kind[1:]}{'b' if kind[0] == '>' else 'l'}.npy", numpy.asfortranarray(rows.astype(kind)))
numpy.savez("named.npz", names=numpy.array(names), embeddings=rows.astype("f4"), flipped=flipped.astype("f4"), other=rows)
numpy.savez_compressed("single.npz", feats=rows.astype("f2"), paths=numpy.array(names).astype("S"))
for i, item in enumerate((pyarrow.float16(), pyarrow.float32(), pyarrow.float64())):
    of = [numpy.asarray(r, dtype=item.to_pandas_dtype()) for r in rows]
    for called, kind in (("list", pyarrow.list_(item)), ("large", pyarrow.large_list(item)), ("fixed", pyarrow.list_(item, 3))):
        columns = {"image_path": names, "embedding": pyarrow.array(of, kind), "flipped": pyarrow.array([r[::-1] for r in of], kind)}
        pyarrow.parquet.write_table(pyarrow.table(columns), f"{called}{i}.parquet")
os.mkdir("shards")
for part in (0, 1):
    some = slice(2 * part, 2 * part + 2)
    table = pyarrow.table({"file": names[some], "vector": pyarrow.array(list(rows[some]), pyarrow.list_(pyarrow.float32()))})
    pyarrow.parquet.write_table(table, f"shards/part-{part}.parquet")
for name, row in zip(names, rows):
    for folder, head, suffix in (("mega", (3, 1, 4, 5), "_net_v2.bin"), ("lying", (1, 3, 12, 5), ".bin")):
        os.makedirs(f"{folder}/" + os.path.dirname(name), exist_ok=True)
        open(f"{folder}/{name}{suffix}", "wb").write(struct.pack("<4i", *head) + row.astype("<f4").tobytes())
open("trillion.bin", "wb").write(struct.pack("<4i", 4, 3, 12, 5) + rows.astype("<f4").tobytes())
open("wide.bin", "wb").write(struct.pack("<4i", 4, 3, 32, 6) + b"".join(r.astype("<f8").tobytes() + bytes(8) for r in rows))
"#;

#[test]
fn every_form_that_the_original_libraries_write_holds_the_same_rows() {
    let Some(python) = lfs_testing::python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run =
        std::process::Command::new(python).args(["-c", EVERY_FORM]).current_dir(dir.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let rows = [[3.0, 4.0, 0.5], [0.0, -2.0, 1.0], [1.0, 0.0, 0.25], [-0.5, 8.0, 2.0]];
    let names = ["Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bo/Bo_0001.jpg", "Bo/Bo_0003.jpg"];
    let mut count = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let v = Vectors::open(&path).map_err(|e| format!("{file}: {e}")).unwrap();
        assert_eq!((v.len(), v.width()), (4, 3), "{file}");
        let mut row = [0.0; 3];
        for (i, wanted) in rows.iter().enumerate() {
            v.raw(i, &mut row);
            assert_eq!(&row, wanted, "{file}, row {i}");
        }
        let has_names = !file.ends_with(".npy") && !file.ends_with("n.bin") && !file.ends_with("e.bin");
        let found = v.names().map(|n| n.iter().map(|n| n.image.as_str()).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), has_names.then_some(&names[..]), "{file}");
        let flipped = Vectors::open_flipped(&path).unwrap();
        assert_eq!(flipped.is_some(), file.starts_with("named") || file.ends_with(".parquet"), "{file}");
        if let Some(flipped) = flipped {
            flipped.raw(3, &mut row);
            assert_eq!(row, [2.0, 8.0, -0.5], "{file}");
        }
        count += 1;
    }
    assert_eq!(count, 12 + 2 + 9 + 1 + 2 + 2);
    std::fs::copy(dir.path().join("list2.parquet"), dir.path().join("shards/part-2.parquet")).unwrap();
    let says = Vectors::open(&dir.path().join("shards")).err().unwrap().to_string();
    assert!(says.contains("part-2.parquet") && says.contains("of another type"), "{says}");
}

#[test]
fn half_precision_tensors_and_names_beside_them_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let data: Vec<u8> = [3.0, 4.0, 0.0, -2.0].iter().flat_map(|x| bf16::from_f64(*x).to_le_bytes()).collect();
    let view = TensorView::new(Dtype::BF16, vec![2, 2], &data).unwrap();
    std::fs::write(dir.path().join(FILE), serialize([("embeddings", view)], None).unwrap()).unwrap();
    std::fs::write(dir.path().join(NAMES), "a/1.jpg\tAnn\nb/2.jpg\tBo\n").unwrap();
    let v = Vectors::open(dir.path()).unwrap();
    let mut row = [0.0; 2];
    v.raw(0, &mut row);
    assert_eq!((row, v.names().unwrap()[1].person.as_deref()), ([3.0, 4.0], Some("Bo")));
    std::fs::write(dir.path().join(NAMES), "a/1.jpg\n").unwrap();
    assert!(Vectors::open(dir.path()).err().unwrap().to_string().contains("1 names for 2 rows"));
}

#[test]
fn a_folder_with_files_that_do_not_belong_names_them() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Vectors::open(dir.path()).err().unwrap().to_string().contains("no .bin file"));
    let file = |name: &str, words: [i32; 4], numbers: usize| {
        let head = words.iter().flat_map(|w| w.to_le_bytes());
        let bytes: Vec<u8> = head.chain(floats(&vec![1.0; numbers])).collect();
        std::fs::write(dir.path().join(name), bytes).unwrap();
    };
    file("a.jpg.bin", [3, 1, 4, 5], 3);
    for i in 0..12 {
        file(&format!("b{i:02}.jpg.bin"), [2, 1, 4, 5], 2);
    }
    let says = Vectors::open(dir.path()).err().unwrap().to_string();
    assert!(
        says.contains(
            "12 of 13 files are no embedding of 3 numbers as in the first: `b00.jpg.bin` (2 numbers)"
        ),
        "{says}"
    );
    assert!(says.contains("`b09.jpg.bin`") && says.ends_with(" .."), "{says}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, kind in 0..3, at in 0_usize..200, value: u8) {
        let mut file = match kind {
            0 => npy_file("<f4", "(2, 2)", &floats(&[1.0, 2.0, 3.0, 4.0])),
            1 => tensor_file(&[[1.0, 2.0]]),
            _ => bytes,
        };
        if let Some(b) = file.get_mut(at) { *b = value; }
        if let Ok(v) = open(&file) { v.unit_rows(0, v.len().min(9), &mut Vec::new()); }
    }
}
