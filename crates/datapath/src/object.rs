//! The built-in object: checked, sized, loaded.

use std::os::fd::{AsFd as _, OwnedFd};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::Map,
    programs::{Extension, ProgramFd, RawTracePoint, SchedClassifier, Xdp, XdpMode},
};
use flows_common::{Settings, TraceSettings, parse::LinkLayer};

use super::{
    error::KernelError, options::KernelOptions, pin::Pins, shards::BUFFERS, syscall::MapFacts,
    takeover,
};

/// The object with the programs, as `build.rs` left it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/flows-ebpf"));

/// Programs at TC for the frames of one link layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcPrograms {
    /// Counts ingress packets.
    pub(super) ingress: &'static str,
    /// Counts egress packets.
    pub(super) egress: &'static str,
    /// Guard at ingress, where XDP is not available.
    pub(super) guard: &'static str,
}

impl TcPrograms {
    pub(super) const fn of(link: LinkLayer) -> Self {
        match link {
            LinkLayer::Ethernet => {
                Self { ingress: "tc_ingress", egress: "tc_egress", guard: TC_GUARD }
            }
            LinkLayer::Bare => {
                Self { ingress: "tc_ingress_l3", egress: "tc_egress_l3", guard: "tc_guard_l3" }
            }
        }
    }
}

/// Guard program at TC ingress, for Ethernet.
pub(super) const TC_GUARD: &str = "tc_guard";
/// Guard program at XDP in the driver.
pub(super) const XDP_GUARD: &str = "xdp_guard";
/// Guard program at XDP in the stack.
const XDP_GUARD_SKB: &str = "xdp_guard_skb";

/// Programs at tracepoints, by [`flows_common::TracePoint::index`]; loaded while somebody asks.
pub(super) const TRACE_PROGRAMS: [&str; 3] = ["trace_arrived", "trace_left", "trace_dropped"];

/// Every program, by the name that the kernel shows.
pub(super) const PROGRAMS: [&str; 11] = {
    let [ethernet, bare] = [TcPrograms::of(LinkLayer::Ethernet), TcPrograms::of(LinkLayer::Bare)];
    [
        ethernet.ingress,
        ethernet.egress,
        ethernet.guard,
        XDP_GUARD,
        bare.ingress,
        bare.egress,
        bare.guard,
        XDP_GUARD_SKB,
        TRACE_PROGRAMS[0],
        TRACE_PROGRAMS[1],
        TRACE_PROGRAMS[2],
    ]
};

/// True where a program of this name is a guard.
pub(super) fn is_guard(name: &str) -> bool {
    [TC_GUARD, TcPrograms::of(LinkLayer::Bare).guard, XDP_GUARD, XDP_GUARD_SKB].contains(&name)
}

/// The guard program at XDP in this mode.
pub(super) const fn xdp_guard(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Skb => XDP_GUARD_SKB,
        _ => XDP_GUARD,
    }
}

/// Maps that outlive the process where the guard is pinned.
pub(super) const GUARD_MAPS: [&str; 9] = [
    "BLOCK_V4",
    "BLOCK_V6",
    "BLOCK_PREFIX",
    "ALLOW",
    "SERVICE_LIMIT",
    "KNOWN",
    "BLOCK_STATS",
    "GUARD",
    "GUARD_CONTROL",
];

/// What the programs and their maps are made for.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) options: KernelOptions,
    pub(super) cpus: u32,
}

/// Makes the maps and reads the programs; each is loaded when it is first attached or run.
pub(super) fn load(sizes: &Sizes, pins: Option<&Pins>) -> Result<Ebpf, KernelError> {
    if let Some(pins) = pins {
        takeover::prepare(pins, &guard_facts(&sizes.options)?, sizes.cpus)?;
    }
    load_with(sizes, pins, |_| {})
}

fn load_with(
    sizes: &Sizes,
    pins: Option<&Pins>,
    change: impl FnOnce(&mut EbpfLoader<'_>),
) -> Result<Ebpf, KernelError> {
    let Sizes { options, cpus } = sizes;
    let settings = Settings {
        clock: options.clock.code(),
        cpus: *cpus,
        guard_at_tc_egress: u32::from(options.guard_at_egress),
        reserved: 0,
    };
    let mut loader = loader();
    loader
        .override_global("SETTINGS", &settings, true)
        .map_max_entries("FLOWS", cpus * BUFFERS)
        .map_max_entries("PEERS", cpus * BUFFERS);
    for (map, entries) in options.guard_sizes() {
        loader.map_max_entries(map, entries);
    }
    if let Some(pins) = pins {
        for map in GUARD_MAPS {
            loader.map_pin_path(map, pins.map(map));
        }
    }
    change(&mut loader);
    Ok(loader.load(OBJECT)?)
}

/// Loads the guard for a function of another program, with the maps that are pinned.
pub(super) fn load_extension(
    sizes: &Sizes,
    pins: &Pins,
    target: &ProgramFd,
    function: &str,
) -> Result<OwnedFd, KernelError> {
    let mut object = load_with(sizes, Some(pins), |loader| {
        loader.extension(XDP_GUARD);
    })?;
    let program = extension(&mut object, target, function)?.fd();
    let program = program.map_err(|source| KernelError::Program { program: XDP_GUARD, source })?;
    program.as_fd().try_clone_to_owned().map_err(KernelError::system("keep a program open"))
}

/// Makes the maps for programs at tracepoints, which alone are to be loaded of it.
pub(super) fn load_trace(
    settings: &TraceSettings,
    keys: u32,
    reasons: u32,
) -> Result<Ebpf, KernelError> {
    let mut loader = loader();
    loader
        .override_global("TRACE", settings, true)
        .map_max_entries("TRACED", keys)
        .map_max_entries("TRACE_REASONS", reasons);
    Ok(loader.load(OBJECT)?)
}

/// The loader for this object, which needs no types of the kernel's.
///
/// Of a program that it refuses, the verifier says why and what it took, and not the way that it
/// came there: with that, the second look at a program, which is for the log, took minutes.
fn loader() -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    loader.btf(None).verifier_log_level(VerifierLogLevel::STATS);
    loader
}

