//! What was measured, beside what is promised.

use std::time::Duration;

/// Rows in the order in which they were measured.
pub struct Table {
    rows: Vec<[String; 3]>,
}

impl Table {
    pub fn new() -> Table {
        Table { rows: Vec::new() }
    }

    /// `promise` is empty where a number is only reported.
    pub fn row(&mut self, what: impl Into<String>, measured: impl Into<String>, promise: &str) {
        let row = [what.into(), measured.into(), promise.to_owned()];
        eprintln!("{}: {}", row[0], row[1]);
        self.rows.push(row);
    }

    pub fn print(&self) {
        println!("\n{}\n", machine());
        println!("| what | measured | at least |\n|---|---|---|");
        for [what, measured, promise] in &self.rows {
            println!("| {what} | {measured} | {promise} |");
        }
    }
}

fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{}, {cores} cores, memory {}",
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal")
    )
}

/// Three digits are more than one run can tell.
pub fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..1e3 => format!("{micros:.1} µs"),
        1e3..1e6 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The smallest time that at least `share` of all are not above. `sorted` is not empty.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}
