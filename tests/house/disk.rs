//! A small disk of a test's own: a tmpfs in a mount namespace that nobody else sees.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::letopis::Settings;
use crate::postgres::{as_its_user, is_root};

/// Gone with the test.
pub struct Disk {
    /// Holds the namespace until its stdin is closed; with the test's end, however that comes.
    holder: Child,
    place: tempfile::TempDir,
}

/// Mounts and says so, and stays.
const HOLD: &str = "mount -t tmpfs -o size=\"$1\",mode=1777 letopis-test \"$2\" && echo mounted && exec cat";

impl Disk {
    /// `size` as tmpfs has it: `24m`.
    pub async fn new(size: &str) -> Self {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let place = tempfile::Builder::new().prefix("letopis-disk-").permissions(open).tempdir();
        let place = place.expect("a folder");
        // Root has what it takes, or may make a user namespace like everybody else.
        let ways: &[&[&str]] = if is_root() { &[&["-m"], &["-rm"]] } else { &[&["-rm"]] };
        let mut said = String::new();
        for way in ways {
            match Self::hold(way, size, place.path()).await {
                Ok(holder) => return Self { holder, place },
                Err(why) => said.push_str(&why),
            }
        }
        panic!(
            "this test needs a small disk, and may not mount one: run it where unshare(1) may make a mount namespace \
             (a container with CAP_SYS_ADMIN, or with user namespaces allowed: \
             sysctl kernel.unprivileged_userns_clone=1, --security-opt seccomp=unconfined):\n{said}"
        )
    }

    async fn hold(way: &[&str], size: &str, place: &Path) -> Result<Child, String> {
        let mut command = Command::new("unshare");
        command.args(way).args(["sh", "-c", HOLD, "sh", size]).arg(place);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().map_err(|error| format!("unshare: {error}\n"))?;
        let mut stdout = std::io::BufReader::new(holder.stdout.take().expect("a pipe"));
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).expect("a pipe");
        if line == "mounted\n" {
            return Ok(holder);
        }
        let ended = holder.wait_with_output().expect("it has ended");
        Err(format!("unshare {}: {}", way.join(" "), String::from_utf8_lossy(&ended.stderr)))
    }

    /// Where it is for those inside.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// The same, seen from outside.
    pub fn outside(&self) -> PathBuf {
        let id = self.holder.id();
        Path::new(&format!("/proc/{id}/root")).join(self.place.path().strip_prefix("/").expect("absolute"))
    }

    /// Words before a program that is to see the disk.
    fn enter(&self) -> Vec<String> {
        let id = self.holder.id().to_string();
        let mut words = ["nsenter", "-t", &id, "-m"].map(str::to_owned).to_vec();
        if self.is_in_user_namespace() {
            words.extend(["-U", "--preserve-credentials"].map(str::to_owned));
        }
        words
    }

    fn is_in_user_namespace(&self) -> bool {
        let namespace =
            |process: &str| std::fs::read_link(format!("/proc/{process}/ns/user")).expect("Linux");
        namespace("self") != namespace(&self.holder.id().to_string())
    }

    /// A letopis with its data on it.
    pub fn hosts(&self, settings: Settings) -> Settings {
        let words = self.enter();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        settings.with("LETOPIS_DATA", self.path().join("data").display()).under(&words)
    }

    /// Words before a PostgreSQL with its data on it.
    pub fn hosts_postgres(&self) -> Vec<String> {
        let mut words = self.enter();
        if self.is_in_user_namespace() {
            assert!(
                !is_root(),
                "in a user namespace of root's there is no user for PostgreSQL: run it as another user"
            );
            // Whoever looks like root in there becomes who they are: PostgreSQL refuses root.
            let id = |what: &str| {
                let id = Command::new("id").arg(what).output().expect("there is id");
                String::from_utf8_lossy(&id.stdout).trim().to_owned()
            };
            words.extend(["unshare", "--user"].map(str::to_owned));
            words.extend([format!("--map-user={}", id("-u")), format!("--map-group={}", id("-g"))]);
        } else {
            words.extend(as_its_user());
        }
        words
    }

    /// Writes until nothing fits any more; again if something was given back since.
    pub fn fill(&self) {
        let path = self.outside().join("ballast");
        let mut ballast = std::fs::File::options().create(true).append(true).open(path).expect("a file");
        let mut size = 1 << 20;
        while size > 0 {
            match ballast.write(&vec![0; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => size /= 2,
                Err(error) => panic!("the disk can't be filled: {error}"),
            }
        }
    }

    /// Gives back what [`Disk::fill`] took.
    pub fn free(&self) {
        std::fs::remove_file(self.outside().join("ballast")).expect("it was filled");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may have ended already. The last process inside takes the disk with it.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
