//! A primary n1 and a standby n2 that logs in there by password.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgtwin::client::peer::Peer;
use pgtwin::cluster::known::Known;
use pgtwin::decide::broken_replication::{self, Diagnosis, diagnose, wanted};
use pgtwin::decide::facts::{Sql, StandbyFacts};
use pgtwin::decide::recovery_check::{self, Check, Finding, Kind};
use pgtwin::decide::source::Answer;
use pgtwin::postgres::lsn::Lsn;
use pgtwin::runtime::instance::Postgres;
use pgtwin::runtime::instance::recovery_facts::{Provider, Standby};
use pgtwin::sys::deadline::poll_until;
use pgtwin::sys::exec::{Cmd, Exec, System};

use crate::place::{Place, now, soon, sql, started_primary};

pub const SLOT: &str = "ha_slot_n2";
pub const GRANT: &str = "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text,boolean,boolean), \
    pg_catalog.pg_stat_file(text,boolean), pg_catalog.pg_read_binary_file(text), \
    pg_catalog.pg_read_binary_file(text,bigint,bigint,boolean) TO replicator";
const HBA: &str = "local all,replication all peer\n\
    host replication replicator 127.0.0.1/32 scram-sha-256\n\
    host postgres replicator 127.0.0.1/32 scram-sha-256\n";

/// Both, the primary running, the standby not.
pub struct Pair<'a> {
    pub place: &'a Place,
    pub n1: Postgres<'static>,
    pub n2: Postgres<'static>,
    pub peer: Peer,
}

impl<'a> Pair<'a> {
    pub fn new(place: &'a Place) -> Self {
        let (n1, port) = started_primary(place, "n1");
        sql(&n1, "CREATE ROLE replicator REPLICATION LOGIN PASSWORD 'right'");
        sql(&n1, GRANT);
        sql(&n1, &format!("SELECT pg_create_physical_replication_slot('{SLOT}', true)"));
        let (n2, _) = place.basebackup(port, "n2");
        let passfile = place.path("passfile").display().to_string();
        let peer = Peer {
            host: "127.0.0.1".into(),
            port,
            user: "replicator".into(),
            passfile: Some(passfile.clone()),
            like: pgtwin::postgres::conninfo::Conninfo::new(),
        };
        let pair = Self { place, n1, n2, peer };
        pair.hba(HBA);
        pair.password("right");
        let conninfo = format!(
            "host=127.0.0.1 port={port} user=replicator passfile={passfile} application_name=n2"
        );
        let settings =
            [("primary_conninfo", Some(conninfo.as_str())), ("primary_slot_name", Some(SLOT))];
        pair.n2.set_auto_conf(&settings).unwrap();
        pair
    }

    pub fn passfile(&self) -> PathBuf {
        self.place.path("passfile")
    }

    /// What the passfile says, a line for each login.
    pub fn password(&self, password: &str) {
        let line =
            |database| format!("127.0.0.1:{}:{database}:replicator:{password}\n", self.peer.port);
        let text = line("replication") + &line("postgres");
        self.place.write(&self.passfile(), &text, 0o600);
    }

    /// Gives n1 this pg_hba.conf.
    pub fn hba(&self, text: &str) {
        let file = self.place.path("n1").join("pg_hba.conf");
        self.place.write(&file, text, 0o600);
        self.n1.reload().unwrap();
    }

    /// n1's pg_hba.conf without the line for a database.
    pub fn hba_without(&self, database: &str) {
        let begin = format!("host {database} ");
        let kept = HBA.split_inclusive('\n').filter(|line| !line.starts_with(&begin));
        self.hba(&kept.collect::<String>());
    }

