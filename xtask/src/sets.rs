//! The data sets of the paper's tables: whose they are, where they are looked for, how large they are. Nothing is fetched:
//! their licences are between the user and their makers.

use std::path::Path;

/// A data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// What it is called.
    pub name: &'static str,
    /// Who made it.
    pub makers: &'static str,
    /// Its images, as its makers count them.
    pub images: u64,
    /// Bytes on the disk, where they are known.
    pub bytes: Option<u64>,
    /// What is read.
    pub parts: &'static [Part],
    /// What to know of getting it.
    pub note: &'static str,
}

/// A file or folder that must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Below the folder of all sets; a folder's ends in `/`.
    pub path: &'static str,
    /// What it holds.
    pub what: &'static str,
}

const LIST: &str = "path, x1, y1 .. x5, y5 of each image, separated by tabs";

const CASIA: Set = Set {
    name: "CASIA-WebFace (training)",
    makers: "the Institute of Automation, Chinese Academy of Sciences",
    images: 494_414,
    bytes: None,
    parts: &[
        Part {
            path: "casia-webface/",
            what: "<name>/<image>.jpg; rename its numbered folders by the makers' list of names (Aaron_Eckhart)",
        },
        Part { path: "casia-webface.landmarks.tsv", what: LIST },
    ],
    note: "shared persons are found by name, so folders must carry names",
};

const MS_CELEB: Set = Set {
    name: "MS-Celeb-1M-v1c (training)",
    makers: "Microsoft (MS-Celeb-1M), cleaned by DeepGlint",
    images: 3_923_399,
    bytes: None,
    parts: &[
        Part {
            path: "ms-celeb-1m-v1c/",
            what: "<id>/<image>.jpg; ids of Freebase (m.xxx) find the persons of RFW, names those of the other sets",
        },
        Part { path: "ms-celeb-1m-v1c.landmarks.tsv", what: LIST },
    ],
    note: "CC BY-NC 4.0 by its makers",
};

const LFW: Set = Set {
    name: "LFW",
    makers: "the University of Massachusetts, Amherst",
    images: 13_233,
    bytes: None,
    parts: &[
        Part { path: "lfw/", what: "<Name>/<Name>_0001.jpg, pairs.txt" },
        Part { path: "lfw.landmarks.tsv", what: LIST },
    ],
    note: "",
};

const SLLFW: Set = Set {
    name: "SLLFW",
    makers: "Beijing University of Posts and Telecommunications",
    images: 13_233,
    bytes: None,
    parts: &[Part {
        path: "sllfw/",
        what: "LFW's images again, and pair_SLLFW.txt; lfw.landmarks.tsv serves both",
    }],
    note: "",
};

const CALFW: Set = Set {
    name: "CALFW",
    makers: "Beijing University of Posts and Telecommunications",
    images: 12_174,
    bytes: None,
    parts: &[Part { path: "calfw/", what: "images/<Name>_0001.jpg, CA_landmarks/, pairs_CALFW.txt" }],
    note: "",
};

const CPLFW: Set = Set {
    name: "CPLFW",
    makers: "Beijing University of Posts and Telecommunications",
    images: 11_652,
    bytes: None,
    parts: &[Part { path: "cplfw/", what: "images/<Name>_1.jpg, CP_landmarks/, pairs_CPLFW.txt" }],
    note: "",
};

const AGEDB: Set = Set {
    name: "AgeDB-30",
    makers: "Imperial College London",
    images: 16_488,
    bytes: None,
    parts: &[Part { path: "agedb/", what: "AgeDB/0_<Name>_30_m.jpg, landmarks/*.pts, splits.mat" }],
    note: "",
};

const CFP: Set = Set {
    name: "CFP-FP",
    makers: "the University of Maryland",
    images: 7_000,
    bytes: None,
    parts: &[Part { path: "cfp/", what: "Data/Images/001/frontal/01.jpg, Data/Fiducials/, Protocol/" }],
    note: "",
};

const RFW: Set = Set {
    name: "RFW",
    makers: "Beijing University of Posts and Telecommunications",
    images: 40_607,
    bytes: None,
    parts: &[Part {
        path: "rfw/",
        what: "data/<Race>/<id>/<id>_0001.jpg, txts/<Race>/<Race>_pairs.txt and <Race>_lmk.txt",
    }],
    note: "its makers hand it out on request, for research alone",
};

const MEGAFACE: Set = Set {
    name: "MegaFace, with FaceScrub's probes",
    makers: "the University of Washington",
    images: 1_003_530,
    bytes: None,
    parts: &[
        Part {
            path: "megaface/",
            what: "facescrub/, distractors/, facescrub_features_list.json, megaface_features_list.json_<size>_<set>, *_noises.txt",
        },
        Part { path: "megaface.landmarks.tsv", what: LIST },
    ],
    note: "withdrawn by its makers: only who has a copy can use it",
};

