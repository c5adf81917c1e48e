//! What one kernel showed, read from the lines of `check.sh`.

use std::collections::BTreeMap;

/// Programs in the order of the matrix.
const PROGRAMS: [&str; 4] = ["tc_ingress", "tc_egress", "tc_guard", "xdp_guard"];

/// How a test says that it did nothing.
const SKIPPED: &str = "skipped: ";

/// One step of the checks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) code: i32,
    pub(crate) centiseconds: u64,
    pub(crate) output: String,
}

/// What was seen on one kernel.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) release: Option<String>,
    pub(crate) steps: BTreeMap<String, Step>,
    pub(crate) digests: BTreeMap<String, String>,
    warnings: u32,
    ended: bool,
    last_line: String,
}

impl Outcome {
    /// Reads a console or the script's output.
    pub(crate) fn read(text: &str) -> Self {
        let mut outcome = Self::default();
        let mut current = None;
        for line in text.lines().map(|line| line.trim_end_matches('\r')) {
            if !line.trim().is_empty() {
                line.clone_into(&mut outcome.last_line);
            }
            let Some((_, told)) = line.split_once("@@ ") else {
                if let Some(step) = current.as_ref().and_then(|name| outcome.steps.get_mut(name)) {
                    step.output.push_str(line);
                    step.output.push('\n');
                }
                continue;
            };
            let words: Vec<&str> = told.split_whitespace().collect();
            current = None;
            match words[..] {
                ["kernel", release] => outcome.release = Some(release.to_owned()),
                ["step", name, code, centiseconds] => {
                    let step = Step {
                        code: code.parse().unwrap_or(-1),
                        centiseconds: centiseconds.parse().unwrap_or(0),
                        output: String::new(),
                    };
                    outcome.steps.insert(name.to_owned(), step);
                    current = Some(name.to_owned());
                }
                ["digest", name, sum] => {
                    outcome.digests.insert(name.to_owned(), sum.to_owned());
                }
                ["warnings", count] => outcome.warnings = count.parse().unwrap_or(u32::MAX),
                ["end"] => outcome.ended = true,
                _ => {}
            }
        }
        outcome
    }

    /// What was seen in two guests of the same kernel.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.steps.extend(other.steps);
        self.warnings += other.warnings;
        if self.ended {
            (self.ended, self.last_line) = (other.ended, other.last_line);
        }
        self
    }

    /// Why this kernel does not pass; empty where it does.
    pub(crate) fn faults(&self, expected: &[&str]) -> Vec<String> {
        let mut faults = Vec::new();
        if self.release.is_none() {
            return vec![format!("it did not boot; the last it said: {}", self.last_line)];
        }
        for name in expected {
            match self.steps.get(*name) {
                Some(step) if step.code == 0 => {}
                Some(step) => {
                    let said = step.output.lines().rev().find(|line| !line.trim().is_empty());
                    faults.push(format!("{name} ended with {}: {}", step.code, said.unwrap_or("")));
                }
                None => faults.push(format!("{name} did not come to its end")),
            }
        }
        if !self.ended {
            faults.push(format!("the checks broke off after: {}", self.last_line));
        }
        if self.warnings > 0 {
            faults.push(format!("the kernel's log has {} warnings", self.warnings));
        }
        faults
    }

    /// What the doctor found of a subject: state and text.
    fn finding(&self, subject: &str) -> Option<(&str, &str)> {
        self.findings().find(|&(_, of, _)| of == subject).map(|(state, _, found)| (state, found))
    }

    fn findings(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let doctor = self.steps.get("doctor").map_or("", |step| step.output.as_str());
        doctor.lines().filter_map(|line| {
            let mut columns = line.split("  ").map(str::trim).filter(|text| !text.is_empty());
            Some((columns.next()?, columns.next()?, columns.next()?))
        })
    }

    /// Columns of the matrix.
    pub(crate) fn cells(&self) -> [String; 9] {
        let none = || "–".to_owned();
        let loads = match self.finding("programs") {
            Some(("ok", _)) => "yes".to_owned(),
            Some(_) => "no".to_owned(),
            None => none(),
        };
        let found = self.finding("programs").map_or("", |(_, found)| found);
        let instructions: Vec<String> =
            PROGRAMS.map(|program| instructions(found, program).map_or_else(none, grouped)).into();
        let verified = instructions.join(" / ");
        let seconds = self.steps.get("doctor").map_or_else(none, |step| tenths(step.centiseconds));
        let hooks =
            self.steps.get("loop").and_then(|step| hooks(&step.output)).unwrap_or_else(none);
        let passed = |names: &[&str]| {
            let steps: Vec<&Step> = names.iter().filter_map(|name| self.steps.get(*name)).collect();
            match steps.len() {
                0 => none(),
                _ if steps.iter().all(|step| step.code == 0) => "passes".to_owned(),
                _ => "fails".to_owned(),
            }
        };
        let fell_back = self
            .findings()
            .filter(|&(state, subject, _)| state == "warning" && subject != "BPF filesystem")
            .map(|(_, subject, _)| match subject {
                "TCX" => "clsact for TCX",
                "preemption" => "PREEMPT_RT: counts may miss",
                "shared XDP hook" => "XDP not shared",
                other => other,
            })
            .collect::<Vec<_>>()
            .join(", ");
        let counts = passed(&["conformance", "hooks", "restart", "trace"]);
        let (kinds, shared) = (self.kinds().unwrap_or_else(none), self.shared());
        let (closes, shared) = (passed(&["loop"]), shared.unwrap_or_else(|| passed(&["sharing"])));
        [loads, verified, seconds, hooks, counts, kinds, shared, closes, fell_back]
    }

    /// How many kinds of interfaces were tried, of how many.
    fn kinds(&self) -> Option<String> {
        let step = self.steps.get("links").filter(|step| step.code == 0)?;
        let (_, tried) = step.output.split_once("tried: ")?;
        let tried = tried.lines().next()?.split(", ").count();
        let skipped = step.output.lines().filter(|line| line.starts_with(SKIPPED)).count();
        Some(format!("{tried} of {}", tried + skipped))
    }

    /// That the test of the shared hook was skipped.
    fn shared(&self) -> Option<String> {
        let step = self.steps.get("sharing").filter(|step| step.code == 0)?;
        step.output.contains(SKIPPED).then(|| "not there: exclusive".to_owned())
    }
}

