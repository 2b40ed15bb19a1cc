//! `lab compare`, one round of one fault each: that all three come up and are measured. The figures are for
//! people: docs/compare-measured.md.

use std::time::Duration;

use lab::compare::blow::Blow;
use lab::compare::record::Record;
use lab::compare::{self, PRODUCTS, Wish, table};
use lab::{Agent, Options};

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn compare_measures_all_three_and_pgtwin_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let wish = Wish {
        rounds: 1,
        only: Vec::new(),
        blows: vec![Blow::KillNode],
        rest: Duration::from_secs(2),
        costs: true,
        dir: dir.path().to_owned(),
    };
    let name = format!("compare-{}", std::process::id());
    let record = compare::compare(&Options { name, ..Options::default() }, &wish).unwrap();
    eprintln!("{}", table::show(&record));
    for product in PRODUCTS {
        let rounds: Vec<_> = record.of(product, Blow::KillNode).collect();
        let [round] = rounds.as_slice() else { panic!("{product:?}: {rounds:?}") };
        assert!(round.acknowledged > 0, "{round:?}");
        assert!(record.has_cost(product), "{product:?}");
        if product == Agent::Pgtwin {
            assert_eq!((round.lost, round.dual), (Some(0), 0), "{round:?}");
        }
    }
    assert_eq!(Record::read(dir.path()).unwrap(), record, "it can be gone on with");
}
