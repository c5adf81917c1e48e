//! The modules of one crate, and which file each of their paths leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::reader::{self, Scope, Use};

/// Names looked up behind one another at most: aliases of aliases, and globs that go round.
const STEPS_LIMIT: usize = 16;

/// From a file to the files whose items it names, with one such name each.
pub(crate) type Edges = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

/// A crate's modules; the first is its root.
pub(crate) struct Tree {
    modules: Vec<Module>,
}

struct Module {
    file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    uses: Vec<Use>,
    items: BTreeSet<String>,
    paths: Vec<Vec<String>>,
}

/// Target of a name.
enum Place {
    Module(usize),
    /// Something in this module that is none itself.
    ItemOf(usize),
    /// Another crate.
    Outside,
}

impl Tree {
    /// Reads the crate whose root is `file`, by means of `text`, which is `None` for no file.
    ///
    /// # Panics
    /// If a declared module has no file where rustc would look for it.
    pub(crate) fn read(file: &Path, text: &impl Fn(&Path) -> Option<String>) -> Self {
        let mut tree = Self { modules: Vec::new() };
        let scope = reader::scope(&text(file).expect("a crate has a root"));
        let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
        tree.add(scope, file, &folder, None, text);
        tree
    }

    fn add(
        &mut self,
        scope: Scope,
        file: &Path,
        folder: &Path,
        parent: Option<usize>,
        text: &impl Fn(&Path) -> Option<String>,
    ) -> usize {
        let this = self.modules.len();
        self.modules.push(Module {
            file: file.to_path_buf(),
            parent,
            children: BTreeMap::new(),
            uses: scope.uses,
            items: scope.items.into_iter().collect(),
            paths: scope.paths,
        });
        for (name, inline) in scope.modules {
            let below = folder.join(&name);
            let child = if let Some(scope) = inline {
                self.add(scope, file, &below, Some(this), text)
            } else {
                let [beside, within] = [below.with_extension("rs"), below.join("mod.rs")];
                let (path, found) = text(&beside)
                    .map(|found| (&beside, found))
                    .or_else(|| text(&within).map(|found| (&within, found)))
                    .unwrap_or_else(|| panic!("{}: no file for `mod {name};`", file.display()));
                self.add(reader::scope(&found), path, &below, Some(this), text)
            };
            self.modules[this].children.insert(name, child);
        }
        this
    }

    /// All edges between files but those from a module to the parts that it declares: these make
    /// it up, and are read with it. From a part to its module there is one.
    ///
    /// A name that `pub use` hands on makes an edge to its definition, and not to the file that
    /// hands it on.
    pub(crate) fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (number, module) in self.modules.iter().enumerate() {
            let used = module.uses.iter().map(|one| &one.path);
            for path in used.chain(&module.paths) {
                let Some(Place::Module(target) | Place::ItemOf(target)) =
                    self.resolve(number, path, STEPS_LIMIT)
                else {
                    continue;
                };
                if self.is_part_of(target, &module.file) {
                    continue;
                }
                let target = &self.modules[target].file;
                if *target != module.file {
                    let names = edges.entry(module.file.clone()).or_default();
                    names.entry(target.clone()).or_insert_with(|| path.join("::"));
                }
            }
        }
        edges
    }

    /// True where `file` declares the file that the module is in.
    fn is_part_of(&self, module: usize, file: &Path) -> bool {
        let own = &self.modules[module].file;
        let mut above = self.modules[module].parent;
        while let Some(parent) = above.map(|number| &self.modules[number]) {
            if parent.file != *own {
                return parent.file == file;
            }
            above = parent.parent;
        }
        false
    }

    fn resolve(&self, from: usize, path: &[String], steps: usize) -> Option<Place> {
        let (first, mut rest) = path.split_first()?;
        let mut place = match first.as_str() {
            "crate" => Place::Module(0),
            "self" => Place::Module(from),
            "super" => Place::Module(self.modules[from].parent?),
            name => self.look_up(from, name, steps.checked_sub(1)?)?,
        };
        while let (Place::Module(module), Some((next, behind))) = (&place, rest.split_first()) {
            let module = *module;
            place = if next == "super" {
                Place::Module(self.modules[module].parent?)
            } else {
                // An item made by a macro is not known by name, but belongs to the module it is
                // looked up in.
                self.look_up(module, next, steps.checked_sub(1)?).unwrap_or(Place::ItemOf(module))
            };
            rest = behind;
        }
        Some(place)
    }

    fn look_up(&self, module: usize, name: &str, steps: usize) -> Option<Place> {
        let found = &self.modules[module];
        if let Some(child) = found.children.get(name) {
            return Some(Place::Module(*child));
        }
        if found.items.contains(name) {
            return Some(Place::ItemOf(module));
        }
        let named = |one: &&Use| one.name.as_deref() == Some(name);
        // `use aya;` and the like name what is outside.
        let alias = found.uses.iter().filter(named).find(|one| one.path != [name]);
        if let Some(alias) = alias {
            let place = self.resolve(module, &alias.path, steps.checked_sub(1)?);
            return Some(place.unwrap_or(Place::Outside));
        }
        found.uses.iter().filter(|one| one.name.is_none()).find_map(|glob| {
            let steps = steps.checked_sub(2)?;
            match self.resolve(module, &glob.path, steps)? {
                Place::Module(target) if target != module => self.look_up(target, name, steps),
                _ => None,
            }
        })
    }
}

/// The circles of more than one file: files each of which leads to each other.
pub(crate) fn circles(edges: &Edges) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        edges.keys().map(|file| (file, reachable(edges, file))).collect();
    let leads = |one: &PathBuf, other: &PathBuf| {
        reached.get(one).is_some_and(|reached| reached.contains(other))
    };
    let mut circles: Vec<BTreeSet<PathBuf>> = Vec::new();
    for file in edges.keys().filter(|file| leads(file, file)) {
        if circles.iter().any(|circle| circle.contains(file)) {
            continue;
        }
        let around = reached[file].iter().filter(|other| leads(other, file));
        circles.push(around.map(|other| (*other).clone()).collect());
    }
    circles
}

fn reachable<'a>(edges: &'a Edges, from: &'a PathBuf) -> BTreeSet<&'a PathBuf> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        let targets = edges.get(file).into_iter().flat_map(BTreeMap::keys);
        next.extend(targets.filter(|target| found.insert(*target)));
    }
    found
}
