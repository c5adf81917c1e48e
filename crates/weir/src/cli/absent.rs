//! Commands that this build leaves out: known by name, each says how to get it.

/// A module for each command, with the name of its arguments. They take whatever is typed, so that
/// the command is refused and not a flag of it.
macro_rules! commands {
    ($feature:literal: $($module:ident::$arguments:ident $command:literal,)+) => {
        $(pub(in crate::cli) mod $module {
            #[derive(Debug, clap::Args)]
            #[command(hide = true, disable_help_flag = true)]
            pub(in crate::cli) struct $arguments {
                #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
                typed: Vec<std::ffi::OsString>,
            }

            impl $arguments {
                pub(in crate::cli) fn run(
                    self,
                    _: &crate::cli::Layers,
                ) -> anyhow::Result<std::process::ExitCode> {
                    Err(crate::cli::absent::refusal($command, $feature))
                }
            }
        })+
    };
}

#[cfg(not(feature = "lab"))]
commands! { "lab": demo::DemoArgs "weir demo", lab::LabArgs "weir lab", }

#[cfg(not(feature = "research"))]
commands! {
    "research":
    adapt::AdaptArgs "weir adapt",
    capture::CaptureArgs "weir capture",
    eval::EvalArgs "weir eval",
    experiment::ExperimentArgs "weir experiment",
    explain::ExplainArgs "weir explain",
    label::LabelArgs "weir label",
    pack::PackArgs "weir model pack",
    score::ScoreArgs "weir score",
    train::TrainArgs "weir train",
}

#[cfg(not(feature = "top"))]
commands! { "top": top::TopArgs "weir top", }

/// Says which feature has what was asked for.
pub(in crate::cli) fn refusal(what: &str, feature: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "this build leaves out `{what}`: take the `weir` that packages ship, or build it with \
         `cargo build --release --package weir --features {feature}`"
    )
}
