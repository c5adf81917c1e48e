//! Versions: models that were learnt on the way, beside the ledger.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use control::wire::{Learning, ModelVersion};
use events::ModelChange;
use model::{ModelFile, schema};
use serde::{Deserialize, Serialize};

use crate::{config::Config, kept, node::ModelFacts};

/// Versions that are kept at most, besides the configured file.
const KEPT: usize = 8;

/// The models that a node can have in force: the configured one, and those that were learnt on the
/// way from it.
#[derive(Clone, Debug)]
pub struct Versions {
    configured: PathBuf,
    /// None where nothing outlives the process: without a ledger.
    folder: Option<PathBuf>,
    /// It is learnt on.
    learns: bool,
    /// Hash of the model in force.
    hash: String,
    state: State,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Hash of the configured file that they were learnt on from.
    configured: String,
    in_force: u32,
    last: u32,
    paused: bool,
    versions: Vec<ModelVersion>,
}

/// The model in force under a configuration, given the configured one, and its versions.
///
/// # Errors
/// As [`Versions::of`] and [`Versions::in_force`].
pub fn in_force(
    config: &Config,
    configured: Option<ModelFile>,
) -> anyhow::Result<(ModelFacts, Option<ModelFile>, Option<Versions>)> {
    let (Some(path), Some(configured)) = (&config.model, configured) else {
        return Ok((ModelFacts::default(), None, None));
    };
    if !config.learn {
        let facts = ModelFacts::of(path, &configured);
        let versions = Versions::fixed(path, &configured);
        return Ok((facts, Some(configured), Some(versions)));
    }
    let ledger = config.ledger.enabled.then_some(&*config.ledger.path);
    let versions = Versions::of(path, &configured, ledger)?;
    let (path, model) = versions.in_force(configured)?;
    Ok((ModelFacts::of(&path, &model), Some(model), Some(versions)))
}

impl Versions {
    /// A model that is not learnt on.
    #[must_use]
    pub fn fixed(path: &Path, model: &ModelFile) -> Self {
        let hash = model.digest().to_owned();
        let state = State { configured: hash.clone(), ..State::default() };
        Self { configured: path.to_owned(), folder: None, learns: false, hash, state }
    }

