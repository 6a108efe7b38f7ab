//! The schema of `faces.arrow`.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

/// The columns, in file order.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("image", DataType::LargeBinary, false),
        Field::new("identity", DataType::UInt32, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("points", DataType::FixedSizeList(coordinate(), 10), true),
        Field::new("group", DataType::Utf8, true),
        Field::new("flags", DataType::UInt32, false),
    ]))
}

/// The element of the `points` column.
pub(super) fn coordinate() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, false))
}
