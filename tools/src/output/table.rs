//! Tables that align: borderless columns, numbers to the right.

use comfy_table::{CellAlignment, ContentArrangement, presets};

/// A table on its way to stdout.
pub struct Table(comfy_table::Table);

impl Table {
    /// A table with these column heads.
    pub fn new(heads: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if !heads.is_empty() {
            table.set_header(heads);
        }
        Self(table)
    }

    /// Adds a row.
    pub fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.0.add_row(cells.into_iter().map(|cell| cell.to_string()).collect::<Vec<_>>());
    }

    /// Aligns the columns from `from` on to the right.
    pub fn numbers_from(&mut self, from: usize) {
        let columns = self.0.column_count();
        for index in from..columns {
            if let Some(column) = self.0.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in self.0.lines() {
            writeln!(f, " {}", line.trim_end())?;
        }
        Ok(())
    }
}