    /// Those beside a ledger, of a model that was read from this file. Where it is another than they
    /// were learnt on from, it is in force and they stay as they are: only a person takes one back.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn of(path: &Path, model: &ModelFile, ledger: Option<&Path>) -> anyhow::Result<Self> {
        let folder = ledger.map(|ledger| ledger.with_file_name("models"));
        let mut state = State::default();
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).with_context(|| {
                format!("cannot make `{}` for models that are learnt", folder.display())
            })?;
            state = kept::read(&folder.join("versions.json"))?;
        }
        let configured = path.to_owned();
        let mut versions =
            Self { configured, folder, learns: true, hash: model.digest().to_owned(), state };
        if versions.state.configured != model.digest() {
            versions.take_configured(path, model.digest());
        }
        let known = versions.state.versions.iter();
        if let Some(one) = known.clone().find(|one| one.number == versions.state.in_force) {
            versions.hash.clone_from(&one.hash);
        }
        Ok(versions)
    }

    /// The model in force and its file, given the configured one.
    ///
    /// # Errors
    /// The file cannot be read or is of another build.
    pub fn in_force(&self, configured: ModelFile) -> anyhow::Result<(PathBuf, ModelFile)> {
        if self.state.in_force == 0 {
            return Ok((self.configured.clone(), configured));
        }
        self.load(self.state.in_force).with_context(|| {
            let folder = self.folder.as_deref().unwrap_or(Path::new("models"));
            format!(
                "the model that was learnt last cannot be read; without `{}` the configured one is \
                 in force",
                folder.join("versions.json").display()
            )
        })
    }

    /// Which model is in force and whether it is learnt on, in a line.
    #[must_use]
    pub fn describe(&self) -> String {
        let in_force = match self.state.in_force {
            0 => format!("the configured one, `{}`", self.configured.display()),
            number => format!("version {number}, learnt on from `{}`", self.configured.display()),
        };
        let learning = match self.learning() {
            Learning::On => "it learns on; `weir model versions` lists what comes of it",
            Learning::Paused => "learning is paused: `weir model learn on`",
            Learning::Off => "it learns no more (`model.learn`)",
        };
        format!("model: {in_force}; {learning}")
    }

    /// Whether the model is learnt on by the configuration.
    #[must_use]
    pub const fn learns(&self) -> bool {
        self.learns
    }

    pub(crate) const fn learning(&self) -> Learning {
        match (self.learns, self.state.paused) {
            (false, _) => Learning::Off,
            (true, true) => Learning::Paused,
            (true, false) => Learning::On,
        }
    }

    /// Hash of the model in force.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    pub(crate) const fn number(&self) -> u32 {
        self.state.in_force
    }

    pub(crate) const fn paused(&self) -> bool {
        self.state.paused
    }

    pub(crate) fn kept(&self) -> &[ModelVersion] {
        &self.state.versions
    }

    pub(crate) fn configured_hash(&self) -> &str {
        &self.state.configured
    }

    /// The version before that in force; 0 is the configured file.
    pub(crate) fn before(&self) -> u32 {
        let earlier = self.state.versions.iter().map(|one| one.number);
        earlier.filter(|number| *number < self.state.in_force).max().unwrap_or(0)
    }

    /// Keeps a model that was learnt, as the one in force; returns its number and file.
    pub(crate) fn add(
        &mut self,
        model: &ModelFile,
        change: &ModelChange,
    ) -> anyhow::Result<(u32, PathBuf)> {
        let number = self.state.last + 1;
        let path = self.path(number);
        if self.folder.is_some() {
            model.save(&path)?;
        }
        self.state.last = number;
        self.state.in_force = number;
        model.digest().clone_into(&mut self.hash);
        if self.folder.is_some() {
            self.state.versions.push(ModelVersion {
                number,
                hash: model.digest().to_owned(),
                created: model.manifest().created.parse().unwrap_or_default(),
                change: change.to_text(),
            });
        }
        while self.state.versions.len() > KEPT {
            let oldest = self.state.versions.remove(0);
            // It is no version any more, whether or not its file could be removed.
            let _ = std::fs::remove_file(self.path(oldest.number));
        }
        self.write()?;
        Ok((number, path))
    }

    /// Takes a version back, and stops learning.
    pub(crate) fn roll_back(&mut self, to: u32) -> anyhow::Result<(PathBuf, ModelFile)> {
        let loaded = self.load(to)?;
        self.state.in_force = to;
        self.state.paused = true;
        self.write()?;
        // It holds what came since, which is to be forgotten.
        if let Some(gathered) = self.gathered_file().filter(|file| file.exists()) {
            std::fs::remove_file(&gathered)
                .with_context(|| format!("cannot remove `{}`", gathered.display()))?;
        }
        loaded.1.digest().clone_into(&mut self.hash);
        Ok(loaded)
    }

    /// The configured file is another, and in force.
    pub(crate) fn take_configured(&mut self, path: &Path, hash: &str) {
        path.clone_into(&mut self.configured);
        hash.clone_into(&mut self.state.configured);
        hash.clone_into(&mut self.hash);
        self.state.in_force = 0;
    }

    pub(crate) fn pause(&mut self, paused: bool) -> anyhow::Result<()> {
        self.state.paused = paused;
        self.write()
    }

    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        kept::write(&folder.join("versions.json"), &self.state)
    }

    fn load(&self, number: u32) -> anyhow::Result<(PathBuf, ModelFile)> {
        let known = self.state.versions.iter().find(|one| one.number == number);
        let (path, hash) = match known {
            _ if number == 0 => (self.configured.clone(), &self.state.configured),
            Some(version) => (self.path(number), &version.hash),
            None => anyhow::bail!("there is no version {number}; `weir model versions` lists them"),
        };
        let model = ModelFile::load(&path)?;
        model.check_schemas(schema::schema_id)?;
        anyhow::ensure!(
            model.digest() == hash,
            "`{}` is another model than it was; `weir reload` takes a configured one over",
            path.display()
        );
        Ok((path, model))
    }

    /// What learning gathered; none where nothing outlives the process.
    pub(crate) fn gathered_file(&self) -> Option<PathBuf> {
        self.folder.as_ref().filter(|_| self.learns).map(|folder| folder.join("gathered.weir"))
    }

    fn path(&self, number: u32) -> PathBuf {
        let folder = self.folder.as_deref().unwrap_or(Path::new("."));
        folder.join(format!("learnt-{number}.weir"))
    }
}
