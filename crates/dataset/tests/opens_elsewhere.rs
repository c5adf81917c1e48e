//! polars, pandas and `DuckDB` open a data set's folder as it is.

mod support;

use std::path::Path;
use std::process::Command;

use dataset::{LabelOptions, TableKind, Truth};
use support::{Traffic, open, small_groups, write};

/// Names a Python that has the three; else `python3` is asked.
const PYTHON: &str = "WEIR_PYTHON";

/// Prints, for each of the three readers, what it makes of the flow table: its rows, its first and
/// last time, the packets of the window table, and the rows labelled `x`.
const SCRIPT: &str = r#"
import sys
import duckdb, pandas, polars

root = sys.argv[1]
flow, window = f"{root}/flow", f"{root}/window"

table = polars.scan_parquet(f"{flow}/**/*.parquet", hive_partitioning=True)
assert table.collect_schema()["time"] == polars.Datetime("ns", "UTC"), table.collect_schema()
rows = table.select(
    polars.len(), polars.col("time").min().dt.timestamp("ns").alias("first"),
    polars.col("time").max().dt.timestamp("ns").alias("last"),
    (polars.col("label") == "x").sum().alias("x"),
    polars.col("remote_address").str.starts_with("203.0.113.").all().alias("text"),
).collect().row(0)
packets = polars.read_parquet(f"{window}/**/*.parquet")["packets_ingress"].sum()
hours = table.select(polars.col("hour").n_unique()).collect().item()
print("polars", *rows[:4], rows[4], packets, hours)

table = pandas.read_parquet(flow)
times = table["time"].astype("int64")
packets = pandas.read_parquet(window)["packets_ingress"].sum()
text = table["remote_address"].str.startswith("203.0.113.").all()
print("pandas", len(table), times.min(), times.max(), (table["label"] == "x").sum(), text, packets,
      table["hour"].nunique())

rows = duckdb.sql(f"""
    select count(*), epoch_ns(min(time)), epoch_ns(max(time)), count(*) filter (label = 'x'),
        bool_and(remote_address like '203.0.113.%'), count(distinct hour)
    from '{flow}/**/*.parquet'
""").fetchall()[0]
packets = duckdb.sql(f"select sum(packets_ingress) from '{window}/**/*.parquet'").fetchall()[0][0]
print("duckdb", *rows[:5], packets, rows[5])

hashes = duckdb.sql(f"""
    select distinct decode(value) from parquet_kv_metadata('{flow}/**/*.parquet')
    where decode(key) = 'weir.schema.hash'
""").fetchall()
print("hash", *[one[0] for one in hashes])
"#;

#[test]
fn polars_pandas_and_duckdb_open_a_data_set_without_glue() {
    let python = match std::env::var_os(PYTHON) {
        Some(python) => python.into(),
        None => match test_support::program("python3") {
            Some(python) => python,
            None => return,
        },
    };
    let imports = "import duckdb, pandas, polars, pyarrow";
    let has_all = Command::new(&python).args(["-c", imports]).output().expect("python starts");
    if !has_all.status.success() {
        test_support::skip(&format!(
            "{} has not polars, pandas, pyarrow and duckdb ({PYTHON} names another)",
            Path::new(&python).display()
        ));
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(1, 300, 20);
    let written = write(folder.path(), small_groups(), &windows);
    let truth = "class,local_port\nx,80\n";
    let truth = Truth::from_csv(Path::new("t.csv"), truth).expect("a truth");
    let labelled = dataset::label(&open(folder.path()), &truth, &LabelOptions::default());
    let labelled = labelled.expect("room").classes;
    let of_x = |one: &&dataset::ClassCount| {
        one.table == TableKind::Flow && one.class.as_deref() == Some("x")
    };
    let x = labelled.iter().find(of_x).expect("web").rows;

    let output = Command::new(&python)
        .args(["-c", SCRIPT])
        .arg(folder.path())
        .output()
        .expect("python starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let (first, last) = (windows[0].time_ns, windows[19].time_ns);
    let packets = written.sums.packets()[0];
    let lines: Vec<&str> = told.lines().collect();
    for (line, reader) in lines.iter().zip(["polars", "pandas", "duckdb"]) {
        let expected = format!("{reader} 6000 {first} {last} {x} true {packets} 2");
        assert_eq!(line.to_lowercase(), expected, "{told}");
    }
    let hash = dataset::schema::schema_id(TableKind::Flow).hash;
    assert_eq!(lines[3], format!("hash {hash}"), "{told}");
}
