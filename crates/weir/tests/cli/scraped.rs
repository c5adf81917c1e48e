//! A running node as Prometheus scrapes it, and what Grafana then asks.

use std::{fs, process::Stdio, thread, time::Duration};

use control::metrics::Metric;
use serde_json::Value;

use crate::support::{Bench, told};

const MONITORING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/monitoring");
const PROMETHEUS: &str = "http://127.0.0.1:9090";

#[test]
fn prometheus_scrapes_each_metric_and_answers_each_query_of_the_dashboard() {
    let (Some(prometheus), Some(promtool)) =
        (test_support::program("prometheus"), test_support::program("promtool"))
    else {
        return;
    };
    let Some(bench) = Bench::with_attackers(1) else { return };
    let environment = [
        ("WEIR__API__LISTEN", "127.0.0.1:9464"),
        ("WEIR__API__METRICS_OPEN", "true"),
        ("WEIR__CAPTURE__WINDOW", "200ms"),
        ("WEIR__CAPTURE__KERNEL_DROPS", "true"),
    ];
    let mut weir = bench.enforcing(&environment);
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m"]));
    told(&bench.output(&["status"]));

    let config = fs::read_to_string(format!("{MONITORING}/prometheus.yml")).expect("it is shipped");
    let often = config.replace("_interval: 5s", "_interval: 200ms");
    let rules = format!("{MONITORING}/rules.yml");
    fs::write(bench.path("prometheus.yml"), often.replace("rules.yml", &rules)).unwrap();
    let mut server = bench.command(
        prometheus.to_str().unwrap(),
        &[
            &format!("--config.file={}", bench.path("prometheus.yml")),
            &format!("--storage.tsdb.path={}", bench.path("tsdb")),
            "--web.listen-address=127.0.0.1:9090",
        ],
    );
    server.stderr(Stdio::null());
    let mut server =
        bench.lab.enter(bench.lab.host(), move || server.spawn()).unwrap().expect("it starts");

    let promtool = promtool.to_str().unwrap();
    let ask = |query: &str| -> Option<Vec<Value>> {
        let words = ["query", "instant", "--format=json", PROMETHEUS, query];
        let output = bench.run(bench.command(promtool, &words));
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    };
    let told_twice = "count_over_time(weir_windows_total[1m]) > 5";
    for _ in 0..300 {
        if ask(told_twice).is_some_and(|samples| !samples.is_empty()) {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    let untold: Vec<String> = Metric::ALL
        .into_iter()
        .map(Metric::name)
        .filter(|name| ask(name).is_none_or(|samples| samples.is_empty()))
        .collect();
    assert_eq!(untold, [""; 0], "no sample of these");
    for query in queries() {
        let asked = query.replace("$instance", ".+");
        assert!(ask(&asked).is_some(), "Prometheus does not take {asked}");
    }
    let scraped = bench.run(bench.command(
        "bash",
        &["-c", "exec 3<>/dev/tcp/127.0.0.1/9464; printf 'GET /metrics HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n' >&3; sed '1,/^\\r$/d' <&3 | promtool check metrics"],
    ));
    assert!(scraped.status.success(), "{scraped:?}");
    server.kill().and_then(|()| server.wait()).expect("it ends");
    assert_eq!(weir.terminate(), Some(0));
}

/// The queries of the dashboard.
fn queries() -> Vec<String> {
    let text =
        fs::read_to_string(format!("{MONITORING}/grafana/weir.json")).expect("it is shipped");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let targets = |panel: &Value| panel["targets"].as_array().cloned().unwrap_or_default();
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let queries: Vec<String> = panels
        .flat_map(targets)
        .map(|target| target["expr"].as_str().expect("a query").to_owned())
        .collect();
    assert!(queries.len() > 20, "{queries:?}");
    queries
}
