//! `lfs-pipe init`

use super::args::{InitArgs, MANIFEST, Template};
use super::print::print;
use crate::fault::{At, Fault, Result};
use crate::manifest::shown;

pub(super) fn init(args: &InitArgs) -> Result<()> {
    let files: &[(&str, &str)] = match args.template {
        Template::Commands => &[
            (MANIFEST, include_str!("templates/commands.toml")),
            ("list.txt", "apple\nbanana\navocado\ncherry\n"),
        ],
        Template::Faces => &[(MANIFEST, include_str!("templates/faces.toml"))],
        Template::Paper => &[(MANIFEST, include_str!("../../pipeline.toml"))],
        Template::Insightface => &[(MANIFEST, include_str!("../../pipelines/insightface.toml"))],
    };
    if let Some((name, _)) = files.iter().find(|(name, _)| args.folder.join(name).symlink_metadata().is_ok())
    {
        return Err(Fault::usage(format!("{} is there already", shown(&args.folder.join(name))))
            .with_help("nothing was written; name another folder"));
    }
    std::fs::create_dir_all(&args.folder).at("create", &args.folder)?;
    let mut text = String::new();
    for (name, content) in files {
        let path = args.folder.join(name);
        // A manifest of this repository has its cache next to the folder `pipelines`.
        let content = content
            .replace("cache = \"../cache\"\n", "")
            .replace("out = \"out/insightface\"\n", "")
            .replace(" -f pipelines/insightface.toml", "");
        std::fs::write(&path, content).at("write", &path)?;
        text += &format!("written: {}\n", shown(&path));
    }
    text += match args.template {
        Template::Commands | Template::Paper => "next: lfs-pipe run\n",
        Template::Faces => {
            "next: put the photographs where the head of the manifest says, then lfs-pipe run\n"
        }
        Template::Insightface => "next: lfs-pipe run --set data=DIR, with the folder of train.rec\n",
    };
    print(&text)
}