    pub fn provider(&self) -> Provider<'_> {
        Provider { node: "n1", peer: &self.peer, slot: SLOT }
    }

    pub fn check(&self) -> Check {
        recovery_check::check(&self.n2.recovery_facts(&self.provider(), None, false, &soon()))
    }

    /// Checks until just this is found: a reload takes a moment.
    pub fn await_finding(&self, kinds: &[Kind]) -> Vec<Finding> {
        let mut last = Check::default();
        let found = poll_until(&soon(), Duration::from_millis(50), || {
            last = self.check();
            let same = last.findings.iter().map(|found| found.kind).eq(kinds.iter().copied());
            same.then(|| last.findings.clone())
        });
        found.unwrap_or_else(|| panic!("{kinds:?} was not found: {last:#?}"))
    }

    /// Finds just this, does what its remedy says, and finds nothing any more.
    pub fn mended(&self, kind: Kind, mend: impl FnOnce(&str)) {
        let found = self.await_finding(&[kind]);
        mend(&found[0].advice.remedy);
        self.await_finding(&[]);
    }

    /// Types on n1 what a remedy says is to be typed there.
    pub fn type_on_n1(&self, remedy: &str) {
        let (_, statement) = remedy.split_once("on n1: ").expect(remedy);
        sql(&self.n1, statement);
    }

    /// The standby as it is, once it answers.
    pub fn standby(&self) -> StandbyFacts {
        poll_until(&soon(), Duration::from_millis(50), || match now(&self.n2).sql {
            Sql::Standby(facts) => Some(*facts),
            _ => None,
        })
        .unwrap_or_else(|| panic!("{:?}", now(&self.n2)))
    }

    fn broken(
        &self,
        before: Option<Lsn>,
        parted: Known<Option<String>>,
    ) -> broken_replication::Facts {
        let standby = match now(&self.n2).sql {
            Sql::Standby(facts) => Some(*facts),
            _ => None,
        };
        let limit = Duration::from_secs(30);
        let standby = Standby {
            facts: standby.as_ref(),
            wanted: standby.as_ref().and_then(wanted),
            replayed_before: before,
            parted,
        };
        self.n2.broken_facts(&self.provider(), standby, limit)
    }

    /// What `start` finds out before it starts n2, whose data ends there.
    pub fn at_start(&self, end: Lsn) -> Diagnosis {
        let standby = Standby {
            facts: None,
            wanted: Some(end),
            replayed_before: None,
            parted: Known::Known(None),
        };
        diagnose(&self.n2.broken_facts(&self.provider(), standby, Duration::from_secs(30)))
    }

    /// Makes n2's slot as its monitor does.
    pub fn make_slot(&self, lost: bool) {
        self.n2.make_peer_slot(&self.peer, SLOT, lost, Duration::from_secs(30)).unwrap();
    }

    pub fn diagnosis_with(&self, before: Option<Lsn>, parted: Known<Option<String>>) -> Diagnosis {
        diagnose(&self.broken(before, parted))
    }

    /// Whether n1 says that it has the segment from which n2 needs WAL.
    pub fn has_segment(&self) -> Known<bool> {
        match self.broken(None, Known::Known(None)).source.postgres {
            Answer::In(session) => session.has_segment,
            other => panic!("{other:?}"),
        }
    }

    /// Why n2 does not stream, its data having been compared and found to fit.
    pub fn diagnosis(&self) -> Diagnosis {
        self.diagnosis_with(None, Known::Known(None))
    }

    /// The diagnosis, once it is this one: what the log says comes with the next attempt.
    pub fn await_diagnosis(&self, wanted: pgtwin::decide::broken_replication::Cause) -> Diagnosis {
        let mut last = None;
        let found = poll_until(&soon(), Duration::from_millis(100), || {
            let diagnosis = self.diagnosis();
            last = Some(diagnosis.clone());
            (diagnosis.cause == wanted).then_some(diagnosis)
        });
        found.unwrap_or_else(|| panic!("not {wanted:?}: {last:?}; n2: {:?}", now(&self.n2)))
    }

    /// Cuts n2's receiver off, and sees it gone.
    pub fn cut(&self) {
        sql(&self.n1, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    }

    /// Some segments of WAL, of which a checkpoint keeps none that nobody asked to keep.
    pub fn move_on(&self) {
        for _ in 0..6 {
            sql(&self.n1, "SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()");
        }
        sql(&self.n1, "CHECKPOINT");
    }

    pub fn set_on_n1(&self, name: &str, value: &str) {
        sql(&self.n1, &format!("ALTER SYSTEM SET {name} = '{value}'"));
        self.n1.reload().unwrap();
        self.n1.await_setting(name, value, &soon()).unwrap();
    }
}

/// A small file system, for as long as it is needed.
pub struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    pub fn mount(path: &'a Path, options: &str) -> Self {
        let text = path.display().to_string();
        let mount = Cmd::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", &text]);
        let output = System.run(&mount).unwrap();
        assert!(output.ok(), "{output:?}");
        Self(path)
    }

    pub fn resize(&self, size: &str) {
        let path = self.0.display().to_string();
        let resize = Cmd::new("mount").args(["-o", &format!("remount,size={size}"), &path]);
        let output = System.run(&resize).unwrap();
        assert!(output.ok(), "{output:?}");
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // Lazily: after a failure a server may still have files open there.
        let _ = System.run(&Cmd::new("umount").args(["-l", &self.0.display().to_string()]));
    }
}
