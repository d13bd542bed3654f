//! Folder, files, socket, address and limits.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use chronicle::keys::{MasterKeyError, read_master_key};
use rustix::process::Resource;
use tokio::net::TcpListener;

use super::Findings;
use crate::config::Config;
use crate::control::{self, Who};

const GIB: u64 = 1024 * 1024 * 1024;
/// Below this the disk will soon be full, and below that it is.
const LITTLE_SPACE: u64 = GIB;
const NO_SPACE: u64 = GIB / 10;
/// Connections, files of the engines, and something to spare.
const FEW_FILES: u64 = 4_096;

pub(super) fn data_folder(config: &Config, found: &mut Findings) {
    const NAME: &str = "data folder";
    let path = config.data.display();
    let about = match std::fs::metadata(&config.data) {
        Ok(about) if about.is_dir() => about,
        Ok(_) => return found.problem(NAME, format!("{path} is no folder"), "name one in LETOPIS_DATA"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return found.warn(NAME, format!("{path} does not exist"), "the first start makes it");
        }
        Err(error) => return found.problem(NAME, format!("{path}: {error}"), "name another in LETOPIS_DATA"),
    };
    let me = rustix::process::geteuid().as_raw();
    let mode = about.permissions().mode() & 0o7777;
    if about.uid() != me {
        let said = format!("{path} belongs to user {}, and this runs as {me}", about.uid());
        found.warn(NAME, said, "run this as the user whom letopis runs as");
    } else if mode & 0o077 != 0 {
        found.warn(NAME, format!("{path} has mode {mode:04o}"), format!("chmod 700 {path}"));
    } else {
        found.ok(NAME, format!("{path}, mode {mode:04o}"));
    }
    free_space(config, found);
}

fn free_space(config: &Config, found: &mut Findings) {
    const NAME: &str = "free space";
    let about = match rustix::fs::statvfs(&config.data) {
        Ok(about) => about,
        Err(error) => return found.warn(NAME, error.to_string(), "see that the folder's disk is there"),
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let said = format!("{:.1} GiB", free as f64 / GIB as f64);
    let advice = "make room: with a full disk commands are refused with 503 until there is some";
    match free {
        free if free < NO_SPACE => found.problem(NAME, said, advice),
        free if free < LITTLE_SPACE => found.warn(NAME, said, advice),
        _ => found.ok(NAME, said),
    }
}

pub(super) fn control_mode(config: &Config, found: &mut Findings) {
    const NAME: &str = "control socket";
    let path = control::path(&config.data);
    match std::fs::symlink_metadata(&path).map(|about: Metadata| about.permissions().mode() & 0o7777) {
        Ok(0o600) => found.ok(NAME, "answers, mode 0600"),
        Ok(mode) => {
            let advice = format!("chmod 600 {}", path.display());
            found.problem(NAME, format!("answers, and has mode {mode:04o}"), advice);
        }
        Err(error) => found.warn(NAME, format!("answers, and {error}"), "stop and start letopis"),
    }
}

pub(super) async fn listener(config: &Config, who: Option<&Who>, found: &mut Findings) {
    const NAME: &str = "listen address";
    let wanted = config.listen;
    if let Some(who) = who {
        let other = wanted.port() != 0 && who.listen != wanted.to_string();
        return if other {
            let said = format!("{} is served, and LETOPIS_LISTEN is {wanted} here", who.listen);
            found.warn(NAME, said, "use the settings that letopis was started with");
        } else {
            found.ok(NAME, format!("{} is served by it", who.listen));
        };
    }
    match TcpListener::bind(wanted).await {
        Ok(_) => found.ok(NAME, format!("{wanted} is free")),
        Err(error) => {
            let advice = "stop what listens there, or set LETOPIS_LISTEN to another address";
            found.problem(NAME, format!("{wanted}: {error}"), advice);
        }
    }
}

pub(super) fn open_files(found: &mut Findings) {
    const NAME: &str = "open files";
    let said = |files: u64| format!("at most {files} for whoever starts it from here");
    match rustix::process::getrlimit(Resource::Nofile).current {
        Some(files) if files < FEW_FILES => {
            found.warn(NAME, said(files), "each connection takes one: raise it (ulimit -n, LimitNOFILE=)");
        }
        Some(files) => found.ok(NAME, said(files)),
        None => found.ok(NAME, "no limit"),
    }
}

pub(super) fn master_key(config: &Config, found: &mut Findings) {
    const NAME: &str = "master key";
    let path = config.master_key_file();
    match read_master_key(&path) {
        Ok(_) => found.ok(NAME, format!("{}, for its owner alone", path.display())),
        Err(error @ MasterKeyError::Missing(_)) => {
            // Without data there is none to be missed.
            let is_new = !config.data.join("lock").exists();
            match is_new {
                true => found.warn(NAME, "there is none yet", "the first start makes it"),
                false => {
                    found.problem(NAME, error.to_string(), "put it back, or name it in LETOPIS_MASTER_KEY")
                }
            }
        }
        Err(error) => {
            found.problem(NAME, error.to_string(), "put it right as it says");
        }
    }
}
