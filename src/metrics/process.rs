//! The process as the kernel sees it, under the names that Prometheus' own clients use. Where there is no `/proc`,
//! nothing is said.

use metrics::gauge;

/// Ticks a second in `/proc/self/stat`: Linux tells user space 100 on every architecture.
const TICKS: f64 = 100.0;

pub fn look() {
    if let Some((ticks, threads)) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(stat)
    {
        // A counter of this facade holds no fractions; whoever takes a rate of it does not mind.
        gauge!("process_cpu_seconds_total").set(ticks as f64 / TICKS);
        gauge!("process_threads").set(threads as f64);
    }
    if let Some(bytes) = std::fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident) {
        gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(open.count() as f64);
    }
    if let Some(most) = std::fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(most_files) {
        gauge!("process_max_fds").set(most as f64);
    }
}

/// Ticks of CPU, user and system, and threads (proc_pid_stat(5): fields 14, 15 and 20).
fn stat(text: &str) -> Option<(u64, u64)> {
    // The second field is the program's name in brackets and may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((field(14)? + field(15)?, field(20)?))
}

/// Bytes.
fn resident(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn most_files(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let line =
            "7 (a) b) S 1 7 7 0 -1 4194304 500 0 0 0 123 45 0 0 20 0 9 0 1000 4096 300 18446744073709551615";
        assert_eq!(stat(line), Some((168, 9)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t   12 kB\nThreads:\t1\n"), Some(12 * 1024));
        assert_eq!(
            most_files("Limit  Soft  Hard\nMax open files            1024     524288   files\n"),
            Some(1024)
        );
        assert_eq!((stat(""), resident(""), most_files("")), (None, None, None));
    }
}
