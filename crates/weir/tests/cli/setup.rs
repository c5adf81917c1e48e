//! `weir setup` in the protected host: what it chooses and writes, and what it leaves alone.

use std::fs;

use crate::support::{Bench, assert_one_line, told};

#[test]
fn a_newcomer_gets_a_file_that_is_never_written_over() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.path("etc/weir.toml");
    let setup = |words: &[&str]| bench.output(&[&["setup", "--config", &file], words].concat());
    assert_one_line(&setup(&[]), &["no default route", "--interface"]);

    let gateway = bench.lab.clients()[0].addresses()[0].to_string();
    let words = ["route", "add", "default", "via", &gateway, "dev", "eth0", "onlink"];
    told(&bench.run(bench.command("ip", &words)));
    let said = told(&setup(&["--dry-run"]));
    assert!(
        said.contains(&format!("eth0: the default route goes through it, by {gateway}")),
        "{said}"
    );
    assert!(said.contains("interfaces = [\"eth0\"]"), "{said}");
    assert!(!fs::exists(&file).unwrap(), "a dry run");

    let said = told(&setup(&[]));
    assert!(said.contains("weir.toml is written") && said.contains("does not run"), "{said}");
    assert!(said.contains(&format!("weir run --config {file}")), "{said}");
    told(&bench.output(&["config", "--config", &file, "check"]));
    let written = fs::read_to_string(&file).unwrap();
    let mut node = bench.start(&["run", "--config", &file]);
    node.line("eth0: observe, flows at ");
    bench.wait_for_answers();
    let said = told(&setup(&[]));
    assert!(said.contains("stays as it is") && said.contains("weir learn --config"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), written);

    // A model beside the ledger is taken into a file that nobody changed.
    bench.model();
    told(&setup(&[]));
    let with_model = fs::read_to_string(&file).unwrap();
    assert!(
        with_model.contains(&format!("\npath = \"{}\"", bench.path("model.weir"))),
        "{with_model}"
    );
    fs::write(&file, written.replace("# allow = []", "allow = [\"192.0.2.0/24\"]")).unwrap();
    let said = told(&setup(&["--interface", "eth9"]));
    assert!(said.contains("is yours and stays as it is"), "{said}");
    assert!(fs::read_to_string(&file).unwrap().contains("allow = [\"192.0.2.0/24\"]"));
    assert_eq!(node.terminate(), Some(0));

    let output = bench.output(&["setup", "--config", &bench.path("other.toml"), "-i", "eth9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!fs::exists(bench.path("other.toml")).unwrap(), "the interface is not there");
}
