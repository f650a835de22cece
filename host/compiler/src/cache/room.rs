//! Which entries of a cache go, so that it does not fill the disk.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What was not used for this long goes.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// So much all entries may take together, and no more than this part of the disk.
const MOST_BYTES: u64 = 10 << 30;
const PART_OF_DISK: u64 = 10;

/// A file of the cache.
#[derive(Clone, Debug)]
pub struct Entry {
    pub path: PathBuf,
    pub used: SystemTime,
    /// Now, by who makes room.
    pub is_in_use: bool,
    /// What it takes of the disk.
    pub bytes: u64,
}

/// What a cache on a disk of this size may take.
pub fn most_bytes(disk_bytes: u64) -> u64 {
    MOST_BYTES.min(disk_bytes / PART_OF_DISK)
}

/// Of `entries` those that go: what was unused for long, then what was used least recently until the others take
/// `most_bytes`. What is in use stays, however much that is.
pub fn surplus(mut entries: Vec<Entry>, now: SystemTime, most_bytes: u64) -> Vec<Entry> {
    let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    entries.retain(|entry| !entry.is_in_use);
    entries.sort_by_key(|entry| entry.used);
    entries
        .into_iter()
        .take_while(|entry| {
            // A clock that was put back makes no entry old.
            let age = now.duration_since(entry.used).unwrap_or_default();
            let goes = age > UNUSED || bytes > most_bytes;
            bytes -= entry.bytes;
            goes
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 1000 * DAY
    }

    /// An entry of a hundred bytes that was used so many days ago.
    fn entry(name: &str, days: u32) -> Entry {
        Entry {
            path: name.into(),
            used: now() - days * DAY,
            is_in_use: false,
            bytes: 100,
        }
    }

    fn gone(entries: Vec<Entry>, most_bytes: u64) -> Vec<String> {
        surplus(entries, now(), most_bytes)
            .into_iter()
            .map(|entry| entry.path.display().to_string())
            .collect()
    }

    #[test]
    fn what_was_not_used_for_long_goes() {
        let entries = [("recent", 30), ("ancient", 99), ("old", 31), ("now", 0)];
        let entries = entries.map(|(name, days)| entry(name, days)).to_vec();
        assert_eq!(gone(entries, 1000), ["ancient", "old"]);
    }

    #[test]
    fn what_was_used_least_recently_makes_room_and_no_more_than_needed() {
        let entries = [("c", 2), ("a", 9), ("b", 5), ("now", 0)];
        let entries = entries.map(|(name, days)| entry(name, days)).to_vec();
        assert!(gone(entries.clone(), 400).is_empty());
        assert_eq!(gone(entries.clone(), 399), ["a"]);
        assert_eq!(gone(entries, 250), ["a", "b"]);
    }

    #[test]
    fn what_is_in_use_stays_however_much_and_old_it_is() {
        let held = Entry {
            is_in_use: true,
            ..entry("held", 99)
        };
        assert_eq!(gone(vec![held, entry("before", 2)], 99), ["before"]);
    }

    #[test]
    fn what_was_used_in_the_future_is_not_old() {
        let future = Entry {
            used: now() + 99 * DAY,
            ..entry("future", 0)
        };
        assert!(gone(vec![future], 1000).is_empty());
    }

    #[test]
    fn a_small_disk_has_a_small_cache() {
        assert_eq!(most_bytes(20 << 30), 2 << 30);
        assert_eq!(most_bytes(1 << 50), MOST_BYTES);
    }
}