/// Instructions of a program in the doctor's words: `tc_ingress (26042 instructions)`.
fn instructions(found: &str, program: &str) -> Option<u64> {
    let (_, rest) = found.split_once(&format!("{program} ("))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The hooks in the demo's words: `eth0: enforce, flows at TCX, guard at XDP (native)`.
fn hooks(output: &str) -> Option<String> {
    let line = output.lines().find(|line| line.contains("flows at "))?;
    let (_, flows) = line.split_once("flows at ")?;
    Some(flows.replace(", guard at ", ", "))
}

fn tenths(centiseconds: u64) -> String {
    format!("{}.{}", centiseconds / 100, centiseconds / 10 % 10)
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "SeaBIOS\r\n@@ kernel 6.1.0-50-amd64\r\n@@ step doctor 0 1452\r\n\
        ok       programs    the kernel takes tc_ingress (290305 instructions), tc_egress (7 \
        instructions), tc_guard (8 instructions), xdp_guard (9 instructions)\r\n\
        warning  TCX         the kernel has no TCX links\r\n\
        \x20                    -> none needed\r\n\
        @@ step conformance 0 20\r\n@@ step links 0 3\r\n\
        skipped: links.rs::one: sit: unknown\r\ntest one ... tried: tun, gre\r\nok\r\n\
        @@ step sharing 0 3\r\nskipped: sharing.rs::one: refused\r\n@@ step loop 1 9\r\n\
        · lab up: 6 benign clients; eth0: enforce, flows at clsact, guard at XDP (native)\r\n\
        one was not stopped\r\n@@ digest score abc\r\n@@ warnings 0\r\n@@ end\r\n";

    #[test]
    fn a_console_is_read_into_a_row() {
        let outcome = Outcome::read(CONSOLE);
        assert_eq!(outcome.release.as_deref(), Some("6.1.0-50-amd64"));
        assert_eq!(outcome.digests["score"], "abc");
        let expected = [
            "yes",
            "290,305 / 7 / 8 / 9",
            "14.5",
            "clsact, XDP (native)",
            "passes",
            "2 of 3",
            "not there: exclusive",
            "fails",
            "clsact for TCX",
        ];
        assert_eq!(outcome.cells(), expected.map(str::to_owned));
    }

    #[test]
    fn what_does_not_pass_says_why() {
        let outcome = Outcome::read(CONSOLE);
        assert_eq!(outcome.faults(&["doctor", "conformance"]), [""; 0]);
        assert_eq!(outcome.faults(&["loop"]), ["loop ended with 1: one was not stopped"]);
        assert_eq!(outcome.faults(&["hooks"]), ["hooks did not come to its end"]);
        let died = outcome.and(Outcome::read("@@ kernel 6.1\npanic\n"));
        assert_eq!(died.faults(&["doctor"]), ["the checks broke off after: panic"]);
        let dead = Outcome::read("SeaBIOS\nKernel panic - not syncing\n\n");
        let expected = ["it did not boot; the last it said: Kernel panic - not syncing"];
        assert_eq!(dead.faults(&["loop"]), expected);
        let cut = Outcome::read("@@ kernel 6.1\n@@ step doctor 0 1\nok  x  y\n");
        assert_eq!(cut.faults(&["doctor"]), ["the checks broke off after: ok  x  y"]);
    }
}
