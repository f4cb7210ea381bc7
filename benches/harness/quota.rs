//! The CPU of a Lambda function with less than one CPU, by a control group.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lambda's scheduling period in microseconds.
const PERIOD_US: u32 = 20_000;

/// A control group whose processes share this part of one CPU. Removed on drop.
pub struct Quota(PathBuf);

impl Quota {
    /// Creates the group; `None` if this machine does not allow it.
    pub fn new(part: f64) -> Option<Self> {
        let quota_us = (f64::from(PERIOD_US) * part).round() as u32;
        let name = format!("payment-intents-bench-{}", std::process::id());
        let unified = Path::new("/sys/fs/cgroup").join(&name);
        let separate = Path::new("/sys/fs/cgroup/cpu").join(&name);
        if fs::create_dir(&separate).is_ok() {
            let group = Self(separate);
            fs::write(group.0.join("cpu.cfs_period_us"), PERIOD_US.to_string()).ok()?;
            fs::write(group.0.join("cpu.cfs_quota_us"), quota_us.to_string()).ok()?;
            return Some(group);
        }
        fs::create_dir(&unified).ok()?;
        let group = Self(unified);
        fs::write(group.0.join("cpu.max"), format!("{quota_us} {PERIOD_US}")).ok()?;
        Some(group)
    }

    /// A command that runs `binary` in the group, after it has printed an empty line.
    pub fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo $$ > \"$0\" && echo && exec \"$1\""]);
        command.arg(self.0.join("cgroup.procs")).arg(binary);
        command
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // A killed process may take a moment to leave the group.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
