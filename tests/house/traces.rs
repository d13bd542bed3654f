//! Reading what strace wrote: was the log synced before an answer left?

/// The system calls that matter, in the order in which they began or ended.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Bytes that hold what is looked for were written to the log's WAL.
    Written,
    SyncBegan,
    Synced,
    /// Bytes that hold what is looked for left through a socket.
    Answered,
}

fn is_wal(descriptor: &str) -> bool {
    descriptor.contains("/log.db-wal>")
}

/// What `strace -f -yy` says about `needle`. A call that another thread's interrupts stands there
/// twice, as `unfinished` and as `resumed`.
fn steps(trace: &str, needle: &str) -> Vec<(usize, Step)> {
    let mut steps = Vec::new();
    // Threads that are in the middle of a sync of the WAL.
    let mut syncing = std::collections::HashSet::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, call)) = line.trim_start().split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(resumed) = call.strip_prefix("<... ") {
            let sync = resumed.starts_with("fsync") || resumed.starts_with("fdatasync");
            if sync && syncing.remove(thread) && resumed.trim_end().ends_with("= 0") {
                steps.push((at, Step::Synced));
            }
            continue;
        }
        let Some((name, rest)) = call.split_once('(') else { continue };
        let descriptor = rest.split(['"', ',', ')', '[']).next().unwrap_or_default();
        let unfinished = call.trim_end().ends_with("<unfinished ...>");
        match name {
            "fsync" | "fdatasync" if is_wal(descriptor) => {
                steps.push((at, Step::SyncBegan));
                if unfinished {
                    syncing.insert(thread.to_owned());
                } else if call.trim_end().ends_with("= 0") {
                    steps.push((at, Step::Synced));
                }
            }
            "pwrite64" if is_wal(descriptor) && rest.contains(needle) => steps.push((at, Step::Written)),
            "write" | "writev" | "sendto" | "sendmsg" if rest.contains("<TCP") && rest.contains(needle) => {
                steps.push((at, Step::Answered));
            }
            _ => {}
        }
    }
    steps
}

/// Whether what holds `needle` was written to the log's WAL, then synced, and only then answered.
///
/// # Errors
/// What was not so.
pub fn synced_before_answered(trace: &str, needle: &str) -> Result<(), String> {
    let steps = steps(trace, needle);
    let first = |step: Step| steps.iter().position(|(_, it)| *it == step);
    let written = first(Step::Written).ok_or("it was never written to the log's WAL")?;
    let answered = first(Step::Answered).ok_or("it was never answered")?;
    let began = steps[written..].iter().position(|(_, it)| *it == Step::SyncBegan).map(|at| written + at);
    let began = began.ok_or("the WAL was not synced after it was written")?;
    let synced = steps[began..].iter().position(|(_, it)| *it == Step::Synced).map(|at| began + at);
    let synced = synced.ok_or("the sync did not end well")?;
    if synced < answered { Ok(()) } else { Err("the answer left before the sync had ended".to_owned()) }
}

/// The trace as a log would leave it that never syncs.
pub fn without_syncs(trace: &str) -> String {
    let is_sync = |line: &&str| line.contains("fsync") || line.contains("fdatasync");
    trace.lines().filter(|line| !is_sync(line)).map(|line| format!("{line}\n")).collect()
}

/// The trace as a log would leave it that answers `needle` before it writes anything.
pub fn with_answer_first(trace: &str, needle: &str) -> String {
    let is_answer = |line: &&str| line.contains("<TCP") && line.contains(needle);
    let (answers, rest): (Vec<&str>, Vec<&str>) = trace.lines().partition(is_answer);
    answers.iter().chain(&rest).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: &str = r#"7 pwrite64(9</d/log.db-wal>, "..0193-a..", 4096, 56) = 4096"#;
    const SYNC: &str = "7 fdatasync(9</d/log.db-wal>) = 0";
    const BEGIN: &str = "7 fdatasync(9</d/log.db-wal> <unfinished ...>";
    const END: &str = "7 <... fdatasync resumed>) = 0";
    const ANSWER: &str = r#"8 writev(11<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="HTTP/1.1 200 OK 0193-a", iov_len=9}], 1) = 9"#;

    fn verdict(lines: &[&str]) -> Result<(), String> {
        synced_before_answered(&lines.join("\n"), "0193-a")
    }

    #[test]
    fn a_sync_between_write_and_answer_is_seen() {
        assert_eq!(verdict(&[WRITE, SYNC, ANSWER]), Ok(()));
        assert_eq!(verdict(&[SYNC, WRITE, BEGIN, END, ANSWER]), Ok(()));
    }

    #[test]
    fn an_answer_that_precedes_the_sync_is_found_out() {
        let others = SYNC.replace("log.db-wal", "timeline.db-wal");
        let failed = SYNC.replace("= 0", "= -1 EIO (Input/output error)");
        for lines in [
            &[WRITE, ANSWER, SYNC][..],
            &[WRITE, BEGIN, ANSWER, END],
            &[ANSWER, WRITE, SYNC],
            &[SYNC, WRITE, ANSWER],
            &[WRITE, ANSWER],
            &[WRITE, &others, ANSWER],
            &[WRITE, &failed, ANSWER],
            &[WRITE, SYNC],
            &[SYNC, ANSWER],
        ] {
            assert!(verdict(lines).is_err(), "{lines:?}");
        }
    }
}
