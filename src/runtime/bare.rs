//! PostgreSQL as an ordinary process of this host. Floor 2.
//!
//! `postgres` is started directly, not by `pg_ctl start`: that one builds a line for a shell out of
//! the parameters, and hides the postmaster's end from whoever waits for its start.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use nix::unistd;

use crate::postgres::version::major_of_pg_version;
use crate::sys::exec::{Cmd, Exec};

use super::processes::Processes;
use super::{
    BinariesError, Launched, Place, Runtime, RuntimeError, binaries, one_server, start, text,
};

/// An instance that runs on the host.
pub struct Bare<'a> {
    exec: &'a dyn Exec,
    processes: Processes,
    bindir: OnceCell<Result<PathBuf, BinariesError>>,
}

impl<'a> Bare<'a> {
    /// The instance at this place. Nothing is looked at yet.
    pub fn new(exec: &'a dyn Exec, place: Place) -> Self {
        Self { exec, processes: Processes::new(place, None), bindir: OnceCell::new() }
    }

    fn bindir(&self) -> Result<&PathBuf, BinariesError> {
        let found = self.bindir.get_or_init(|| {
            let place = self.place();
            let major = place.read("PG_VERSION", 64).ok();
            let major = major.and_then(|text| major_of_pg_version(&text).ok());
            binaries::find(self.exec, &place.user.name, place.bindir.as_deref(), major)
        });
        found.as_ref().map_err(Clone::clone)
    }

    /// The command that is the postmaster.
    pub fn postmaster(&self) -> Result<Cmd, BinariesError> {
        let place = self.place();
        // In PGDATA from its first moment: by that its processes are found, also by a stop that comes
        // before it has read its options.
        let cmd = self.command("postgres")?.cwd(place.pgdata_text());
        let mut cmd = cmd.args(postmaster_args(place, place.socket_dir.as_deref()));
        if let Ok(Some(user)) = unistd::User::from_name(&place.user.name) {
            // What its own login would have, for libpq in the walreceiver and archive commands.
            cmd = cmd
                .env("HOME", user.dir.display().to_string())
                .env("USER", &place.user.name)
                .env("LOGNAME", &place.user.name);
        }
        Ok(cmd)
    }
}

/// The postmaster's arguments.
pub(crate) fn postmaster_args(place: &Place, socket_dir: Option<&Path>) -> Vec<String> {
    let mut args = config_args(place);
    args.extend(["-p".to_owned(), place.port.to_string()]);
    if let Some(dir) = socket_dir {
        args.extend(["-c".to_owned(), format!("unix_socket_directories={}", text(dir))]);
    }
    args.extend(place.start_opts.iter().cloned());
    args
}

/// Where its data and its configuration are. A `data_directory` in a configuration file
/// elsewhere would win over `-D`, and start another instance.
pub(crate) fn config_args(place: &Place) -> Vec<String> {
    let pgdata = place.pgdata_text();
    let mut args = vec!["-D".to_owned(), pgdata.clone()];
    if let Some(file) = &place.config_file {
        args.extend(["-c".to_owned(), format!("config_file={}", text(file))]);
        args.extend(["-c".to_owned(), format!("data_directory={pgdata}")]);
    }
    args
}

impl Runtime for Bare<'_> {
    fn processes(&self) -> &Processes {
        &self.processes
    }

    fn is_contained(&self) -> bool {
        false
    }

    fn command(&self, program: &str) -> Result<Cmd, BinariesError> {
        let path = self.bindir()?.join(program);
        Ok(Cmd::new(text(&path)).user(&self.place().user.name))
    }

    fn launch(&self) -> Result<Launched, RuntimeError> {
        self.processes.reap();
        let cmd = self.postmaster()?;
        let lock = one_server::claim(self.place(), one_server::Numbers::OfThisHost)?;
        let launched = start::spawn(&cmd, &self.place().start_log, false, lock)?;
        self.processes.adopt(launched.pid);
        Ok(launched)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::sys::exec::{RunAs, System};
    use crate::sys::privilege::User;

    fn place() -> Place {
        Place {
            pgdata: "/srv/my data".into(),
            user: User { name: "root".into(), uid: 0, gid: 0, groups: vec![0] },
            port: 5433,
            socket_dir: None,
            config_file: None,
            start_opts: Vec::new(),
            bindir: None,
            start_log: "/var/log/pgtwin/x.log".into(),
        }
    }

    fn bare(place: Place) -> Bare<'static> {
        let bare = Bare::new(&System, place);
        bare.bindir.set(Ok("/usr/lib/postgresql/15/bin".into())).unwrap();
        bare
    }

    #[test]
    fn the_postmaster_is_started_with_what_the_parameters_say_and_no_shell() {
        let cmd = bare(place()).postmaster().unwrap();
        assert_eq!(cmd.program, "/usr/lib/postgresql/15/bin/postgres");
        assert_eq!(cmd.args, ["-D", "/srv/my data", "-p", "5433"]);
        assert_eq!(cmd.cwd, "/srv/my data");
        assert_eq!(cmd.run_as, RunAs::User("root".into()));
        assert!(cmd.env.contains(&("HOME".into(), "/root".into())));
        assert!(cmd.env.contains(&("USER".into(), "root".into())));

        let cmd = bare(Place {
            socket_dir: Some("/run/pg".into()),
            config_file: Some("/etc/postgresql/15/main/postgresql.conf".into()),
            start_opts: vec!["-c".into(), "work_mem=8MB".into()],
            ..place()
        });
        assert_eq!(
            cmd.postmaster().unwrap().args,
            [
                "-D",
                "/srv/my data",
                "-c",
                "config_file=/etc/postgresql/15/main/postgresql.conf",
                "-c",
                "data_directory=/srv/my data",
                "-p",
                "5433",
                "-c",
                "unix_socket_directories=/run/pg",
                "-c",
                "work_mem=8MB",
            ]
        );
    }

    #[test]
    fn without_programs_every_command_says_so() {
        let bare = Bare::new(&System, Place { bindir: Some("/nowhere".into()), ..place() });
        let error = bare.command("pg_ctl").unwrap_err();
        assert_eq!(error, BinariesError::NotInBindir { dir: "/nowhere".into() });
        assert!(matches!(bare.launch(), Err(RuntimeError::Binaries(_))));
    }
}
