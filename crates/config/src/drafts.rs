//! `[templates]`: where drafts lie, which rule packs they are held against, and whether another
//! version goes by itself when Meta stops the planned one.

use std::path::{Path, PathBuf};

use templates::review::packs::Pack;

use crate::read::Section;

/// The pack that is used unless others are named.
const DEFAULT_PACK: &str = "sebi-2023-04";

#[derive(Clone, Debug)]
pub struct Drafts {
    /// Below it: `FAMILY/vN/LANGUAGE.toml`.
    pub dir: PathBuf,
    pub packs: Vec<Pack>,
    /// Whether the best approved version of the family goes while the planned one cannot.
    pub rotate: bool,
}

impl Drafts {
    /// Where nothing is configured: the folder `templates` below `home`.
    pub fn default_in(home: &Path) -> Self {
        let packs = Pack::built_in(DEFAULT_PACK).into_iter().collect();
        Drafts { dir: home.join("templates"), packs, rotate: true }
    }
}

pub fn read_drafts(section: &mut Section, home: &Path) -> Drafts {
    let defaults = Drafts::default_in(home);
    let dir = section.path("dir").map_or(defaults.dir, |dir| home.join(dir));
    let named = section.texts("packs").unwrap_or(vec![DEFAULT_PACK.to_owned()]);
    let mut packs: Vec<Pack> = Vec::new();
    for name in named {
        match read_pack(&name, home) {
            Ok(pack) if packs.iter().any(|held| held.id == pack.id) => {
                section.problem("packs", &format!("{:?} twice", pack.id), "each pack once");
            }
            Ok(pack) => packs.push(pack),
            Err(why) => {
                let known = Pack::BUILT_IN.join(", ");
                let expected = format!("{known}, or the path of a pack (.toml)");
                section.problem("packs", &format!("{name:?}: {why}"), &expected);
            }
        }
    }
    Drafts { dir, packs, rotate: section.flag("rotate", true) }
}

/// One that comes with Subah, or one of the house.
fn read_pack(name: &str, home: &Path) -> Result<Pack, String> {
    if let Some(pack) = Pack::built_in(name) {
        return Ok(pack);
    }
    if !name.ends_with(".toml") {
        return Err("there is no such pack".to_owned());
    }
    let text = std::fs::read_to_string(home.join(name)).map_err(|e| e.to_string())?;
    Pack::read(&text).map_err(|e| e.to_string())
}
