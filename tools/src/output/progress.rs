//! Progress: a bar on a terminal for what takes longer than a moment, nothing elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar on stderr; silent unless stderr is a terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar over `total` units of what `title` names.
    pub fn new(title: &'static str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix} {bar:32} {percent:>3}%  {msg}  {eta} left")
            .expect("the template is a constant")
            .progress_chars("=> ");
        bar.set_style(style);
        bar.set_prefix(title);
        Self(bar)
    }

    /// Where it is now.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Where it is now, with a word about it.
    pub fn set_with(&self, done: u64, message: String) {
        self.0.set_position(done);
        self.0.set_message(message);
    }

    /// How much there is in all, when that is learnt late.
    pub fn set_total(&self, total: u64) {
        self.0.set_length(total);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
