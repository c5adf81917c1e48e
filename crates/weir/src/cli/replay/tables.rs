//! The windows' features as tables, where this build has them.

#[cfg(feature = "research")]
pub(super) use written::Tables;

#[cfg(not(feature = "research"))]
pub(super) use left_out::Tables;

#[cfg(feature = "research")]
mod written {
    use std::{
        path::{Path, PathBuf},
        time::Duration,
    };

    use dataset::{DatasetWriter, WriterOptions};
    use model::{Observed, Window};

    use crate::cli::captures::Looked;

    /// A data set that is being written.
    pub(in crate::cli::replay) struct Tables(DatasetWriter);

    impl Tables {
        pub(in crate::cli::replay) fn create(
            folder: &Path,
            looked: &Looked,
            window: Duration,
        ) -> anyhow::Result<Self> {
            // A replay that is killed is begun anew, so that nothing is gained by small files; and
            // it is bound by encoding, where a network gives a node its time.
            let options = WriterOptions {
                rotate_every: Duration::from_hours(1),
                zstd_level: None,
                ..WriterOptions::default()
            };
            let provenance = looked.provenance(window);
            Ok(Self(DatasetWriter::create_from(folder, options, provenance)?))
        }

        pub(in crate::cli::replay) fn write(
            &mut self,
            window: &Window,
            observed: &Observed,
        ) -> anyhow::Result<()> {
            let start_ns = i64::try_from(window.start_ns).unwrap_or(i64::MAX);
            Ok(self.0.write(window, start_ns, observed)?)
        }

        /// The files that were written, and those that they replaced.
        pub(in crate::cli::replay) fn finish(self) -> anyhow::Result<[Vec<PathBuf>; 2]> {
            let written = self.0.finish()?;
            Ok([written.files.into_iter().map(|file| file.path).collect(), written.replaced])
        }
    }
}

#[cfg(not(feature = "research"))]
mod left_out {
    use std::{
        convert::Infallible,
        path::{Path, PathBuf},
        time::Duration,
    };

    use model::{Observed, Window};

    use crate::cli::captures::Looked;

    /// No data set is ever written.
    pub(in crate::cli::replay) struct Tables(Infallible);

    impl Tables {
        pub(in crate::cli::replay) fn create(
            _: &Path,
            _: &Looked,
            _: Duration,
        ) -> anyhow::Result<Self> {
            Err(crate::cli::absent::refusal("weir replay --out", "research"))
        }

        pub(in crate::cli::replay) fn write(
            &mut self,
            _: &Window,
            _: &Observed,
        ) -> anyhow::Result<()> {
            match self.0 {}
        }

        pub(in crate::cli::replay) fn finish(self) -> anyhow::Result<[Vec<PathBuf>; 2]> {
            match self.0 {}
        }
    }
}
