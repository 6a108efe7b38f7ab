//! Assigns the columns of a Parquet file.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int64Array, LargeBinaryArray, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, SchemaRef};
use lfs_faces::dataset::Points;
use parquet::arrow::ProjectionMask;
use parquet::schema::types::SchemaDescriptor;

use crate::DataError;

const IMAGE: [&str; 5] = ["image", "img", "jpg", "jpeg", "png"];
const LABEL: [&str; 9] =
    ["label", "identity", "person", "class", "id", "identity_id", "person_id", "cls", "name"];
const POINTS: [&str; 4] = ["landmarks", "points", "keypoints", "landmark"];
const PAIRS: [[&str; 2]; 4] =
    [["image1", "image2"], ["image_1", "image_2"], ["img1", "img2"], ["image_a", "image_b"]];
const SAME: [&str; 7] = ["target", "same", "issame", "is_same", "label", "match", "pair"];

/// The columns of faces or of pairs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns {
    images: Vec<String>,
    label: Option<String>,
    points: Option<String>,
    /// The names of the classes, by number.
    classes: Vec<String>,
}

impl Columns {
    pub(super) fn of(schema: &SchemaRef) -> Result<Self, DataError> {
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let first = |wanted: &[&str]| wanted.iter().find(|w| names.contains(*w)).map(|w| (*w).to_owned());
        if let Some(pair) = PAIRS.iter().find(|p| p.iter().all(|c| names.contains(c))) {
            let label = first(&SAME).ok_or_else(|| {
                DataError::new(format!(
                    "expected a column that says which pairs show one person ({}), found {}",
                    SAME.join(", "),
                    names.join(", ")
                ))
            })?;
            let images = pair.iter().map(|c| (*c).to_owned()).collect();
            return Ok(Self { images, label: Some(label), points: None, classes: Vec::new() });
        }
        let Some(image) = first(&IMAGE) else {
            return Err(DataError::new(format!(
                "expected a column of images ({}), or two of them ({}), found {}",
                IMAGE.join(", "),
                PAIRS.map(|p| p.join(" and ")).join(", "),
                names.join(", ")
            )));
        };
        let label = first(&LABEL);
        let classes = label.as_deref().map(|l| classes(schema, l)).unwrap_or_default();
        Ok(Self { images: vec![image], label, points: first(&POINTS), classes })
    }

    /// The number of images in a row.
    pub(super) fn images(&self) -> usize {
        self.images.len()
    }

    /// Restricts reading to these columns.
    pub(super) fn mask(&self, schema: &SchemaDescriptor) -> ProjectionMask {
        let wanted = self.images.iter().chain(&self.label).chain(&self.points);
        ProjectionMask::columns(schema, wanted.map(String::as_str))
    }
}

/// The names of a class label's values, which the `datasets` library stores in the file's metadata.
fn classes(schema: &SchemaRef, label: &str) -> Vec<String> {
    let note =
        schema.metadata().get("huggingface").and_then(|t| serde_json::from_str::<serde_json::Value>(t).ok());
    let names = note.as_ref().and_then(|n| n["info"]["features"][label]["names"].as_array());
    names.map(|n| n.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()).unwrap_or_default()
}

/// A batch of rows.
pub(super) struct Batch {
    rows: usize,
    images: Vec<LargeBinaryArray>,
    labels: Option<Labels>,
    points: Option<ArrayRef>,
    classes: Vec<String>,
}

enum Labels {
    Numbers(Int64Array),
    Texts(StringArray),
}

impl Batch {
    pub(super) fn of(columns: &Columns, batch: &RecordBatch) -> Result<Self, DataError> {
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .cloned()
                .ok_or_else(|| DataError::new(format!("the column `{name}` is missing")))
        };
        let images =
            columns.images.iter().map(|name| bytes(name, &column(name)?)).collect::<Result<_, _>>()?;
        let labels = columns.label.as_deref().map(|name| labels(name, &column(name)?)).transpose()?;
        let points = columns.points.as_deref().map(column).transpose()?;
        Ok(Self { rows: batch.num_rows(), images, labels, points, classes: columns.classes.clone() })
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    pub(super) fn is_pairs(&self) -> bool {
        self.images.len() == 2
    }

    /// The images of a row; none for an image without bytes.
    pub(super) fn images(&self, row: usize) -> impl Iterator<Item = Option<&[u8]>> {
        self.images.iter().map(move |c| (c.is_valid(row) && !c.value(row).is_empty()).then(|| c.value(row)))
    }

    /// The identity of a row.
    pub(super) fn label(&self, row: usize) -> Option<String> {
        match self.labels.as_ref()? {
            Labels::Numbers(n) if n.is_valid(row) => {
                let number = n.value(row);
                let named = usize::try_from(number).ok().and_then(|k| self.classes.get(k)).cloned();
                Some(named.unwrap_or_else(|| number.to_string()))
            }
            Labels::Texts(t) if t.is_valid(row) => Some(t.value(row).to_owned()),
            _ => None,
        }
    }

    /// Whether the two images of a row are a genuine pair.
    pub(super) fn same(&self, row: usize) -> Option<bool> {
        match self.labels.as_ref()? {
            Labels::Numbers(n) if n.is_valid(row) => match n.value(row) {
                0 | -1 => Some(false),
                1 => Some(true),
                _ => None,
            },
            _ => None,
        }
    }

    /// The five points of a row.
    pub(super) fn points(&self, row: usize) -> Result<Option<Points>, DataError> {
        let Some(column) = self.points.as_ref().filter(|c| c.is_valid(row)) else { return Ok(None) };
        let list = cast(
            column,
            &DataType::LargeList(std::sync::Arc::new(arrow_schema::Field::new(
                "item",
                DataType::Float32,
                true,
            ))),
        );
        let list = list.map_err(|e| DataError::new(format!("landmarks are no list of numbers: {e}")))?;
        let numbers = list.as_list::<i64>().value(row);
        let numbers = numbers.as_primitive::<Float32Type>();
        if numbers.len() != 10 {
            return Err(DataError::new(format!(
                "expected ten coordinates of five points, found {}",
                numbers.len()
            )));
        }
        let mut points = Points::default();
        points.as_flattened_mut().copy_from_slice(numbers.values());
        Ok(Some(points))
    }
}

/// A column of images: bytes, or a struct with a field of bytes.
fn bytes(name: &str, column: &ArrayRef) -> Result<LargeBinaryArray, DataError> {
    let off =
        || DataError::new(format!("the column `{name}` holds {}, no bytes of images", column.data_type()));
    let inner = match column.data_type() {
        DataType::Struct(_) => column.as_struct().column_by_name("bytes").cloned().ok_or_else(off)?,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => column.clone(),
        _ => return Err(off()),
    };
    let cast = cast(&inner, &DataType::LargeBinary).map_err(|_| off())?;
    Ok(cast.as_binary::<i64>().clone())
}

fn labels(name: &str, column: &ArrayRef) -> Result<Labels, DataError> {
    let off = |e: arrow_schema::ArrowError| DataError::new(format!("the column `{name}` is no label: {e}"));
    if column.data_type().is_integer() || *column.data_type() == DataType::Boolean {
        let numbers = cast(column, &DataType::Int64).map_err(off)?;
        return Ok(Labels::Numbers(numbers.as_primitive::<Int64Type>().clone()));
    }
    let texts = cast(column, &DataType::Utf8).map_err(off)?;
    Ok(Labels::Texts(texts.as_string::<i32>().clone()))
}
