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
    /// The folder inside of the source that is the root of the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// Whether images may all lie deeper than `identity/image.jpg` (`identity/album/image.jpg`): the first folder is the identity.
    /// Without it, such a tree is refused, as the first folders are mostly `train` and `test` or the folder that was packed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("x-when" = {"layout": ["folders", "lfw", "sllfw"]}))]
    pub nested: bool,
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
}

impl Options {
    /// The root of the set in the source, without a slash at its end.
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
