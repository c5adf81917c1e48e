//! The windows' features as tables, where this build has them.

#[cfg(feature = "research")]
pub(super) use written::Tables;

#[cfg(not(feature = "research"))]
pub(super) use left_out::Tables;

#[cfg(feature = "research")]
mod written {
    use std::path::{Path, PathBuf};

    use dataset::{DatasetWriter, WriterOptions};
    use model::{Observed, Window};

    /// A data set that is being written.
    pub(in crate::cli::replay) struct Tables(DatasetWriter);

    impl Tables {
        pub(in crate::cli::replay) fn create(folder: &Path) -> anyhow::Result<Self> {
            Ok(Self(DatasetWriter::create(folder, WriterOptions::default())?))
        }

        pub(in crate::cli::replay) fn write(
            &mut self,
            window: &Window,
            observed: &Observed,
        ) -> anyhow::Result<()> {
            let start_ns = i64::try_from(window.start_ns).unwrap_or(i64::MAX);
            Ok(self.0.write(window, start_ns, observed)?)
        }

        /// The files that were written.
        pub(in crate::cli::replay) fn finish(self) -> anyhow::Result<Vec<PathBuf>> {
            Ok(self.0.finish()?.files.into_iter().map(|file| file.path).collect())
        }
    }
}

#[cfg(not(feature = "research"))]
mod left_out {
    use std::{
        convert::Infallible,
        path::{Path, PathBuf},
    };

    use model::{Observed, Window};

    /// No data set is ever written.
    pub(in crate::cli::replay) struct Tables(Infallible);

    impl Tables {
        pub(in crate::cli::replay) fn create(_: &Path) -> anyhow::Result<Self> {
            Err(crate::cli::absent::refusal("weir replay --out", "research"))
        }

        pub(in crate::cli::replay) fn write(
            &mut self,
            _: &Window,
            _: &Observed,
        ) -> anyhow::Result<()> {
            match self.0 {}
        }

        pub(in crate::cli::replay) fn finish(self) -> anyhow::Result<Vec<PathBuf>> {
            match self.0 {}
        }
    }
}
