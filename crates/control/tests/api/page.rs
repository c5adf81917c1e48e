//! The page, in a headless Chromium that is told what to do by `WebDriver` (W3C).

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use control::{
    Gateway, Node as _,
    token::{NewToken, Scope},
    wire::{AllowQuery, BlockQuery},
};
use events::{ActionTaken, Event, FailureEvent};
use serde_json::{Value, json};

use crate::support::{Bench, ask, generous, loopback, tcp};

const PATIENCE: Duration = Duration::from_secs(20);

/// A browser that ends with the test.
struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser; where there is none, the test is counted as skipped.
    fn open() -> Option<Self> {
        let chromium = test_support::program("chromium")?;
        let mut command = Command::new(test_support::program("chromedriver")?);
        let profile = tempfile::tempdir().unwrap();
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.env("HOME", profile.path()).spawn().expect("it starts");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        // It stands still where nobody reads what it says.
        thread::spawn(move || lines.for_each(drop));
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("a port")));
        let mut browser = Self { driver, address, session: String::new(), _profile: profile };
        let options = json!({
            "binary": chromium,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--window-size=1200,1600", "--disable-background-networking", "--no-first-run",
                // Nothing but this machine has an address.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        });
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let made = browser.command("POST /session", &wanted);
        made["sessionId"].as_str().expect("a session").clone_into(&mut browser.session);
        Some(browser)
    }

    fn command(&self, line: &str, body: &Value) -> Value {
        let body = body.to_string();
        let length = body.len();
        let mut stream = BufReader::new(tcp(self.address));
        let head =
            format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
        // It does not always close the connection, whatever it says.
        let (mut head, mut length) = (String::new(), 0);
        while stream.read_line(&mut head).unwrap() > 2 {
            let last = head.lines().last().unwrap_or_default().to_ascii_lowercase();
            if let Some(value) = last.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{line}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap()["value"].take()
    }

    fn tell(&self, what: &str, body: &Value) -> Value {
        self.command(&format!("POST /session/{}/{what}", self.session), body)
    }

    fn go(&self, url: &str) {
        self.tell("url", &json!({ "url": url }));
    }

    /// What a script returns; one that returns a promise is waited for.
    fn run(&self, script: &str) -> Value {
        self.tell("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a script returns something true.
    #[track_caller]
    fn until(&self, script: &str) {
        let started = Instant::now();
        while self.run(&format!("return Boolean({script})")) != json!(true) {
            let text = self.run("return document.body.innerText");
            assert!(started.elapsed() < PATIENCE, "{script}: {text}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn until_shown(&self, id: &str, text: &str) {
        self.until(&format!("document.getElementById('{id}').textContent.includes({text:?})"));
    }

    /// Presses the button that is called this.
    #[track_caller]
    fn press(&self, name: &str) {
        let button = format!("document.querySelector('[aria-label=\"{name}\"]')");
        self.until(&button);
        self.run(&format!("{button}.click()"));
    }

    /// Answers the question that is open.
    fn answer(&self, reason: &str) {
        self.until("document.getElementById('ask').open");
        self.run(&format!("document.getElementById('ask-reason').value = {reason:?}"));
        self.run("document.getElementById('ask-yes').click()");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.command(&format!("DELETE /session/{}", self.session), &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The link of a gateway to this node.
fn link(bench: &Bench) -> String {
    let gateway = Gateway::open(bench.server.socket(), 0).unwrap();
    let link = gateway.link();
    thread::spawn(|| gateway.serve());
    link
}

fn is_blocked(bench: &Bench, target: &str) -> bool {
    let blocks = bench.node.blocks(&BlockQuery::default()).unwrap().items;
    blocks.iter().any(|block| block.target.to_string() == target)
}

#[test]
fn an_attack_and_its_block_appear_and_a_person_unblocks_and_thinks_better_of_it() {
    let Some(browser) = Browser::open() else { return };
    let bench = Bench::new();
    browser.go(&link(&bench));
    browser.until_shown("verdict", "Watching eth0");
    browser.until_shown("concerns", "can0");
    browser.until_shown("stream", "live");
    assert_eq!(browser.run("return location.hash"), "", "the key is not left in the address");

    bench.node.alert("203.0.113.77", ActionTaken::Blocked);
    browser.until_shown("incidents", "203.0.113.77");
    browser.until_shown("incidents", "distinct_local_ports 812 ports, benign 0 to 4");
    let failure = FailureEvent { what: "sweep".into(), error: "<b>no space</b>".into() };
    bench.node.feed().push(&serde_json::to_string(&Event::Failure(failure)).unwrap());
    for event in [
        r#"{"event":"drift","window":1,"at_ns":2,"suspended":true,"martingale":1e7,"features":[]}"#,
        r#"{"event":"model","at_ns":1,"act":"refused","version":2,"digest":"ab","why":"it is blind"}"#,
        r#"{"event":"notice","at_ns":1,"notice":"breaker_opened","trip":"share_of_bytes","demoted":[]}"#,
    ] {
        bench.node.feed().push(event);
    }
    browser.until_shown("changes", "automatic blocks are suspended");
    browser.until_shown("changes", "model: refused, version 2: it is blind");
    browser.until_shown("changes", "breaker opened: share of bytes");
    // What a node says is text, whatever it holds.
    browser.until_shown("changes", "sweep failed: <b>no space</b>");

    assert!(is_blocked(&bench, "192.0.2.7"));
    browser.press("Unblock 192.0.2.7");
    browser.answer("a customer");
    browser.until_shown("toasts", "192.0.2.7 is unblocked");
    browser.until("!document.getElementById('blocks').textContent.includes('192.0.2.7')");
    assert!(!is_blocked(&bench, "192.0.2.7"));
    browser.press("Undo: 192.0.2.7 is unblocked.");
    browser.until_shown("blocks", "192.0.2.7");
    browser.until_shown("blocks", "unblocking was undone");
    assert!(is_blocked(&bench, "192.0.2.7"));

    browser.press("Allow 192.0.2.7");
    browser.answer("a customer");
    browser.until_shown("toasts", "192.0.2.7 is allowed for 1 h 0 min");
    let allowed = bench.node.allowed(&AllowQuery::default()).unwrap().items;
    assert!(allowed.iter().any(|one| one.note.as_deref() == Some("a customer")), "{allowed:?}");
    let acts: Vec<String> = bench.node.acts().into_iter().map(|(_, act)| act).collect();
    assert_eq!(acts, ["unblock 192.0.2.7", "block 192.0.2.7", "allow 192.0.2.7"]);
}

#[test]
fn a_link_is_good_for_one_browser() {
    let Some(browser) = Browser::open() else { return };
    let bench = Bench::new();
    let link = link(&bench);
    let address: SocketAddr =
        link["http://".len()..].split('/').next().unwrap().parse().expect("an address");
    ask(tcp(address), "GET /v1/status", &[], "").assert_problem(401, "weir page");
    browser.go(&link);
    browser.until_shown("verdict", "Watching");
    let key = link.split_once("#key=").unwrap().1;
    ask(tcp(address), "POST /session", &[], key).assert_problem(403, "used already");
    let wrong = ["Authorization: Bearer weir_00"];
    ask(tcp(address), "DELETE /v1/blocks/all", &wrong, "").assert_problem(401, "weir page");
    // Another tab of the same browser has no token of its own.
    browser.run("sessionStorage.clear()");
    browser.go(&link.replace("#key", "?again#key"));
    browser.until("document.getElementById('login').open");
    let policy = ask(tcp(address), "GET /", &[], "");
    assert!(policy.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
}

#[test]
fn a_reader_sees_and_changes_nothing() {
    let Some(browser) = Browser::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let token = NewToken::from_bytes([7; 32]);
    let path: PathBuf = folder.path().join("tokens.toml");
    fs::write(&path, token.entry("grafana", &BTreeSet::from([Scope::Read]))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let listen = control::Listen { reads_open: false, ..loopback(Some(path)) };
    let bench = Bench::listening(generous(), Some(listen));
    browser.go(&format!("http://{}/", bench.server.address().unwrap()));
    browser.until("document.getElementById('login').open");
    browser.run(&format!(
        "document.getElementById('login-token').value = {:?};
         document.querySelector('#login button').click()",
        token.text()
    ));
    browser.until_shown("blocks", "192.0.2.7");
    browser.press("Unblock 192.0.2.7");
    browser.answer("");
    browser.until_shown("toasts", "has not the scope `write`");
    assert!(is_blocked(&bench, "192.0.2.7"));
    assert!(bench.node.acts().is_empty());
}

#[test]
fn the_page_is_for_everybody() {
    let Some(browser) = Browser::open() else { return };
    let bench = Bench::new();
    browser.go(&link(&bench));
    browser.until_shown("incidents", "192.0.2.7");
    browser.until_shown("blocks", "192.0.2.7");
    // On a phone nothing is wider than it.
    browser.tell("window/rect", &json!({ "width": 390, "height": 844 }));
    let wide = browser.run("return document.documentElement.scrollWidth > innerWidth");
    assert_eq!(wide, json!(false), "it scrolls sideways on a phone");
    let axe = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .unwrap_or_default()
        .join("weir/tools/axe-core/axe.min.js");
    let Ok(script) = fs::read_to_string(&axe) else {
        return test_support::skip(&format!("`{}` is not there (axe-core of npm)", axe.display()));
    };
    browser.tell("window/rect", &json!({ "width": 1200, "height": 1600 }));
    browser.run(&script);
    for dark in [false, true] {
        let emulate = json!({
            "cmd": "Emulation.setEmulatedMedia",
            "params": { "features": [{
                "name": "prefers-color-scheme",
                "value": if dark { "dark" } else { "light" },
            }] },
        });
        browser.tell("goog/cdp/execute", &emulate);
        let found = browser.run(
            "return axe.run().then(all => all.violations.map(one =>
                 one.id + ': ' + one.nodes.map(node => node.html).join(' ')))",
        );
        assert_eq!(found, json!([]), "dark: {dark}");
    }
}
