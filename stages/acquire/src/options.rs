//! The parameters.

use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `acquire`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Options {
    /// How the source is laid out.
    pub layout: Layout,
    /// The SHA-256 digest that the source must have, 64 hexadecimal digits. Of a folder: the digest of what
    /// `sha256sum` prints for its files, sorted by path in byte order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The BLAKE3 digest that the source must have, 64 hexadecimal digits. Of a folder: as `b3sum` prints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    /// The folder inside of the source that is the root of the set; or an archive in it (`lfw.tgz`), or a folder in that
    /// (`lfw.tgz/lfw`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// Whether images may all lie deeper than `identity/image.jpg` (`identity/album/image.jpg`): the first folder is the identity.
    /// Without it, such a tree is refused, as the first folders are mostly `train` and `test` or the folder that was packed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("x-when" = {"layout": ["folders", "lfw", "sllfw"]}))]
    pub nested: bool,
    /// Whether the images of a container are aligned crops, ready to train on: square, and all of one size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("x-when" = {"layout": ["container", "pairs"]}))]
    pub crops: bool,
    /// The order of the colour channels in the images of a container.
    #[serde(default)]
    #[schemars(extend("x-when" = {"layout": ["container", "pairs"]}))]
    pub colours: Colours,
    /// What to do when the index of a RecordIO container is missing.
    #[serde(default)]
    #[schemars(extend("x-when" = {"layout": ["container"]}))]
    pub index: Index,
    /// How many times larger than the archive its content may be (beyond the first gibibyte, which is free): more is taken for an attack.
    #[serde(default = "ratio")]
    #[schemars(range(min = 1, max = 100_000))]
    pub unpack_ratio: u32,
}

fn ratio() -> u32 {
    100
}

/// The layouts that are known: how a set's makers distribute it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `identity/image.jpg`.
    Folders,
    /// LFW: `Name/Name_0001.jpg`, `pairs.txt`.
    Lfw,
    /// SLLFW: as LFW, `pair_SLLFW.txt`.
    Sllfw,
    /// CALFW: `images/Name_0001.jpg`, `CA_landmarks/`, `pairs_CALFW.txt`.
    Calfw,
    /// CPLFW: `images/Name_1.jpg`, `CP_landmarks/`, `pairs_CPLFW.txt`.
    Cplfw,
    /// AgeDB: `AgeDB/0_Name_30_m.jpg`, `landmarks/*.pts`, `splits.mat`.
    Agedb,
    /// CFP: `Data/Images/001/frontal/01.jpg`, `Data/Fiducials/`, `Protocol/`.
    Cfp,
    /// RFW: `data/Race/id/id_0001.jpg`, `txts/`.
    Rfw,
    /// MegaFace: `facescrub/`, `distractors/` and their JSON lists.
    Megaface,
    /// Trillion-Pairs: `testdata/`, `testdata_lmk.txt`, perhaps `labels.tsv`.
    TrillionPairs,
    /// XQLFW: as LFW, `xqlfw_pairs.txt`.
    Xqlfw,
    /// IJB-B as InsightFace hands it out: `loose_crop/1.jpg`, `meta/ijbb_*`.
    IjbB,
    /// IJB-C as InsightFace hands it out: `loose_crop/1.jpg`, `meta/ijbc_*`.
    IjbC,
    /// TinyFace: `Testing_Set/` with `Probe/`, `Gallery_Match/`, `Gallery_Distractor/` and two `.mat` lists.
    Tinyface,
    /// A gallery and probes of one's own: images, and `labels.tsv` with lines `image role person`.
    Gallery,
    /// A container of images with their identities: RecordIO as InsightFace packs it, Parquet, WebDataset, LMDB, NumPy, zip, tar,
    /// folders; the format is detected from the content.
    Container,
    /// Sets of pairs, each file in the folder one: `lfw.bin` and the like as InsightFace packs them, Parquet with two columns of images.
    Pairs,
}

/// The order of the colour channels in the images of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Colours {
    /// RGB. Crops are checked: blue faces are refused.
    #[default]
    Rgb,
    /// BGR: they are swapped here, and the images become PNG.
    Bgr,
    /// Not checked.
    AsFound,
}

/// What to do when the index of a RecordIO container is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Index {
    /// Stop with an error.
    #[default]
    Required,
    /// Read the records one after the other.
    Scan,
}

impl Options {
    /// The root of the set in the source, without a trailing slash.
    pub(crate) fn within(&self) -> Option<&str> {
        self.within.as_deref().map(|w| w.trim_end_matches('/'))
    }

    pub(crate) fn check(&self) -> Result<()> {
        for (name, digest) in [("sha256", &self.sha256), ("blake3", &self.blake3)] {
            if let Some(d) = digest
                && (d.len() != 64 || !d.bytes().all(|b| b.is_ascii_hexdigit()))
            {
                return Err(Failure::new(format!("`{name}` must be 64 hexadecimal digits, found `{d}`")));
            }
        }
        if let Some(within) = self.within()
            && (within.is_empty()
                || within.split('/').any(|p| matches!(p, "" | "." | ".."))
                || within.contains('\\'))
        {
            return Err(Failure::new(format!(
                "`within` must be a relative path below the source, like `data/images`; found `{within}`"
            )));
        }
        Ok(())
    }
}
