//! Where scores go, and in what form.

use std::{
    fs::{File, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use arrow_array::{
    Array as _, ArrayRef, RecordBatch, cast::AsArray as _, types::TimestampNanosecondType,
};
use arrow_schema::{Schema, SchemaRef};
use clap::ValueEnum;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use tempfile::NamedTempFile;

/// A form of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Comma-separated values with a head.
    Csv,
    /// JSON Lines: an object a row.
    Jsonl,
    /// Parquet, zstd.
    Parquet,
}

/// A place and a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdout { format: Format },
    File { path: PathBuf, format: Format },
}

impl Format {
    const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }

    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

impl Target {
    /// The target of a path and perhaps a form; `name` is what a file in a folder is called.
    pub(super) fn of(out: &Path, format: Option<Format>, name: &str) -> anyhow::Result<Self> {
        if out == Path::new("-") {
            return Ok(Self::Stdout { format: format.unwrap_or(Format::Csv) });
        }
        if out.is_dir() || out.to_string_lossy().ends_with('/') {
            let format = format.unwrap_or(Format::Parquet);
            let path = out.join(format!("scores-{name}.{}", format.extension()));
            return Ok(Self::File { path, format });
        }
        let format = format.or_else(|| Format::of(out)).with_context(|| {
            format!(
                "`{}` does not tell in what form: end it in .parquet, .csv or .jsonl, or add \
                 --format",
                out.display()
            )
        })?;
        Ok(Self::File { path: out.to_owned(), format })
    }
}

/// Takes batches of scores. A file is written beside its place and takes it when it is whole.
pub(super) struct Sink {
    writer: Writer,
    file: Option<(NamedTempFile, PathBuf)>,
}

enum Writer {
    Csv(Box<arrow_csv::Writer<Box<dyn Write + Send>>>),
    Jsonl(arrow_json::LineDelimitedWriter<Box<dyn Write + Send>>),
    Parquet(Box<ArrowWriter<Box<dyn Write + Send>>>),
}

impl Sink {
    pub(super) fn open(target: &Target, schema: &SchemaRef) -> anyhow::Result<Self> {
        let (output, format, file): (Box<dyn Write + Send>, _, _) = match target {
            Target::Stdout { format } => (Box::new(BufWriter::new(io::stdout())), *format, None),
            Target::File { path, format } => {
                let file = beside(path).with_context(|| cannot_write(path))?;
                let output = file.reopen().with_context(|| cannot_write(path))?;
                (Box::new(BufWriter::new(output)), *format, Some((file, path.clone())))
            }
        };
        let writer = match format {
            Format::Csv => Writer::Csv(Box::new(arrow_csv::Writer::new(output))),
            Format::Jsonl => Writer::Jsonl(arrow_json::LineDelimitedWriter::new(output)),
            Format::Parquet => {
                let compression = Compression::ZSTD(ZstdLevel::try_new(3)?);
                let properties = WriterProperties::builder().set_compression(compression).build();
                let writer =
                    ArrowWriter::try_new(output, SchemaRef::clone(schema), Some(properties));
                Writer::Parquet(Box::new(writer?))
            }
        };
        Ok(Self { writer, file })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        match &mut self.writer {
            Writer::Csv(writer) => {
                writer.write(&with_offset(batch)?).context("cannot write the scores")
            }
            Writer::Jsonl(writer) => {
                writer.write(&with_offset(batch)?).context("cannot write the scores")
            }
            Writer::Parquet(writer) => writer.write(batch).context("cannot write the scores"),
        }
    }

    /// Writes what is left, and gives a file its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self.writer {
            Writer::Csv(writer) => {
                writer.into_inner().flush().context("cannot write the scores")?;
            }
            Writer::Jsonl(mut writer) => {
                writer.finish().context("cannot write the scores")?;
                writer.into_inner().flush().context("cannot write the scores")?;
            }
            Writer::Parquet(writer) => {
                writer
                    .into_inner()
                    .and_then(|mut output| Ok(output.flush()?))
                    .context("cannot write the scores")?;
            }
        }
        if let Some((file, path)) = self.file {
            file.as_file().sync_all().with_context(|| cannot_write(&path))?;
            file.persist(&path).with_context(|| cannot_write(&path))?;
        }
        Ok(())
    }
}

/// The same with times whose zone is an offset: names of zones, even `UTC`, are data that the
/// writers of text do not have.
fn with_offset(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let times = column.as_primitive_opt::<TimestampNanosecondType>();
        let Some(times) = times else {
            fields.push(Arc::clone(field));
            columns.push(ArrayRef::clone(column));
            continue;
        };
        let times = times.clone().with_timezone("+00:00");
        fields.push(Arc::new(field.as_ref().clone().with_data_type(times.data_type().clone())));
        columns.push(Arc::new(times));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// A file in the same folder, to be renamed.
fn beside(path: &Path) -> io::Result<NamedTempFile<File>> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    tempfile::Builder::new()
        .prefix(".weir-scores-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write `{}`", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_where_and_in_what_form() {
        let of = |path: &str, format| Target::of(Path::new(path), format, "flow").unwrap();
        assert_eq!(of("-", None), Target::Stdout { format: Format::Csv });
        assert_eq!(of("-", Some(Format::Jsonl)), Target::Stdout { format: Format::Jsonl });
        let file = |path: &str, format| Target::File { path: path.into(), format };
        assert_eq!(of("a.csv", None), file("a.csv", Format::Csv));
        assert_eq!(of("a.ndjson", None), file("a.ndjson", Format::Jsonl));
        assert_eq!(of("new/", None), file("new/scores-flow.parquet", Format::Parquet));
        assert_eq!(of("a.txt", Some(Format::Csv)), file("a.txt", Format::Csv));
        let unknown = Target::of(Path::new("a.txt"), None, "flow").unwrap_err().to_string();
        assert!(unknown.contains("`a.txt` does not tell in what form"), "{unknown}");
    }
}