/// What the running kernel made of a program.
#[derive(Debug)]
pub struct Verified {
    /// Its name.
    pub program: &'static str,
    /// Instructions that the verifier followed to accept it, `None` where the kernel does not tell
    /// (before 5.16); or [`KernelError::Rejected`] with what it says.
    pub instructions: Result<Option<u32>, KernelError>,
}

/// Has the running kernel verify every program, with tables of its own, and lets go of them.
///
/// # Errors
/// The object or its tables are not to be had.
pub fn verify() -> Result<[Verified; PROGRAMS.len()], KernelError> {
    let mut object = loader().load(OBJECT)?;
    Ok(PROGRAMS.map(|program| Verified { program, instructions: followed(&mut object, program) }))
}

fn followed(object: &mut Ebpf, program: &'static str) -> Result<Option<u32>, KernelError> {
    let info = match program {
        _ if TRACE_PROGRAMS.contains(&program) => tracepoint(object, program)?.info(),
        XDP_GUARD | XDP_GUARD_SKB => xdp_program(object, program)?.info(),
        _ => classifier(object, program)?.info(),
    };
    let info = info.map_err(|source| KernelError::Program { program, source })?;
    Ok(info.verified_instruction_count())
}

/// Facts required of each of the guard's maps, the sizes asked for included.
pub(super) fn guard_facts(
    options: &KernelOptions,
) -> Result<Vec<(&'static str, MapFacts)>, KernelError> {
    let object = aya_obj::Object::parse(OBJECT).map_err(aya::EbpfError::from)?;
    let sizes = options.guard_sizes();
    GUARD_MAPS
        .into_iter()
        .map(|name| {
            let map = object.maps.get(name).ok_or(KernelError::Object { kind: "map", name })?;
            let asked = sizes.iter().find_map(|&(map, size)| (map == name).then_some(size));
            let facts = MapFacts::new(
                map.map_type(),
                map.key_size(),
                map.value_size(),
                asked.unwrap_or(map.max_entries()),
                map.map_flags(),
            );
            Ok((name, facts))
        })
        .collect()
}

/// A map's descriptor; the object keeps its own, for programs not yet loaded name it.
pub(super) fn map(object: &Ebpf, name: &'static str) -> Result<OwnedFd, KernelError> {
    let Some(
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::HashMap(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data),
    ) = object.map(name)
    else {
        return Err(KernelError::Object { kind: "map", name });
    };
    data.fd().as_fd().try_clone_to_owned().map_err(KernelError::system("keep a map open"))
}

/// A TC program, loaded.
pub(super) fn classifier<'a>(
    object: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, KernelError> {
    let program: &mut SchedClassifier = object
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(KernelError::Object { kind: "program", name })?;
    if program.fd().is_err() {
        program.load().map_err(|error| KernelError::refused(name, error))?;
    }
    Ok(program)
}

/// A program at a tracepoint, loaded.
pub(super) fn tracepoint<'a>(
    object: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut RawTracePoint, KernelError> {
    let program: &mut RawTracePoint = object
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(KernelError::Object { kind: "program", name })?;
    if program.fd().is_err() {
        program.load().map_err(|error| KernelError::refused(name, error))?;
    }
    Ok(program)
}

/// The XDP program of a mode, loaded.
pub(super) fn xdp(object: &mut Ebpf, mode: XdpMode) -> Result<&mut Xdp, KernelError> {
    xdp_program(object, xdp_guard(mode))
}

fn xdp_program<'a>(object: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, KernelError> {
    let program: &mut Xdp = object
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(KernelError::Object { kind: "program", name })?;
    if program.fd().is_err() {
        program.load().map_err(|error| KernelError::refused(name, error))?;
    }
    Ok(program)
}

/// Has the running kernel verify the guard for a function of another program, and lets go of it.
pub(super) fn verify_extension(target: &ProgramFd, function: &str) -> Result<(), KernelError> {
    let mut loader = loader();
    let mut object = loader.extension(XDP_GUARD).load(OBJECT)?;
    extension(&mut object, target, function).map(drop)
}

fn extension<'a>(
    object: &'a mut Ebpf,
    target: &ProgramFd,
    function: &str,
) -> Result<&'a mut Extension, KernelError> {
    let name = XDP_GUARD;
    let program: &mut Extension = object
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(KernelError::Object { kind: "program", name })?;
    let target = target.try_clone().map_err(KernelError::system("keep a program open"))?;
    program.load(target, function).map_err(|error| KernelError::refused(name, error))?;
    Ok(program)
}

/// A loaded program's descriptor.
pub(super) fn program_fd(object: &mut Ebpf, name: &'static str) -> Result<ProgramFd, KernelError> {
    let fd = if name == XDP_GUARD {
        xdp_program(object, name)?.fd().map(ProgramFd::try_clone)
    } else {
        classifier(object, name)?.fd().map(ProgramFd::try_clone)
    };
    fd.map_err(|source| KernelError::Program { program: name, source })?
        .map_err(KernelError::system("keep a program open"))
}
