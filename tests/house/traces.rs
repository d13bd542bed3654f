//! Reading what strace wrote: was a file synced before what rests on it went on?

/// The system calls that matter, in the order in which they began or ended.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Bytes that hold what is looked for were written to the file.
    Written,
    SyncBegan,
    Synced,
    /// Bytes that hold what is looked for went where they must not be before the sync.
    WentOn,
}

/// Where bytes may go only after they were synced elsewhere.
#[derive(Clone, Copy, Debug)]
pub enum Onward {
    /// Through a TCP socket.
    Answer,
    /// Into another file of this name.
    File(&'static str),
}

impl Onward {
    fn is(self, call: &str, descriptor: &str) -> bool {
        match self {
            Self::Answer => {
                ["write", "writev", "sendto", "sendmsg"].contains(&call) && descriptor.contains("<TCP")
            }
            Self::File(name) => call == "pwrite64" && is_file(descriptor, name),
        }
    }
}

fn is_file(descriptor: &str, name: &str) -> bool {
    descriptor.contains(&format!("/{name}>"))
}

/// What `strace -f -yy` says about `needle`. A call that another thread's interrupts stands there
/// twice, as `unfinished` and as `resumed`.
fn steps(trace: &str, needle: &str, file: &str, onward: Onward) -> Vec<Step> {
    let mut steps = Vec::new();
    // Threads that are in the middle of a sync of the WAL.
    let mut syncing = std::collections::HashSet::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.trim_start().split_once(' ') else { continue };
        let call = call.trim();
        if let Some(resumed) = call.strip_prefix("<... ") {
            let sync = resumed.starts_with("fsync") || resumed.starts_with("fdatasync");
            if sync && syncing.remove(thread) && resumed.ends_with("= 0") {
                steps.push(Step::Synced);
            }
            continue;
        }
        let Some((name, rest)) = call.split_once('(') else { continue };
        // All before the first argument that is text.
        let descriptor = rest.split('"').next().unwrap_or_default();
        match name {
            "fsync" | "fdatasync" if is_file(descriptor, file) => {
                steps.push(Step::SyncBegan);
                if call.ends_with("<unfinished ...>") {
                    syncing.insert(thread.to_owned());
                } else if call.ends_with("= 0") {
                    steps.push(Step::Synced);
                }
            }
            "pwrite64" if is_file(descriptor, file) && rest.contains(needle) => steps.push(Step::Written),
            _ if onward.is(name, descriptor) && rest.contains(needle) => steps.push(Step::WentOn),
            _ => {}
        }
    }
    steps
}

/// Whether what holds `needle` was written to `file`, then synced, and only then went on.
///
/// # Errors
/// What was not so.
pub fn synced_before(trace: &str, needle: &str, file: &str, onward: Onward) -> Result<(), String> {
    let steps = steps(trace, needle, file, onward);
    let from =
        |start: usize, step: Step| steps[start..].iter().position(|it| *it == step).map(|at| start + at);
    let written = from(0, Step::Written).ok_or_else(|| format!("it was never written to {file}"))?;
    let went_on = from(0, Step::WentOn).ok_or_else(|| format!("it never went on: {onward:?}"))?;
    let began = from(written, Step::SyncBegan).ok_or("it was not synced after it was written")?;
    let synced = from(began, Step::Synced).ok_or("the sync did not end well")?;
    if synced < went_on { Ok(()) } else { Err(format!("it went on before the sync had ended: {onward:?}")) }
}

/// The trace as a program would leave it that never syncs.
pub fn without_syncs(trace: &str) -> String {
    let is_sync = |line: &&str| line.contains("fsync") || line.contains("fdatasync");
    trace.lines().filter(|line| !is_sync(line)).map(|line| format!("{line}\n")).collect()
}

/// The trace as a program would leave it that lets `needle` go on before it does anything else.
pub fn going_on_first(trace: &str, needle: &str, onward: Onward) -> String {
    let to = match onward {
        Onward::Answer => "<TCP".to_owned(),
        Onward::File(name) => format!("/{name}>"),
    };
    let goes_on = |line: &&str| line.contains(&to) && line.contains(needle);
    let (first, rest): (Vec<&str>, Vec<&str>) = trace.lines().partition(goes_on);
    first.iter().chain(&rest).map(|line| format!("{line}\n")).collect()
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
        synced_before(&lines.join("\n"), "0193-a", "log.db-wal", Onward::Answer)
    }

    #[test]
    fn a_sync_between_write_and_answer_is_seen() {
        assert_eq!(verdict(&[WRITE, SYNC, ANSWER]), Ok(()));
        assert_eq!(verdict(&[SYNC, WRITE, BEGIN, END, ANSWER]), Ok(()));
    }

    #[test]
    fn a_file_may_rest_on_another() {
        let key = WRITE.replace("log.db-wal", "keys.db-wal");
        let synced = SYNC.replace("log.db-wal", "keys.db-wal");
        let verdict = |lines: &[&str]| {
            synced_before(&lines.join("\n"), "0193-a", "keys.db-wal", Onward::File("log.db-wal"))
        };
        assert_eq!(verdict(&[&key, &synced, WRITE, SYNC]), Ok(()));
        assert!(verdict(&[&key, WRITE, &synced, SYNC]).is_err());
        assert!(verdict(&[&key, SYNC, WRITE, ANSWER]).is_err());
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
