//! A lab, a BPF filesystem of its own, and the command to run in them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use aya::programs::{SchedClassifier, TcAttachType};
use datapath::{Block, BlockAction, Blocklist, Target, boot_ns, leftovers, mount_bpffs, unpin_all};
use lab::{Lab, Topology};
use linfa::ParamGuard as _;
use model::{DetectorModel, IsolationForest, Kind, ModelFile, SchemaId, schema};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The longest that a line or an end is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a test runs the command.
pub(crate) struct Bench {
    pub(crate) lab: Lab,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) bpffs: PathBuf,
}

impl Bench {
    /// None where the machine cannot hold one; the test is then counted as skipped.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        Self::with_attackers(0)
    }

    /// The same with attackers in the lab.
    #[track_caller]
    pub(crate) fn with_attackers(attackers: usize) -> Option<Self> {
        if !test_support::root() {
            return None;
        }
        test_support::program("bpftool")?;
        let folder = tempfile::tempdir().expect("a folder");
        let bpffs = folder.path().join("bpf");
        fs::create_dir(&bpffs).expect("a folder");
        assert!(mount_bpffs(&bpffs).expect("a BPF filesystem"));
        let topology = Topology { clients: 1, attackers, ..Topology::default() };
        let lab = Lab::build(&topology).expect("a lab");
        Some(Self { lab, folder, bpffs })
    }

    /// The command in the protected host; no configuration comes from outside.
    pub(crate) fn weir(&self, words: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_weir"), words)
    }

    /// Any command in the protected host, which [`Self::run`] and [`Self::start`] enter.
    pub(crate) fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).env_remove("WEIR_LOG");
        command.env("WEIR__GUARD__BPFFS", &self.bpffs);
        command.env("WEIR__LEDGER__PATH", self.path("ledger.db"));
        command.env("WEIR__API__SOCKET", self.path("weir.sock"));
        command
    }

    /// Runs a command in the protected host to its end.
    pub(crate) fn run(&self, mut command: Command) -> Output {
        self.lab.enter(self.lab.host(), move || command.output()).unwrap().expect("it starts")
    }

    /// Runs `weir` to its end.
    pub(crate) fn output(&self, words: &[&str]) -> Output {
        self.run(self.weir(words))
    }

    /// Starts `weir` in the protected host.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        self.spawn(self.weir(words))
    }

    /// Starts a node that enforces, with an environment, and waits until it answers.
    pub(crate) fn enforcing(&self, environment: &[(&str, &str)]) -> Running {
        let window = environment.iter().find(|(name, _)| *name == "WEIR__CAPTURE__WINDOW");
        let model = self.model_over(window.map_or("1s", |(_, length)| length));
        let mut command = self.weir(&["run", "-i", "eth0", "--model", &model, "--mode", "enforce"]);
        command.envs(environment.iter().copied());
        let running = self.spawn(command);
        self.wait_for_answers();
        running
    }

    /// Blocks a target on the pinned guard by no command of weir's, for so many seconds.
    #[track_caller]
    pub(crate) fn block_behind_its_back(&self, target: &str, seconds: u64) {
        let now_ns = boot_ns();
        let expires_ns = now_ns + seconds * 1_000_000_000;
        let block =
            Block { action: BlockAction::Drop, scope: policy::Scope::All, expires_ns, reason: 7 };
        let target = Target::from(target.parse::<std::net::IpAddr>().expect("an address"));
        let pinned = Blocklist::pinned(&self.bpffs).expect("a pinned guard");
        pinned.insert(target, &block, now_ns).expect("room");
    }

    pub(crate) fn spawn(&self, mut command: Command) -> Running {
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child =
            self.lab.enter(self.lab.host(), move || command.spawn()).unwrap().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        Running { child, lines }
    }

    /// Waits until a node answers on its socket.
    #[track_caller]
    pub(crate) fn wait_for_answers(&self) {
        let until = Instant::now() + PATIENCE;
        while !self.output(&["status"]).status.success() {
            assert!(Instant::now() < until, "it does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Status and text of the node's answer on its socket.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut socket = UnixStream::connect(self.path("weir.sock")).expect("a socket");
        write!(socket, "GET {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("text");
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
        (status.unwrap_or_else(|| panic!("{answer}")), answer)
    }

    /// A file in the bench's folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).into_os_string().into_string().expect("a path in UTF-8")
    }

    /// A model of this build's features, over windows of a second.
    pub(crate) fn model(&self) -> String {
        self.model_over("1s")
    }

    /// The same over windows of another length.
    pub(crate) fn model_over(&self, window: &str) -> String {
        let path = self.path("model.weir");
        model_over(window, schema::schema_id(Kind::Peer)).save(&path).unwrap();
        path
    }

    /// A model whose peers have these features.
    pub(crate) fn save_model(&self, name: &str, peers: SchemaId) -> String {
        let path = self.path(name);
        model_of(peers).save(&path).unwrap();
        path
    }

    /// Programs attached to the protected host's interfaces.
    pub(crate) fn attached(&self) -> Vec<String> {
        let shown = self.run(self.command("bpftool", &["net", "show"]));
        let shown = String::from_utf8(shown.stdout).expect("text");
        let mut attached: Vec<String> =
            shown.lines().filter(|line| line.starts_with("eth")).map(str::to_owned).collect();
        attached.extend(self.lab.enter(self.lab.host(), tcx).unwrap());
        attached
    }

    #[track_caller]
    pub(crate) fn assert_nothing_is_left(&self) {
        assert_eq!(self.attached(), Vec::<String>::new(), "attached");
        assert_eq!(leftovers(&self.bpffs).unwrap().pins, Vec::<PathBuf>::new(), "pinned");
    }

    /// Asserts that a command failed with one line that holds all of these, and left nothing.
    #[track_caller]
    pub(crate) fn assert_refuses(&self, output: &Output, words: &[&str]) {
        assert_one_line(output, words);
        self.assert_nothing_is_left();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = unpin_all(&self.bpffs);
        let _ = nix::mount::umount2(&self.bpffs, nix::mount::MntFlags::MNT_DETACH);
    }
}

/// Asserts that a command failed with one line that holds all of these.
#[track_caller]
pub(crate) fn assert_one_line(output: &Output, words: &[&str]) {
    let line = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("weir: "), "{line}");
    for word in words {
        assert!(line.contains(word), "`{word}` is not in: {line}");
    }
}