const TRILLION_PAIRS: Set = Set {
    name: "Trillion-Pairs",
    makers: "DeepGlint",
    images: 1_862_120,
    bytes: None,
    parts: &[
        Part { path: "trillion-pairs/", what: "testdata/, testdata_lmk.txt, labels.tsv" },
        Part { path: "trillion-pairs.landmarks.tsv", what: LIST },
    ],
    note: "its labels were never published: labels.tsv is one of your own",
};

/// A table of the paper, and what a run of it takes.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The name of its manifest.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// The sets; the first one is trained on.
    pub sets: &'static [Set],
    /// Images that are left to train on, without persons of test sets.
    pub trained_on: u64,
    /// The number of epochs over these images, in all trainings together.
    pub passes: u64,
    /// How this number is computed.
    pub sum: &'static str,
    /// Models with which embeddings of the test sets are computed.
    pub models: u64,
    /// The settings that make the rehearsal one of this table; none where there is no rehearsal.
    pub rehearsal: Option<Rehearsal>,
}

/// What differs between rehearsals.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal {
    /// Settings of `pipelines/rehearse.toml`, as `--set` takes them.
    pub settings: &'static [&'static str],
    /// Minutes on two cores: without and with other work on them. Measured for table 2.
    pub minutes: &'static str,
}

const CASIA_SUM: &str =
    "30 epochs x (6 plain methods + 2 searches, 4 candidates in each of 28 epochs and one in 2) = 408";
const MS_SUM: &str =
    "12 epochs x (6 plain methods + 2 searches, 4 candidates in each of 10 epochs and one in 2) = 156";

const SIX: [&str; 2] = [
    r#"sets=["lfw", "sllfw", "calfw", "cplfw", "agedb", "cfp"]"#,
    r#"world.sets=["train", "lfw", "sllfw", "calfw", "cplfw", "agedb", "cfp"]"#,
];
const GALLERIES: [&str; 4] = [
    r#"sets=["megaface", "trillion-pairs"]"#,
    r#"world.sets=["train", "megaface", "trillion-pairs"]"#,
    "fars=[1e-2]",
    "identification-fars=[3e-1]",
];
/// The larger training set, with its schedule.
const LARGER: [&str; 2] = ["world.identities=260", "train.milestones=[4, 8, 10]"];

/// The tables.
pub const TABLES: [Table; 7] = [
    Table {
        name: "table1",
        title: "six verification sets, trained on CASIA-WebFace-R",
        sets: &[CASIA, LFW, SLLFW, CALFW, CPLFW, AGEDB, CFP],
        trained_on: 450_000,
        passes: 408,
        sum: CASIA_SUM,
        models: 8,
        rehearsal: Some(Rehearsal { settings: &SIX, minutes: "3 to 6" }),
    },
    Table {
        name: "table2",
        title: "RFW, accuracy by group, trained on CASIA-WebFace-R",
        sets: &[CASIA, RFW],
        trained_on: 450_000,
        passes: 408,
        sum: CASIA_SUM,
        models: 8,
        rehearsal: Some(Rehearsal { settings: &[], minutes: "2 to 6" }),
    },
    Table {
        name: "table3",
        title: "RFW, accuracy by group, trained on MS-Celeb-1M-v1c-R",
        sets: &[MS_CELEB, RFW],
        trained_on: 3_280_000,
        passes: 156,
        sum: MS_SUM,
        models: 8,
        rehearsal: Some(Rehearsal { settings: &LARGER, minutes: "4 to 8" }),
    },
    Table {
        name: "table4",
        title: "MegaFace and Trillion-Pairs, trained on CASIA-WebFace-R",
        sets: &[CASIA, MEGAFACE, TRILLION_PAIRS],
        trained_on: 450_000,
        passes: 408,
        sum: CASIA_SUM,
        models: 8,
        rehearsal: Some(Rehearsal { settings: &GALLERIES, minutes: "3 to 6" }),
    },
    Table {
        name: "table5",
        title: "MegaFace and Trillion-Pairs, trained on MS-Celeb-1M-v1c-R",
        sets: &[MS_CELEB, MEGAFACE, TRILLION_PAIRS],
        trained_on: 3_280_000,
        passes: 156,
        sum: MS_SUM,
        models: 8,
        rehearsal: Some(Rehearsal {
            settings: &[GALLERIES[0], GALLERIES[1], GALLERIES[2], GALLERIES[3], LARGER[0], LARGER[1]],
            minutes: "4 to 8",
        }),
    },
    Table {
        name: "ablation-a",
        title: "L5 with a constant a, trained on MS-Celeb-1M-v1c-R",
        sets: &[MS_CELEB, LFW, SLLFW],
        trained_on: 3_280_000,
        passes: 72,
        sum: "12 epochs x 6 values of a = 72",
        models: 6,
        rehearsal: None,
    },
    Table {
        name: "ablation-b",
        title: "Search-Softmax with B candidates, trained on MS-Celeb-1M-v1c-R",
        sets: &[MS_CELEB, LFW, SLLFW],
        trained_on: 3_280_000,
        passes: 152,
        sum: "2 epochs + 10 epochs x (1 + 2 + 4 + 8 candidates) = 152",
        models: 4,
        rehearsal: None,
    },
];

