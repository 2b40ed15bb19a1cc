//! What this instance needs of its surroundings: extensions of its databases, what its settings name, and
//! which PostgreSQL the host has for it. Floor 2.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{OneLine, Postgres};
use crate::client::sql::{Wire, examine};
use crate::cluster::known::Known;
use crate::ocf::params::Params;
use crate::postgres::conninfo::Conninfo;
use crate::postgres::version::Version;
use crate::runtime::container::{Container, Spec};
use crate::runtime::{Runtime, binaries, last_words, look};
use crate::sys::chain;
use crate::sys::deadline::Deadline;
use crate::sys::exec::{Cmd, Output};

/// How long one database may take.
const ONE: Duration = Duration::from_secs(10);
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

    /// The directories and files that a container of this instance sees, each at its path inside.
    pub fn mounted(&self, params: &Params) -> Result<BTreeSet<String>, String> {
        let container = Container::new(self.exec, self.place().clone(), Spec::of(params));
        let mut all = container.mounted().map_err(|error| chain(&error))?;
        // Both names of one directory.
        if all.contains("/run/postgresql") {
            all.insert("/var/run/postgresql".to_owned());
        }
        Ok(all)
    }

    /// Has postgres of the image read this instance's configuration, as its user, where it would run. An
    /// error is what it said.
    pub fn configuration_inside(&self, params: &Params, limit: Duration) -> Result<(), String> {
        let place = self.place();
        let container = Container::new(self.exec, place.clone(), Spec::of(params));
        let mut cmd = container.command("postgres").map_err(|error| error.to_string())?;
        cmd = cmd.args(["-D".to_owned(), place.pgdata.display().to_string()]);
        if let Some(file) = &place.config_file {
            cmd = cmd.args(["-c".to_owned(), format!("config_file={}", file.display())]);
        }
        let cmd = cmd.args(["-C", "data_directory"]).limit(limit);
        let output = self.exec.run(&cmd).map_err(|error| chain(&error))?;
        if output.ok() {
            return Ok(());
        }
        let said = last_words(&output.stderr);
        Err(format!("in the container, postgres does not take the configuration: {said}"))
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
