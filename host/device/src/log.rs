//! Lines for whoever runs this, on standard error.

use std::fmt::Arguments;
use std::io::{self, Write as _};

/// A closed standard error is nobody to tell.
pub fn say(line: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
