//! The bill of materials, in `CycloneDX`: each crate that is linked into the programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use super::{PROGRAMS, Release, failed};
use crate::failure::Failure;
use crate::invoke;

/// What cargo is asked to print of each crate.
const FORMAT: &str = "{p}|{l}";

/// Writes the bill. It holds what `cargo tree` resolves for the programs on this machine, with the
/// checksums of `Cargo.lock`.
pub(super) fn make(release: &Release<'_>) -> Result<PathBuf, Failure> {
    let mut tree = release.workspace.cargo();
    tree.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--no-dedupe"]);
    tree.args(["--format", FORMAT]);
    for program in PROGRAMS {
        tree.args(["--package", program]);
    }
    let printed = invoke::captured(&mut tree).ok_or_else(|| {
        Failure::new("`cargo tree` fails", "run it by hand to see why; `Cargo.lock` may be stale")
    })?;
    let lock = release.workspace.root().join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock).map_err(|error| failed(&lock, &error))?;
    let made = release.out.join(format!("weir-{}.cdx.json", release.version));
    let bill = bill(&release.version, &printed, &checksums(&lock));
    std::fs::write(&made, bill).map_err(|error| failed(&made, &error))?;
    Ok(made)
}

/// The checksum of each crate from a registry, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let packages = lock.split("[[package]]").skip(1);
    let found = packages.filter_map(|package| {
        let field = |name: &str| {
            let value = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(value.trim_start_matches(" = ").trim_matches('"').to_owned())
        };
        Some(((field("name")?, field("version")?), field("checksum")?))
    });
    found.collect()
}

fn bill(version: &str, printed: &str, checksums: &BTreeMap<(String, String), String>) -> String {
    let components: BTreeSet<String> = printed
        .lines()
        .filter_map(|line| {
            let (package, licence) = line.split_once('|')?;
            let mut words = package.split_whitespace();
            let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
            Some(component(name, version, licence, checksums))
        })
        .collect();
    let components = components.into_iter().collect::<Vec<_>>().join(",\n    ");
    let tool = r#"{"type": "application", "name": "cargo xtask dist"}"#;
    format!(
        "{{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,\n  \
         \"metadata\": {{\n    \"component\": {{\"type\": \"application\", \"bom-ref\": \"weir\", \
         \"name\": \"weir\", \"version\": \"{version}\"}},\n    \"tools\": {{\"components\": [{tool}]}}\n  \
         }},\n  \"components\": [\n    {components}\n  ]\n}}\n"
    )
}

/// A crate as JSON. Names, versions and licences of crates hold nothing that JSON would escape.
fn component(
    name: &str,
    version: &str,
    licence: &str,
    checksums: &BTreeMap<(String, String), String>,
) -> String {
    let address = format!("pkg:cargo/{name}@{version}");
    let mut text = format!(
        "{{\"type\": \"library\", \"bom-ref\": \"{address}\", \"name\": \"{name}\", \
         \"version\": \"{version}\""
    );
    if let Some(sum) = checksums.get(&(name.to_owned(), version.to_owned())) {
        // A string takes all. Members of the workspace have none, and are on no registry.
        let _ = write!(
            text,
            ", \"purl\": \"{address}\", \"hashes\": [{{\"alg\": \"SHA-256\", \"content\": \"{sum}\"}}]"
        );
    }
    if !licence.is_empty() {
        // The slash of older manifests means `OR`.
        let licence = licence.replace(" / ", "/").replace('/', " OR ");
        let _ = write!(text, ", \"licenses\": [{{\"expression\": \"{licence}\"}}]");
    }
    text + "}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_stands_once_with_its_checksum_and_licence() {
        let lock = "[[package]]\nname = \"libc\"\nversion = \"0.2.1\"\nsource = \"registry+u\"\n\
                    checksum = \"ab\"\n\n[[package]]\nname = \"weir\"\nversion = \"0.1.0\"\n";
        let printed =
            "weir v0.1.0 (/w)|MIT\nlibc v0.2.1|MIT/Apache-2.0\nlibc v0.2.1|MIT/Apache-2.0\n\n";
        let bill = bill("0.1.0", printed, &checksums(lock));
        assert_eq!(bill.matches("pkg:cargo/libc@0.2.1").count(), 2, "{bill}");
        assert!(
            bill.contains(
                r#""content": "ab"}], "licenses": [{"expression": "MIT OR Apache-2.0"}]}"#
            )
        );
        assert!(!bill.contains(r#""purl": "pkg:cargo/weir"#), "{bill}");
    }
}
