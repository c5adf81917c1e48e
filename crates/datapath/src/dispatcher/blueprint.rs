//! The dispatcher that libxdp installs: found, read and loaded.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{ProgramFd, Xdp},
};
use aya_obj::{Object, btf::BtfKind};

use super::{
    DISPATCHER, NotShared,
    config::{Config, SLOTS, version_of},
    elf::renamed,
};

/// libxdp's object.
const OBJECT: &str = "xdp-dispatcher.o";
/// Library folders, each with a folder `bpf`, or with one of an architecture that has it.
const LIBRARIES: [&str; 3] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
/// The configuration in it.
const CONFIG: &str = "conf";
/// The section of the program in it, and the name by which it takes frames of several buffers.
const SECTION: &str = "xdp";
const SECTION_FRAGS: &str = "xdp.frags";

/// libxdp's dispatcher, before it is configured.
///
/// It is the installed one rather than one of weir's own for the version's sake: a libxdp works on
/// no dispatcher of another version than its own.
#[derive(Debug)]
pub(super) struct Blueprint {
    object: Vec<u8>,
    /// Version of the protocol.
    pub(super) version: u8,
    /// Types of the functions that a program may take the place of.
    places: [u32; SLOTS],
    /// Type of the whole.
    whole: u32,
}

impl Blueprint {
    /// Finds the installed one.
    pub(super) fn find() -> Result<Self, NotShared> {
        let path = find(&LIBRARIES).ok_or(NotShared::NoLibxdp)?;
        let unknown = |why: String| NotShared::Unknown(format!("`{}`: {why}", path.display()));
        let object = fs::read(&path).map_err(|error| unknown(error.to_string()))?;
        Self::read(object).map_err(unknown)
    }

    fn read(object: Vec<u8>) -> Result<Self, String> {
        let parsed = Object::parse(&object).map_err(|error| error.to_string())?;
        let data = parsed.maps.get(".rodata").ok_or("it has no read-only data")?.data().len();
        let version = version_of(data)
            .ok_or_else(|| format!("its configuration of {data} bytes is of no known version"))?;
        let types = parsed.btf.as_ref().ok_or("it has no types")?;
        let function = |name: &str| {
            types.id_by_type_name_kind(name, BtfKind::Func).map_err(|error| error.to_string())
        };
        let mut places = [0; SLOTS];
        for (slot, place) in places.iter_mut().enumerate() {
            *place = function(&place_name(slot))?;
        }
        let whole = function(DISPATCHER)?;
        Ok(Self { object, version, places, whole })
    }

    /// Loads a dispatcher so configured.
    pub(super) fn load(&self, config: &Config) -> Result<Loaded, NotShared> {
        let refused = |error: &dyn std::error::Error| NotShared::Refused {
            program: DISPATCHER.to_owned(),
            why: super::root_cause(error),
        };
        let bytes = config.bytes();
        let mut loader = EbpfLoader::new();
        loader.btf(None).override_global(CONFIG, bytes.as_slice(), true);
        let object = if config.takes_frags() {
            renamed(&self.object, SECTION, SECTION_FRAGS)
        } else {
            Some(self.object.clone())
        };
        let unknown = |what: &str| NotShared::Unknown(format!("it has no {what}"));
        let object = object.ok_or_else(|| unknown("section of programs"))?;
        let mut object = loader.load(&object).map_err(|error| refused(&error))?;
        let program = program(&mut object).ok_or_else(|| unknown("program `xdp_dispatcher`"))?;
        program.load().map_err(|error| refused(&error))?;
        let program = program.fd().map_err(|error| refused(&error))?;
        let program = program.try_clone().map_err(|error| refused(&error))?;
        Ok(Loaded { program, alone: config.slots.len() == 1 })
    }

    /// The place of a program in a dispatcher: name and type of the function that it replaces. One
    /// that is alone replaces the whole, which then costs a packet one jump.
    pub(super) fn place(&self, loaded: &Loaded, slot: usize) -> (String, u32) {
        if loaded.alone {
            (DISPATCHER.to_owned(), self.whole)
        } else {
            (place_name(slot), self.places[slot])
        }
    }
}

/// A loaded dispatcher.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) program: ProgramFd,
    alone: bool,
}

fn place_name(slot: usize) -> String {
    format!("prog{slot}")
}

fn program(object: &mut Ebpf) -> Option<&mut Xdp> {
    object.program_mut(DISPATCHER)?.try_into().ok()
}

/// The object in the `bpf` folder of a library folder, or of one for an architecture below it.
fn find(libraries: &[&str]) -> Option<PathBuf> {
    let in_library = |library: &Path| {
        let object = library.join("bpf").join(OBJECT);
        object.is_file().then_some(object)
    };
    libraries.iter().map(Path::new).find_map(|library| {
        let below = fs::read_dir(library).ok()?.flatten().map(|entry| entry.path());
        in_library(library).or_else(|| below.into_iter().find_map(|folder| in_library(&folder)))
    })
}
