//! Node names that are hard on whatever compares, quotes or cuts them.

use lab::Options;

use crate::stage::case;

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn fault_12_names_with_dots_and_hyphens_and_one_that_begins_like_another_move_and_fail_over() {
    let names = ["pg1", "pg10", "pg-1.db.lab"].map(str::to_owned).to_vec();
    case(&Options { names, ..Options::default() }, crate::releases::moves_and_fails_over);
}
