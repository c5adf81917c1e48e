//! Tables that other programs wrote: read by the columns' names, or refused by what changed.

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, Float32Array, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use dataset::{Block, Columns, Dataset, Selection, TableKind};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, GzipLevel};
use parquet::file::properties::WriterProperties;
use support::{Traffic, small_groups, write};

/// A data set of three windows, and its peer file's rows as one batch.
fn peers(root: &Path) -> (PathBuf, RecordBatch) {
    let written = write(root, small_groups(), &Traffic::windows(1, 40, 3));
    let is_peer = |path: &&PathBuf| path.components().any(|part| part.as_os_str() == "peer");
    let files = || written.files.iter().map(|file| &file.path);
    let path = files().find(is_peer).expect("a peer table").clone();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("there"));
    let batches: Vec<_> =
        reader.expect("Parquet").build().expect("rows").collect::<Result<_, _>>().expect("whole");
    let batch =
        arrow_select::concat::concat_batches(&batches[0].schema(), &batches).expect("alike");
    (path, batch)
}

fn save(path: &Path, batch: &RecordBatch, compression: Compression) {
    let properties = WriterProperties::builder().set_compression(compression).build();
    let file = File::create(path).expect("room");
    let mut writer =
        ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(batch).expect("room");
    writer.close().expect("room");
}

fn read(root: &Path) -> Result<Vec<Block>, String> {
    let dataset = Dataset::open(&[root]).map_err(|error| error.to_string())?;
    let selection = Selection { columns: Columns::All, ..Selection::default() };
    dataset
        .blocks(TableKind::Peer, &selection)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// The batch with a column changed; without weir's metadata.
fn with(batch: &RecordBatch, name: &str, change: impl Fn(&ArrayRef) -> ArrayRef) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let column = if field.name() == name { change(column) } else { Arc::clone(column) };
        (Field::new(field.name(), column.data_type().clone(), true), column)
    });
    let (fields, columns): (Vec<_>, Vec<_>) = columns.unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("of one length")
}

fn to(kind: &DataType) -> impl Fn(&ArrayRef) -> ArrayRef {
    move |column| cast(column, kind).expect("a cast")
}

#[test]
fn a_table_in_another_dress_gives_the_same_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, batch) = peers(folder.path());
    let expected = read(folder.path()).expect("weir's own");
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::LargeUtf8));
    let time = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
    let order: Vec<usize> = (0..batch.num_columns()).rev().collect();
    let gzip = Compression::GZIP(GzipLevel::default());
    for (what, changed, compression) in [
        ("snappy", batch.clone(), Compression::SNAPPY),
        ("gzip", batch.clone(), gzip),
        ("lz4", batch.clone(), Compression::LZ4_RAW),
        ("not compressed", batch.clone(), Compression::UNCOMPRESSED),
        ("reordered", batch.project(&order).expect("all"), Compression::SNAPPY),
        ("large text", with(&batch, "remote_address", to(&DataType::LargeUtf8)), gzip),
        ("a text view", with(&batch, "remote_address", to(&DataType::Utf8View)), gzip),
        ("a dictionary", with(&batch, "remote_address", to(&dictionary)), gzip),
        ("microseconds", with(&batch, "time", to(&time(TimeUnit::Microsecond, Some("UTC")))), gzip),
        (
            "another zone",
            with(&batch, "time", to(&time(TimeUnit::Nanosecond, Some("+02:00")))),
            gzip,
        ),
        ("no zone", with(&batch, "time", to(&time(TimeUnit::Nanosecond, None))), gzip),
        ("signed", with(&batch, "packets", to(&DataType::Int64)), gzip),
        ("a float with nulls", with(&batch, "service_port", to(&DataType::Float64)), gzip),
        ("doubles", with(&batch, "active_flows", to(&DataType::Float64)), gzip),
    ] {
        save(&path, &changed, compression);
        let blocks = read(folder.path()).expect(what);
        assert_eq!(blocks.len(), expected.len(), "{what}");
        for (one, other) in blocks.iter().zip(&expected) {
            assert_eq!(one.rows, other.rows, "{what}");
            assert_eq!(one.facts, other.facts, "{what}");
            assert_eq!((&one.time_ns, &one.remote), (&other.time_ns, &other.remote), "{what}");
        }
    }
}

#[test]
fn what_a_program_changed_is_named_and_no_whole_file_is_called_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, batch) = peers(folder.path());
    let remote = arrow_array::cast::AsArray::as_string::<i32>(
        batch.column_by_name("remote_address").expect("there"),
    )
    .value(2)
    .to_owned();
    let spoilt = |value: Option<f32>| {
        with(&batch, "active_flows", move |column| {
            let column =
                arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Float32Type>(column);
            let row = |(row, own)| if row == 2 { value } else { own };
            Arc::new(column.iter().enumerate().map(row).collect::<Float32Array>())
        })
    };
    let without = |names: &[&str]| {
        let keep = |at: &usize| !names.contains(&batch.schema().field(*at).name().as_str());
        let kept: Vec<usize> = (0..batch.num_columns()).filter(keep).collect();
        with(&batch.project(&kept).expect("some"), "", Arc::clone)
    };
    let text = with(&batch, "packets", to(&DataType::Utf8));
    for (what, changed, words) in [
        (
            "NaN",
            spoilt(Some(f32::NAN)),
            vec!["`active_flows` is NaN", &remote, "leave out such rows"],
        ),
        ("null", spoilt(None), vec!["`active_flows` is null", &remote]),
        ("text", text, vec!["the column `packets` is Utf8, expected UInt64", "turn it back"]),
        (
            "missing",
            without(&["bytes", "standing"]),
            vec!["a peer table `bytes`, `standing` are missing"],
        ),
        ("one missing", without(&["bytes"]), vec!["a peer table `bytes` is missing"]),
    ] {
        save(&path, &changed, Compression::SNAPPY);
        let error = read(folder.path()).expect_err(what);
        for word in words.iter().chain(&["peer/date=2026-11-22"]) {
            assert!(error.contains(word), "{what}: `{word}` is not in: {error}");
        }
        assert!(!error.contains("whole Parquet") && !error.contains("remove"), "{what}: {error}");
    }
    save(&path, &batch.slice(0, 0), Compression::SNAPPY);
    assert_eq!(read(folder.path()).expect("a table of no rows is one").len(), 0);
}
