//! Some minutes of torture, of each kind of cluster.

use lab::torture::options;
use lab::{Mode, Options};

use crate::stage::case;
use crate::torture::tortured;

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn torture_of_three_nodes_loses_nothing() {
    case(&options(Options::default()), |cluster| tortured(cluster, 1, 6));
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn torture_of_two_nodes_loses_nothing() {
    case(&options(Options { nodes: 2, ..Options::default() }), |cluster| tortured(cluster, 4, 4));
}

#[test]
#[ignore = "starts containers: tests/run --full does"]
fn torture_in_async_mode_leaves_one_line_of_history() {
    let asynchronous = Options { mode: Mode::Async, ..Options::default() };
    case(&options(asynchronous), |cluster| tortured(cluster, 14, 4));
}

/// The disks are small, and filled, frozen and broken now and then.
#[test]
#[ignore = "starts containers: tests/run --full does"]
fn torture_with_disks_that_fail_loses_nothing() {
    let disks = Options { disk: Some(2048), ..Options::default() };
    case(&options(disks), |cluster| tortured(cluster, 6, 4));
}
