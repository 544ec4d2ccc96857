//! Progress of long work: a bar on a terminal, nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidemark_report::visible;

/// A bar that counts the bytes of a file.
pub(crate) fn bytes(what: &str, total: Option<u64>) -> ProgressBar {
    // `stderr` draws only if it is a terminal.
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = if total.is_some() {
        "{prefix:.bold} [{bar:30}] {bytes} of {total_bytes}, {msg}, {eta} left"
    } else {
        "{prefix:.bold} {spinner} {bytes}, {msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar.set_prefix(visible(what));
    bar
}

/// A sign of life for work whose length is not known.
pub(crate) fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
