//! MATLAB's MAT-files of version 5, as far as AgeDB's protocol needs them: numbers, text, cells and structs.
//!
//! Format (MathWorks, *MAT-File Format*, level 5): a header of 128 bytes, then elements, each with a tag (type, number of bytes)
//! and its data padded to 8 bytes; an array is an element that contains flags, dimensions, a name and its parts. Elements may be
//! zlib-compressed. Arrays are column-major.

mod read;
mod write;

pub use read::read;
pub use write::write;

use crate::DataError;

/// A MATLAB array.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Real numbers of any class, as double (integers above 2^53 are rounded).
    Numbers {
        /// Rows, columns, ..
        dims: Vec<usize>,
        /// Column-major.
        values: Vec<f64>,
    },
    /// Text: one string for each row.
    Text(Vec<String>),
    /// A cell array.
    Cells {
        /// Rows, columns, ..
        dims: Vec<usize>,
        /// Column-major.
        items: Vec<Value>,
    },
    /// A struct array.
    Structs {
        /// Rows, columns, ..
        dims: Vec<usize>,
        /// The field names.
        fields: Vec<String>,
        /// For each struct, column-major, the values of its fields in the order of `fields`.
        items: Vec<Vec<Value>>,
    },
    /// An array of an unsupported class (sparse, complex, object, ..): the name of the class.
    Other(String),
}

impl Value {
    /// A row of numbers, 1 x n.
    pub fn row(values: Vec<f64>) -> Self {
        Self::Numbers { dims: vec![1, values.len()], values }
    }

    /// One line of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(vec![text.into()])
    }

    /// A description of the array, for messages: `a 2x600 cell array`.
    pub fn what(&self) -> String {
        let sides = |dims: &[usize]| dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        match self {
            Self::Numbers { dims, .. } => format!("a {} array of numbers", sides(dims)),
            Self::Text(rows) => format!("text of {} rows", rows.len()),
            Self::Cells { dims, .. } => format!("a {} cell array", sides(dims)),
            Self::Structs { dims, fields, .. } => {
                format!("a {} struct array with the fields {}", sides(dims), fields.join(", "))
            }
            Self::Other(class) => format!("an array of the unsupported class `{class}`"),
        }
    }

    /// The numbers, column-major.
    ///
    /// # Errors
    /// If it has another class.
    pub fn numbers(&self) -> Result<&[f64], DataError> {
        match self {
            Self::Numbers { values, .. } => Ok(values),
            other => Err(DataError::new(format!("expected numbers, found {}", other.what()))),
        }
    }

    /// The text, if it has at most one line.
    ///
    /// # Errors
    /// If it is something else.
    pub fn line(&self) -> Result<&str, DataError> {
        match self {
            Self::Text(rows) if rows.len() <= 1 => Ok(rows.first().map_or("", String::as_str)),
            other => Err(DataError::new(format!("expected one line of text, found {}", other.what()))),
        }
    }

    /// A single line of text, or a cell that contains only one: some writers put names into cells of their own.
    ///
    /// # Errors
    /// If it is something else.
    pub fn name(&self) -> Result<&str, DataError> {
        match self {
            Self::Cells { items, .. } if items.len() == 1 => items[0].line(),
            other => other.line(),
        }
    }

    /// Dimensions and items (column-major) of a cell array.
    ///
    /// # Errors
    /// If it has another class.
    pub fn cells(&self) -> Result<(&[usize], &[Value]), DataError> {
        match self {
            Self::Cells { dims, items } => Ok((dims, items)),
            other => Err(DataError::new(format!("expected a cell array, found {}", other.what()))),
        }
    }

    /// The number of structs in a struct array.
    ///
    /// # Errors
    /// If it has another class.
    pub fn structs(&self) -> Result<usize, DataError> {
        match self {
            Self::Structs { items, .. } => Ok(items.len()),
            other => Err(DataError::new(format!("expected a struct array, found {}", other.what()))),
        }
    }

    /// The field `name` of the struct at `index`.
    ///
    /// # Errors
    /// If it is no struct array, or there is no such struct or field.
    pub fn field(&self, index: usize, name: &str) -> Result<&Value, DataError> {
        let Self::Structs { fields, items, .. } = self else {
            return Err(DataError::new(format!("expected a struct array, found {}", self.what())));
        };
        fields.iter().position(|f| f == name).and_then(|k| items.get(index)?.get(k)).ok_or_else(|| {
            DataError::new(format!("there is no field `{name}` of struct {index} in {}", self.what()))
        })
    }
}

/// The variable `name` of a file's variables.
///
/// # Errors
/// If there is none; the message lists the existing ones.
pub fn variable<'a>(variables: &'a [(String, Value)], name: &str) -> Result<&'a Value, DataError> {
    variables.iter().find(|(n, _)| n == name).map(|(_, v)| v).ok_or_else(|| {
        let names: Vec<&str> = variables.iter().map(|(n, _)| n.as_str()).collect();
        DataError::new(format!("the MAT-file has no variable `{name}`; it has: {}", names.join(", ")))
    })
}

/// Element types.
mod mi {
    pub(super) const INT8: u32 = 1;
    pub(super) const UINT8: u32 = 2;
    pub(super) const INT16: u32 = 3;
    pub(super) const UINT16: u32 = 4;
    pub(super) const INT32: u32 = 5;
    pub(super) const UINT32: u32 = 6;
    pub(super) const SINGLE: u32 = 7;
    pub(super) const DOUBLE: u32 = 9;
    pub(super) const INT64: u32 = 12;
    pub(super) const UINT64: u32 = 13;
    pub(super) const MATRIX: u32 = 14;
    pub(super) const COMPRESSED: u32 = 15;
    pub(super) const UTF8: u32 = 16;
    pub(super) const UTF16: u32 = 17;
    pub(super) const UTF32: u32 = 18;
}

/// Array classes.
mod mx {
    pub(super) const CELL: u8 = 1;
    pub(super) const STRUCT: u8 = 2;
    pub(super) const CHAR: u8 = 4;
    pub(super) const DOUBLE: u8 = 6;
    pub(super) const NAMES: [&str; 18] = [
        "unknown",
        "cell",
        "struct",
        "object",
        "char",
        "sparse",
        "double",
        "single",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "function handle",
        "opaque",
    ];
}

#[cfg(test)]
mod tests;
