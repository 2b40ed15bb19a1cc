//! One data directory, one postmaster, however it is started; and names that are somebody else's.

use pgtwin::decide::facts::Process;
use pgtwin::ocf::params::Params;

use crate::box_of::{await_answer, is_gone, pid, soon, with_each_engine};
use crate::engine;

#[test]
fn a_second_postmaster_is_refused_in_both_directions() {
    with_each_engine(|on| {
        let contained = on.started();
        let first = pid(&contained);
        // A claim that says nothing to anybody: what PostgreSQL itself would go by is gone.
        std::fs::remove_file(format!("{}/postmaster.pid", on.params.pgdata)).unwrap();
        let why = on.bare().start(&soon()).unwrap_err();
        assert!(why.contains("work in") && why.contains(&on.params.pgdata), "{why}");
        let other = Params { container_name: format!("{}-b", on.name()), ..on.params.clone() };
        let why = on.with(&other).start(&soon()).unwrap_err();
        assert!(why.contains("work in"), "{why}");
        assert!(on.bare().runs_otherwise().unwrap().contains("container_mode=false"));
        assert_eq!(contained.runs_otherwise(), None);
        assert_eq!(pid(&contained), first);
        contained.stop(&soon()).unwrap();

        let bare = on.bare();
        bare.start(&soon()).unwrap();
        await_answer(&bare);
        let first = pid(&bare);
        std::fs::remove_file(format!("{}/postmaster.pid", on.params.pgdata)).unwrap();
        let why = on.instance().start(&soon()).unwrap_err();
        assert!(why.contains("work in"), "{why}");
        assert!(on.instance().runs_otherwise().unwrap().contains("container_mode=true"));
        assert_eq!(pid(&bare), first);
        bare.stop(&soon()).unwrap();
    });
}

#[test]
fn a_container_of_that_name_that_is_not_ours_is_never_touched() {
    with_each_engine(|on| {
        let image = on.params.container_image.clone().unwrap();
        let mine = ["run", "--detach", "--network=none", "--name", on.name(), &image];
        let mine: Vec<&str> = mine.into_iter().chain(["/usr/bin/sleep", "300"]).collect();
        on.tell(&mine);
        let pg = on.instance();
        let why = pg.start(&soon()).unwrap_err();
        assert!(why.contains("pgtwin has not made"), "{why}");
        pg.stop(&soon()).unwrap();
        pg.runtime().clean_up(crate::box_of::LONG);
        assert_eq!(on.tell(&["inspect", "--format", "{{.State.Status}}", on.name()]), "running");
        assert!(is_gone(&pg));
    });
}

#[test]
fn what_is_missing_is_named_with_the_remedy() {
    with_each_engine(|on| {
        let with = |change: &dyn Fn(&mut Params)| {
            let mut params = on.params.clone();
            change(&mut params);
            let pg = on.with(&params);
            let why = pg.start(&soon()).unwrap_err();
            assert_eq!(pg.runtime().process(), Process::None);
            why
        };
        let no_image =
            with(&|p| p.container_image = Some("localhost/pgtwin-test-no-such:1".into()));
        assert!(
            no_image.contains("is not on this node") && no_image.contains("pull"),
            "{no_image}"
        );
        let none = with(&|p| p.container_image = None);
        assert!(none.contains("set container_image"), "{none}");
        let nowhere = with(&|p| p.pg_bindir = Some("/opt/nowhere".into()));
        assert!(nowhere.contains("holds no PostgreSQL"), "{nowhere}");
        let version = format!("{}/PG_VERSION", on.params.pgdata);
        let before = std::fs::read_to_string(&version).unwrap();
        std::fs::write(&version, "14\n").unwrap();
        let other = with(&|_| {});
        assert!(other.contains("and 14 is needed"), "{other}");
        std::fs::write(&version, before).unwrap();
        engine::remove(on.runtime, on.name());
    });
}
