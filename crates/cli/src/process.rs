//! What the system says of a process.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::fs;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_bytes: u64,
    pub(crate) threads: u64,
}

/// Looks at a process.
///
/// # Errors
/// There is no such process.
pub(crate) fn usage(process: u32) -> Result<Usage> {
    let read = |file: &str| {
        fs::read_to_string(format!("/proc/{process}/{file}")).with_context(|| format!("no process {process}"))
    };
    let stat = read("stat")?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    /// Linux counts in hundredths of a second on every platform we know.
    const TICKS: f64 = 100.0;
    let status = read("status")?;
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    Ok(Usage {
        cpu_seconds: (ticks(11) + ticks(12)) / TICKS,
        rss_bytes: value("VmRSS") << 10,
        threads: value("Threads"),
    })
}

/// How many files and connections this process has open.
pub(crate) fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// How busy the machine was in the last minute.
pub(crate) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let mine = usage(std::process::id()).unwrap();
        assert!(mine.rss_bytes > 1 << 20 && mine.threads >= 1, "{mine:?}");
        assert!(open_files() >= 3);
        assert!(usage(u32::MAX).is_err());
    }
}
