//! A report as people and programs read it: tables, JSON, CSV and one page of HTML.
//!
//! ```text
//! Report --view--> View --+--> tables on stdout
//!                         `--> page: the same tables, two plots, the orders
//!        --json--> JSON
//! ```

mod json;
mod orders;
mod page;
mod plot;
mod view;
mod words;

pub use json::{RETURNS_HEAD, report_json, returns_csv};
pub use page::page;
pub use view::View;
pub use words::{moment, money, percent, ratio, span};
