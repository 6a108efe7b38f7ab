//! Faces that a layout lists, before they are read.

use lfs_faces::dataset::Points;

/// A face to be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Planned {
    /// The name in the data set.
    pub(crate) name: String,
    /// The file, relative to the root of the source.
    pub(crate) file: String,
    pub(crate) identity: String,
    pub(crate) points: Option<Points>,
    pub(crate) group: Option<String>,
}
