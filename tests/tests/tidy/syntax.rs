//! The house as its syntax tells: which file imports which, and how long functions are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, ItemMod, ItemUse, Signature, UseTree, Visibility};

/// A module's path below its crate: `["api", "run"]`; the crate's root is empty.
type Module = Vec<String>;

/// A function, and how many lines it takes from its signature to its closing brace.
pub struct Function {
    pub name: String,
    pub lines: usize,
}

pub fn functions(text: &str) -> Vec<Function> {
    let mut found = Found::default();
    found.visit_file(&syn::parse_file(text).expect("it compiles"));
    found.0
}

#[derive(Default)]
struct Found(Vec<Function>);

impl Found {
    fn note(&mut self, signature: &Signature, block: &Block) {
        let lines = block.span().end().line - signature.span().start().line + 1;
        self.0.push(Function { name: signature.ident.to_string(), lines });
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}

/// Circles of files in the crate whose sources lie in `src`. A file and the folder of its name
/// are one room; what counts is that rooms beside each other have an order.
pub fn circles(src: &Path, files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let house = House::read(src, files);
    let parents: BTreeSet<&[String]> =
        house.modules.keys().filter_map(|m| m.split_last().map(|(_, parent)| parent)).collect();
    parents.into_iter().flat_map(|parent| house.circles_below(parent)).collect()
}

struct House {
    modules: BTreeMap<Module, Reader>,
}

impl House {
    fn read(src: &Path, files: &BTreeMap<PathBuf, String>) -> House {
        let mut modules = BTreeMap::new();
        for (path, text) in files {
            let Ok(below) = path.strip_prefix(src) else { continue };
            let below = below.with_extension("");
            let module: Module =
                below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let is_root = ["lib", "main"].contains(&module[0].as_str());
            if module[0] == "bin" || module.last().is_some_and(|name| name == "tests") {
                continue;
            }
            let mut reader = Reader::default();
            reader.visit_file(&syn::parse_file(text).expect("it compiles"));
            let module = if is_root { Module::new() } else { module };
            // A crate may have a library's root and a program's.
            let known: &mut Reader = modules.entry(module).or_default();
            known.paths.extend(reader.paths);
            known.published.extend(reader.published);
        }
        House { modules }
    }

    /// Which module a path that stands in `module` leads to; `None`: out of the crate.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let (mut at, rest) = match first.as_str() {
            "crate" => (Module::new(), rest),
            "self" => (module.to_vec(), rest),
            "super" => (module.split_last()?.1.to_vec(), rest),
            _ => (module.to_vec(), path),
        };
        for (n, name) in rest.iter().enumerate() {
            if name == "super" {
                at.pop();
                continue;
            }
            let below: Module = at.iter().chain([name]).cloned().collect();
            if self.modules.contains_key(&below) {
                at = below;
                continue;
            }
            let published = self.modules.get(&at).and_then(|reader| reader.published.get(name));
            return match published {
                Some(path) if depth < 5 => self.resolve(&at, path, depth + 1),
                _ if n == 0 && !["crate", "self", "super"].contains(&first.as_str()) => None,
                _ => Some(at),
            };
        }
        Some(at)
    }

    fn circles_below(&self, parent: &[String]) -> Option<String> {
        let room = |module: &Module| {
            let below = module.strip_prefix(parent)?;
            below.first().cloned()
        };
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, reader) in &self.modules {
            let Some(from) = room(module) else { continue };
            let to = reader.paths.iter().filter_map(|path| self.resolve(module, path, 0));
            let to = to.filter_map(|module| room(&module)).filter(|to| *to != from);
            arrows.entry(from.clone()).or_default().extend(to);
        }
        // Rooms that import nothing that is left are taken away; what stays goes in circles.
        loop {
            let done: Vec<String> = arrows
                .iter()
                .filter(|(_, to)| to.is_empty())
                .map(|(from, _)| from.clone())
                .collect();
            if done.is_empty() {
                break;
            }
            arrows.retain(|from, _| !done.contains(from));
            arrows.values_mut().for_each(|to| to.retain(|to| !done.contains(to)));
        }
        let told = |(from, to): (&String, &BTreeSet<String>)| {
            format!("{from} → {}", to.iter().cloned().collect::<Vec<_>>().join(", "))
        };
        let told: Vec<String> = arrows.iter().map(told).collect();
        (!told.is_empty()).then(|| format!("below {}: {}", parent.join("::"), told.join("; ")))
    }
}

/// What one file names, and what it publishes of others.
#[derive(Default)]
struct Reader {
    paths: BTreeSet<Vec<String>>,
    published: BTreeMap<String, Vec<String>>,
}

impl Reader {
    fn take(&mut self, tree: &UseTree, before: &[String], published: bool) {
        let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.take(&path.tree, &with(path.ident.to_string()), published),
            UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.take(item, before, published));
            }
            UseTree::Glob(_) => drop(self.paths.insert(before.to_vec())),
            UseTree::Name(name) => self.named(with(name.ident.to_string()), None, published),
            UseTree::Rename(name) => {
                let path = with(name.ident.to_string());
                self.named(path, Some(name.rename.to_string()), published);
            }
        }
    }

    fn named(&mut self, path: Vec<String>, name: Option<String>, published: bool) {
        let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
        match published {
            true => drop(self.published.insert(name, path)),
            false => drop(self.paths.insert(path)),
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.take(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if names.len() > 1 {
            self.paths.insert(names);
        }
        visit::visit_path(self, path);
    }

    /// Tests inside of a file may look wherever they like.
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }
}