/// Standard output of a command that worked.
#[track_caller]
pub(crate) fn told(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// A command that runs, and ends with the test.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// The next line of its output that holds this.
    #[track_caller]
    pub(crate) fn line(&self, word: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(word) => return line,
                Ok(_) => {}
                Err(error) => panic!("no line with `{word}`: {error}"),
            }
        }
    }

    /// Asks it to end as a service manager does, and returns its exit code.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end on SIGTERM");
    }

    /// Ends it as the kernel does when there is no memory left.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The programs in TCX links of the calling thread's network namespace, which not every bpftool
/// knows of.
fn tcx() -> Vec<String> {
    let interfaces = nix::net::if_::if_nameindex().expect("interfaces");
    let mut attached = Vec::new();
    for name in interfaces.iter().filter_map(|one| one.name().to_str().ok()) {
        for end in [TcAttachType::Ingress, TcAttachType::Egress] {
            let (_, programs) = SchedClassifier::query_tcx(name, end).expect("a list");
            let programs = programs.iter().filter_map(|program| program.name_as_str());
            attached.extend(programs.map(|program| format!("{name} {program}")));
        }
    }
    attached
}

/// A model of peers over windows of a second, which have these features.
pub(crate) fn model_of(peers: SchemaId) -> ModelFile {
    model_over("1s", peers)
}

fn model_over(window: &str, peers: SchemaId) -> ModelFile {
    let channel = format!("peer-{window}").parse().expect("rows of peers");
    ModelFile::new([(channel, detector(peers))], "2026-01-31T12:00:00Z").expect("a model")
}

pub(crate) fn detector(schema: SchemaId) -> DetectorModel {
    let width = u16::try_from(schema.features.len()).expect("some features");
    let rows: Vec<f32> = (0..200 * width).map(|i| f32::from(i % 101)).collect();
    let (train, held_out) = rows.split_at(rows.len() / 2);
    let params = IsolationForest::params().n_trees(3).max_samples(16).check().expect("valid");
    DetectorModel::fit(schema, train, held_out, &params).expect("a detector")
}

/// Cuts a file to so many bytes.
pub(crate) fn truncate(path: impl AsRef<Path>, bytes: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
}
