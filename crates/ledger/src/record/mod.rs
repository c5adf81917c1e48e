//! What is recorded: plain values, one type for each table.

mod act;
mod block;
mod codes;
mod decision;
mod run;
mod target;
mod window;

use std::borrow::Cow;

pub use act::{Act, Actor, Difference};
pub use block::{Block, Ending};
pub use codes::{How, Origin, Outcome, PreviousEnd};
pub use decision::Decision;
pub use run::{Run, Stop};
pub use target::{Target, TargetError};
pub use window::Window;

/// A short text or code: borrowed where the caller has it as a constant, owned when read back.
pub type Text = Cow<'static, str>;

/// One thing to record.
#[derive(Clone, Debug, PartialEq)]
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
