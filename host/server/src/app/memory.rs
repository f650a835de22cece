//! Gives back what only loading needed.

use rustix::mm::{Advice, madvise};

/// In the name of every file that compiled code is mapped from.
const COMPILED: &str = ".cwasm";

/// After models were loaded, which takes much more memory than to serve them.
pub fn give_back() {
    trim();
    match std::fs::read_to_string("/proc/self/maps") {
        Ok(mappings) => mappings.lines().filter_map(file_code).for_each(forget),
        // Then the kernel takes it back when it needs it.
        Err(error) => tracing::debug!(%error, "what is mapped cannot be told"),
    }
}

/// glibc keeps what was freed, and what compiling takes is hundreds of megabytes.
#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: it takes a number, locks what it looks at, and touches only what is free.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}

/// An address and a length of this program's machine code, or of a library's that it is linked with.
struct Code {
    begin: usize,
    bytes: usize,
}

/// Of a line such as `55d0a000-55d0c000 r-xp 00002000 fe:00 1234 /usr/bin/modelet`.
fn file_code(line: &str) -> Option<Code> {
    let mut fields = line.split_ascii_whitespace();
    let (begin, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let path = fields.nth(3)?;
    let begin = usize::from_str_radix(begin, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    // What was compiled comes and goes with its models: something else may lie there by now.
    let stays = path.starts_with('/') && !path.contains(COMPILED);
    let is_code = permissions.starts_with("r-x") && stays;
    is_code.then_some(Code {
        begin,
        bytes: end.checked_sub(begin)?,
    })
}

/// What was run once is read from the file again should it be needed again.
fn forget(code: Code) {
    let begin = std::ptr::with_exposed_provenance_mut(code.begin);
    // SAFETY: nobody has written to these pages: a program's code has no relocations, and it cannot be
    // written to now. So the file holds what they hold. And what a program is linked with stays where it
    // is until the program ends, so that nothing else can lie there.
    // That the kernel takes no advice only means that nothing is given back.
    let _ = unsafe { madvise(begin, code.bytes, Advice::LinuxDontNeed) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_in_files_is_forgotten() {
        let found = |line| file_code(line).map(|code| (code.begin, code.bytes));
        let code = "1000-3000 r-xp 00002000 fe:00 1234                /usr/bin/a program";
        assert_eq!(found(code), Some((0x1000, 0x2000)));
        for other in [
            "1000-3000 r-xp 00002000 fe:00 1234 /cache/1234-5678.cwasm",
            "1000-3000 r-xp 00002000 fe:00 1234 /cache/1234-5678.cwasm (deleted)",
            "1000-3000 r--p 00002000 fe:00 1234 /usr/bin/a",
            "1000-3000 rwxp 00002000 fe:00 1234 /usr/bin/a",
            "1000-3000 r-xp 00000000 00:00 0",
            "1000-3000 r-xp 00000000 00:00 0 [vdso]",
            "3000-1000 r-xp 00002000 fe:00 1234 /usr/bin/a",
            "",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn what_was_given_back_still_runs() {
        give_back();
        assert_eq!("a".repeat(3), "aaa");
    }
}
