//! Records: plain values, one type for each table.

mod act;
mod block;
mod decision;
mod run;
mod window;

pub use act::{Act, Actor, Difference};
pub use block::{Block, Ending};
pub use decision::Decision;
pub use events::{How, Origin, Prefix, PreviousEnd, Text};
pub use run::{Run, Stop};
pub use window::Window;

/// A thing to record.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most records are decisions")]
pub enum Record {
    /// weir started.
    Run(Run),
    /// weir stopped in good order.
    Stop(Stop),
    /// A window was decided on.
    Window(Window),
    /// A peer was anomalous in a window, and what came of it.
    Decision(Decision),
    /// A block was made, or found.
    Block(Block),
    /// A block ended.
    Ending(Ending),
    /// A person did something.
    Act(Act),
    /// Reconciliation at start found a difference.
    Difference(Difference),
}

macro_rules! into_record {
    ($($kind:ident),*) => {
        $(impl From<$kind> for Record {
            fn from(record: $kind) -> Self {
                Self::$kind(record)
            }
        })*
    };
}
into_record!(Run, Stop, Window, Decision, Block, Ending, Act, Difference);
