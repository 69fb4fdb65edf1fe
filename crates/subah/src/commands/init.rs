//! Makes a folder to begin with: configuration, sample recipients and content.

use std::path::Path;

use anyhow::{Context, Result};

use desk::Answer;

const FILES: &[(&str, &str)] = &[
    ("subah.toml", include_str!("../../../../deploy/config.default.toml")),
    ("recipients.csv", include_str!("init/recipients.csv")),
    ("content.ndjson", include_str!("init/content.ndjson")),
];

pub fn run(dir: &Path) -> Result<Answer> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    for (name, text) in FILES {
        let path = dir.join(name);
        if path.exists() {
            println!("kept  {}", path.display());
            continue;
        }
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    let dir = dir.display();
    println!(
        "\nNext:\n  cd {dir}\n  subah recipients import recipients.csv\n  \
         subah content import content.ndjson --date today\n  subah plan\n  subah rehearse\n\
         Then put your own number, template and credentials into subah.toml and run `subah check`."
    );
    Ok(Answer::Yes)
}
