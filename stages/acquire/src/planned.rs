//! What a layout says of a face, before it is read.

use lfs_faces::dataset::Points;

/// A face that is to be read.
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
