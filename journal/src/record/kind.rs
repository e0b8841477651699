//! What a record is: inputs below 64, outputs from 64 on.

use super::codec::Body as _;
use super::codec::Record;
use super::field::{Field, Value};
use super::{input, output, trade};

/// The first code of an output.
pub(super) const FIRST_OUTPUT: u16 = 64;

macro_rules! kinds {
    ($( $(#[$meta:meta])* $variant:ident = $code:literal $name:literal => $room:ident, )*) => {
        /// What a record is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Kind { $( $(#[$meta])* $variant = $code, )* }

        impl Kind {
            /// Every kind, in code order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The kind with this number.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $( $code => Some(Self::$variant), )* _ => None }
            }

            /// The kind's name, as `--kind` and JSON write it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }
        }

        impl Kind {
            /// The names of the fields of this kind's layout, its tail last, as [`Record::visit`] gives them.
            #[must_use]
            pub fn field_names(self) -> Vec<&'static str> {
                let mut names = Vec::new();
                self.visit_layout(&mut |field| names.push(field.name));
                names.extend(self.tail_names());
                names
            }

            /// Calls `visit` with every field of this kind's layout, its tail left out, as it is in a record of zeros: for
            /// the units of the fields.
            pub fn visit_layout(self, visit: &mut dyn FnMut(Field<'_>)) {
                match self {
                    $( Self::$variant => $room::$variant::default().visit(visit), )*
                }
            }
        }

        impl<'a> Record<'a> {
            /// Calls `visit` with every field of the record, its tail last; nothing for an unknown kind or version.
            pub fn visit(&self, visit: &mut dyn FnMut(Field<'a>)) {
                match self.kind() {
                    $( Some(Kind::$variant) => {
                        if let Some(body) = self.get::<$room::$variant>() { body.visit(visit); }
                    } )*
                    None => {}
                }
                self.visit_tail(visit);
            }
        }
    };
}

kinds! {
    /// A run began: what decides, and where it ran.
    RunStarted = 1 "run_started" => input,
    /// A quote change from a feed.
    Tick = 3 "tick" => input,
    /// What the venue says about an order.
    ExecutionReport = 4 "execution_report" => input,
    /// A periodic pulse.
    Timer = 5 "timer" => input,
    /// What an operator asked for.
    Command = 6 "command" => input,
    /// A feed or the venue went up, down, stale or lost something.
    LinkChanged = 7 "link_changed" => input,
    /// What the venue holds: an item of its statement.
    Reconciled = 8 "reconciled" => input,
    /// A run ended.
    RunEnded = 9 "run_ended" => input,
    /// A bar closed.
    BarClosed = 65 "bar_closed" => output,
    /// A feature vector.
    Features = 66 "features" => output,
    /// What one agent says.
    Prediction = 67 "prediction" => output,
    /// What all agents together say.
    Signal = 68 "signal" => output,
    /// Risk's answer.
    Verdict = 69 "verdict" => output,
    /// What the gateway is to send.
    OrderRequest = 70 "order_request" => trade,
    /// An order went from one state to another.
    OrderChanged = 71 "order_changed" => trade,
    /// A net holding changed.
    PositionChanged = 72 "position_changed" => trade,
    /// The account changed.
    EquityChanged = 73 "equity_changed" => trade,
    /// Something an operator should know.
    Alert = 74 "alert" => trade,
    /// What a stage held after the step, as a hash.
    Checkpoint = 75 "checkpoint" => output,
    /// When the step passed each point.
    Stamps = 76 "stamps" => output,
}

impl Kind {
    /// The kind's number in a record header.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Whether a record of this kind is the first of a step.
    #[must_use]
    pub const fn is_input(self) -> bool {
        self.code() < FIRST_OUTPUT
    }

    const fn tail_names(self) -> &'static [&'static str] {
        match self {
            Self::Features => &["values"],
            Self::RunStarted => &["settings", "environment"],
            Self::RunEnded => &["message"],
            _ => &[],
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl<'a> Record<'a> {
    fn visit_tail(&self, visit: &mut dyn FnMut(Field<'a>)) {
        match self.kind() {
            Some(Kind::Features) => {
                visit(Field { name: "values", value: Value::Reals(self.tail_reals::<output::Features>()) });
            }
            Some(Kind::RunStarted) => {
                if let Some(started) = self.get::<input::RunStarted>() {
                    let (settings, environment) = started.texts(self);
                    visit(Field { name: "settings", value: Value::Text(settings) });
                    visit(Field { name: "environment", value: Value::Text(environment) });
                }
            }
            Some(Kind::RunEnded) => {
                visit(Field { name: "message", value: Value::Text(self.tail_text::<input::RunEnded>()) });
            }
            _ => {}
        }
    }
}
