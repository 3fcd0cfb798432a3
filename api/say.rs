//! Standard output that may be closed early: `kizashi … | head` ends quietly.

use std::io::{ErrorKind, Write as _};

/// Writes a line, or ends the program when nobody reads any more.
pub fn line(text: std::fmt::Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        let quietly = error.kind() == ErrorKind::BrokenPipe;
        std::process::exit(if quietly { 0 } else { 1 });
    }
}

/// `println!` for commands whose output goes into pipes.
macro_rules! say {
    ($($text:tt)*) => { $crate::say::line(format_args!($($text)*)) };
}
