//! What this instance needs of its surroundings: extensions of its databases, what its settings name, and
//! which PostgreSQL the host has for it. Floor 2.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{OneLine, Postgres};
use crate::client::sql::{Wire, examine};
use crate::cluster::known::Known;
use crate::ocf::params::Params;
use crate::postgres::conninfo::Conninfo;
use crate::postgres::version::Version;
use crate::runtime::{Runtime, binaries, layout, look};
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Output};
use crate::sys::privilege::with_user;

/// How long one database may take.
const ONE: Duration = Duration::from_secs(10);
/// Where a server in a container has its socket, unless a parameter says otherwise.
const SOCKET_DIR: &str = "/run/postgresql";
/// The first version whose databases can run something at each login.
const LOGIN_TRIGGERS: u32 = 17;

impl Postgres<'_> {
    /// All settings of the running server.
    pub fn settings(&self) -> Result<BTreeMap<String, String>, String> {
        let query = "SELECT s.name, s.setting FROM pg_catalog.pg_settings AS s";
        let rows = self.with_session(|wire: &mut dyn Wire, bound| wire.ask(query, bound))?;
        let pair = |row: Vec<Option<String>>| {
            let mut row = row.into_iter();
            Some((row.next()??, row.next()??))
        };
        Ok(rows.into_iter().filter_map(pair).collect())
    }

    /// The program postgres of the host for this data, and its version.
    pub fn host_programs(&self) -> Option<(String, Version)> {
        let place = self.place();
        let major = self.data_major().known();
        let dir =
            binaries::find(self.exec, &place.user.name, place.bindir.as_deref(), major).ok()?;
        let program = dir.join("postgres").display().to_string();
        let cmd = Cmd::new(&program).arg("--version").user(&place.user.name).limit(ONE);
        let output = self.exec.run(&cmd).ok().filter(Output::ok)?;
        Some((program, Version::of_program(&output.stdout).ok()?))
    }

    /// The directories and files of this instance that its container sees, each at its own path.
    pub fn mounted(&self, params: &Params) -> Result<BTreeSet<String>, String> {
        let place = self.place();
        let real = |path: &PathBuf| std::fs::canonicalize(path).ok();
        let data = layout::leads_to(place, true);
        let found = with_user(&place.user, || data.iter().filter_map(real).collect::<Vec<_>>());
        let mut paths = found.map_err(|error| chain(&error))?;
        paths.push(place.pgdata.clone());
        paths.push(place.socket_dir.clone().unwrap_or_else(|| PathBuf::from(SOCKET_DIR)));
        paths.extend(place.config_file.iter().filter_map(|file| file.parent().map(Path::to_owned)));
        let mut all: BTreeSet<String> =
            paths.iter().map(|path| path.display().to_string()).collect();
        // --volume=HOST:INSIDE:ro
        let inside = |option: &String| {
            let volume = option.strip_prefix("--volume=").or_else(|| option.strip_prefix("-v="))?;
            volume.split(':').nth(1).filter(|path| path.starts_with('/')).map(str::to_owned)
        };
        all.extend(params.container_options.iter().filter_map(inside));
        // Both names of one directory.
        if all.contains("/run/postgresql") {
            all.insert("/var/run/postgresql".to_owned());
        }
        Ok(all)
    }

    /// The extensions of all databases that take sessions. Each is asked in a session of its own, in which no
    /// trigger of the database runs.
    pub fn extensions(&self, deadline: &Deadline) -> Known<BTreeSet<String>> {
        Known::from(self.asked_for_extensions(deadline).map_err(OneLine))
    }

    fn asked_for_extensions(&self, deadline: &Deadline) -> Result<BTreeSet<String>, String> {
        let databases = self.with_session(|wire: &mut dyn Wire, bound| {
            let query = "SELECT d.datname FROM pg_catalog.pg_database AS d WHERE d.datallowconn";
            wire.ask(query, bound)
        })?;
        let (_, version) = self.with_session(examine::server)?;
        let endpoint = look::endpoint(self.place()).map_err(|answer| answer.to_string())?;
        let mut all = BTreeSet::new();
        for database in databases.into_iter().flatten().flatten() {
            let mut conninfo = Conninfo::new();
            conninfo.set("host", &endpoint.socket_dir.display().to_string());
            conninfo.set("port", &endpoint.port.to_string());
            conninfo.set("user", &self.place().user.name);
            conninfo.set("dbname", &database);
            conninfo.set("application_name", "pgtwin_extensions");
            let triggers =
                if version.major >= LOGIN_TRIGGERS { " -c event_triggers=off" } else { "" };
            let options =
                format!("-c search_path=pg_catalog,pg_temp -c statement_timeout=8s{triggers}");
            conninfo.set("options", &options);
            let psql = self.runtime.command("psql").map_err(|error| error.to_string())?;
            let cmd = asking(psql, &conninfo).limit(deadline.bounded(ONE));
            let output = self.exec.run(&cmd).map_err(|error| chain(&error))?;
            if !output.ok() {
                let why = output.stderr.lines().last().unwrap_or("it said nothing").to_owned();
                return Err(format!("the extensions of database {database} are not known: {why}"));
            }
            all.extend(output.stdout.lines().filter(|name| !name.is_empty()).map(str::to_owned));
        }
        Ok(all)
    }
}

fn asking(psql: Cmd, conninfo: &Conninfo) -> Cmd {
    psql.args(["--no-psqlrc", "--no-align", "--tuples-only", "--no-password", "--quiet"])
        .arg(format!("--dbname={}", conninfo.to_text()))
        .arg("--command=SELECT e.extname FROM pg_catalog.pg_extension AS e")
}