/// Images a second that two processor cores train on, with MobileFaceNet at 112 x 112: what forecasts assume.
pub const TRAINED: u64 = 30;
/// Images a second whose embeddings two cores compute: a training step is about three times as much work.
pub const EMBEDDED: u64 = 90;

impl Table {
    /// The table of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|t| t.name == name)
    }

    /// Days that a set takes on two cores: to train on the first, to compute the embeddings of the others.
    pub fn days(&self, set: &Set) -> f64 {
        let seconds = match self.sets.first() == Some(set) {
            true => (self.trained_on * self.passes) as f64 / TRAINED as f64,
            false => (set.images * self.models) as f64 / EMBEDDED as f64,
        };
        seconds / 86_400.0
    }
}

/// Whether a part is available, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum There {
    /// It is available.
    Found,
    /// It is missing, with the reason if there is one.
    Missing(String),
}

impl Part {
    /// Looks for it below a folder.
    pub fn look(&self, folder: &Path) -> There {
        let path = folder.join(self.path.trim_end_matches('/'));
        let is_folder = self.path.ends_with('/');
        match path.metadata() {
            Ok(meta) if meta.is_dir() == is_folder && (is_folder || meta.is_file()) => There::Found,
            Ok(meta) if meta.is_dir() => {
                There::Missing("a folder is there, and a file is expected".to_owned())
            }
            Ok(_) if is_folder => There::Missing("a file is there, and a folder is expected".to_owned()),
            Ok(_) => There::Missing("it is no ordinary file".to_owned()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let dangles = path.symlink_metadata().is_ok();
                There::Missing(if dangles { "the link there leads nowhere" } else { "" }.to_owned())
            }
            Err(e) => There::Missing(format!("it cannot be read: {e}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forecasts_are_those_of_the_manifests() {
        let days = |name: &str| {
            let table = Table::named(name).unwrap();
            (table.days(&table.sets[0]) * 10.0).round() / 10.0
        };
        // 450,000 x 30 / 30 / 86,400 is 5.2 days a plain training, and there are 13.6 of them.
        assert_eq!((days("table2"), days("table3")), (70.8, 197.4));
        assert_eq!((days("ablation-a"), days("ablation-b")), (91.1, 192.3));
    }

    /// What a manifest reads below `data`: each `path = "${vars.data}/.."`, with the sets of the table put in.
    fn read_by(manifest: &str) -> Vec<String> {
        let after = |line: &str, begin: &str, end: char| -> Option<String> {
            let rest = &line[line.find(begin)? + begin.len()..];
            Some(rest[..rest.find(end)?].to_owned())
        };
        let quoted =
            |list: &str| -> Vec<String> { list.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
        let vars = manifest.lines().find_map(|l| after(l, "sets = [", ']')).unwrap();
        let training = manifest.lines().find_map(|l| after(l, "training = \"", '"')).unwrap_or_default();
        let (mut sets, mut all) = (vec![], vec![]);
        for line in manifest.lines() {
            if line.starts_with("[stage.") {
                sets = quoted(&vars);
            }
            if let Some(own) = after(line, "matrix = { set = [", ']') {
                sets = quoted(&own);
            }
            let Some(path) = after(line, "path = \"${vars.data}/", '"') else { continue };
            let path = path.replace("${vars.training}", &training);
            all.extend(sets.iter().map(|s| path.replace("${matrix.set}", s)));
        }
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn what_is_looked_for_is_what_the_manifest_reads() {
        let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines");
        for table in TABLES {
            let text = std::fs::read_to_string(pipelines.join(format!("{}.toml", table.name))).unwrap();
            let parts = table.sets.iter().flat_map(|s| s.parts);
            let mut looked_for: Vec<String> =
                parts.map(|p| p.path.trim_end_matches('/').to_owned()).collect();
            looked_for.sort();
            assert_eq!(looked_for, read_by(&text), "{}", table.name);
        }
    }
}
