//! Files of ours, and what members leave for each other in the CIB.

use pgtwin::cluster::asked::{Answer, Order, OrderId};
use pgtwin::cluster::node::NodeName;
use pgtwin::cluster::past::{self, Event};
use pgtwin::cluster::paused::Paused;
use pgtwin::cluster::recovery::{Attempts, Marker, Progress, Summary, WorkerId};
use pgtwin::cluster::sealed::seal;
use pgtwin::decide::rebuild::asked::{Due, due};
use pgtwin::runtime::layout::{Layout, Noted};

use crate::{Target, text};

fn node() -> NodeName {
    "n1".parse().unwrap()
}

pub const MARKER: Target = Target {
    name: "marker",
    run: markers_and_attempts_are_read_back,
    captured: &[],
    seeds: &[
        "pgtwin-recovery 1\nresource db\nnode n1\nattempt 2\nmethod rewind\nphase rewinding\nsource n2\nsystem \
         7301234567890123456\nbegun 1700000000\nworker 6c2f-11.77.12345\nhalf-done yes\nruin yes\nasked yes\nold-copy \
         /srv/pg.backup.20260101-000000\nreason a\\nb\\\\c\n",
        "pgtwin-attempts 1\nresource db\nnode n1\nfailed 3\nfailed-at 1700000000\nreason no\\r room\nnext \n",
        "6c2f-11.77.12345",
    ],
};

fn markers_and_attempts_are_read_back(data: &[u8]) {
    let given = text(data).into_owned();
    if let Ok(worker) = given.parse::<WorkerId>() {
        assert_eq!(worker.to_string().parse::<WorkerId>().as_ref(), Ok(&worker));
    }
    for file in [seal(given.clone()), given] {
        if let Ok(marker) = Marker::parse(&file, "db", &node()) {
            assert_eq!(
                Marker::parse(&marker.to_text("db", &node()), "db", &node()).as_ref(),
                Ok(&marker)
            );
            assert!(Marker::parse(&file, "other", &node()).is_err());
            assert!(marker.attempt > 0 && marker.worker.pid > 1);
        }
        if let Ok(attempts) = Attempts::parse(&file, "db", &node()) {
            let again = Attempts::parse(&attempts.to_text("db", &node()), "db", &node());
            assert_eq!(again.as_ref(), Ok(&attempts));
            let _ = (attempts.turn(0), attempts.turn(i64::MAX), attempts.wait(i64::MIN));
            let _ = attempts.failed_again(i64::MAX, "", "").next_attempt();
        }
    }
}

pub const PROGRESS: Target = Target {
    name: "progress",
    run: json_of_recoveries_is_read_back,
    captured: &[],
    seeds: &[
        "{\"phase\":\"copying\",\"percent\":41,\"done_bytes\":832,\"total_bytes\":2028,\"at\":1700000000}",
        "{\"resource\":\"db\",\"node\":\"n1\",\"attempt\":1,\"method\":\"rebuild\",\"source\":\"n2\"}",
    ],
};

fn json_of_recoveries_is_read_back(data: &[u8]) {
    let given = text(data);
    if let Ok(progress) = serde_json::from_str::<Progress>(&given) {
        let written = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&written).unwrap(), progress);
        assert!(!progress.to_string().contains('\n'));
        let anew =
            Progress::of(progress.phase, progress.done_bytes, progress.total_bytes, progress.at);
        assert!(anew.percent.is_none_or(|percent| percent <= 100));
    }
    if let Ok(summary) = serde_json::from_str::<Summary>(&given) {
        let written = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&written).unwrap(), summary);
    }
}

pub const PAST: Target = Target {
    name: "past",
    run: what_is_told_is_heard_and_steers_no_terminal,
    captured: &[],
    seeds: &[
        "1 | 1700000000 promotion became the primary | 1700000001 sync counts on n2 | 1700000002 recovery done",
        "1700000000 promotion became the primary",
        "1",
        "since=1700000000 by=root",
    ],
};

fn what_is_told_is_heard_and_steers_no_terminal(data: &[u8]) {
    let given = text(data);
    if let Ok(event) = given.parse::<Event>() {
        assert_eq!(event.to_string().parse().as_ref(), Ok(&event));
    }
    if let Ok(events) = past::heard(&given) {
        let plain =
            |event: &Event| event.words().bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        assert!(events.iter().all(plain));
        if let Some(told) = past::told(&events) {
            assert!(told.len() <= 1500);
            let heard = past::heard(&told).unwrap();
            assert!(events.ends_with(&heard) && !heard.is_empty());
        }
    }
    // Whatever words: what is written is an event again.
    let event = Event::new(1_700_000_000, past::Kind::Sync, &given);
    if !event.words().is_empty() {
        assert_eq!(event.to_string().parse().as_ref(), Ok(&event));
        assert_eq!(
            past::heard(&past::told(std::slice::from_ref(&event)).unwrap()).unwrap(),
            [event]
        );
    }
    if let Ok(paused) = given.parse::<Paused>() {
        let written = paused.to_string();
        assert!(written.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{written:?}");
        assert_eq!(written.parse::<Paused>().unwrap().to_string(), written);
    }
}

pub const ORDERS: Target = Target {
    name: "orders",
    run: orders_and_answers_are_read_back,
    captured: &[],
    seeds: &[
        "id=00000000000000aa at=1700000000 by=root on n1",
        "id=00000000000000aa stage=done seconds=12 bytes=4096 words=/srv/pg.backup",
        "id=00000000000000aa stage=goes-on seconds=1 bytes=0 words=",
    ],
};

fn orders_and_answers_are_read_back(data: &[u8]) {
    let given = text(data);
    if let Ok(order) = given.parse::<Order>() {
        assert_eq!(order.to_string().parse().as_ref(), Ok(&order));
        assert_ne!(due(Some(&given), "", order.at), Due::Nothing);
        assert!(matches!(due(Some(&given), &order.id.to_string(), order.at), Due::Void(_)));
    }
    for now in [0, 1_700_000_000, i64::MAX, i64::MIN] {
        if let Due::Void(why) = due(Some(&given), "", now) {
            assert!(!why.contains('\n'), "{why:?}");
        }
    }
    if let Ok(answer) = given.parse::<Answer>() {
        assert_eq!(answer.to_string().parse().as_ref(), Ok(&answer));
    }
    if let Ok(id) = given.parse::<OrderId>() {
        assert_eq!(id.to_string(), given);
    }
    // Whoever asks, it is an order.
    let order = Order::new(OrderId(7), 1_700_000_000, &given);
    assert_eq!(order.to_string().parse().as_ref(), Ok(&order));
}

pub const LAYOUT: Target = Target {
    name: "layout",
    run: layouts_are_read_back,
    captured: &[],
    seeds: &[
        "pgtwin layout 1\n20260101-000000 1 17\ndata 0 0 1 700\n/srv/pg data\n\n\ntablespace 16384 1 0 -\n/srv/space\n\
         /srv/space\n/srv/theirs\nwal 0 0 0 755\n/srv/wal\n../wal\n\ndropped 9 0 0 -\n/x\n\n\nend\n",
        "pgtwin parts 1\n7301234567890123456 17\n/srv/data\nwal\n/srv/wal\n../wal\ntablespace 16384 1234 5678\n/srv/a b\n\
         /srv/a b\nend\n",
        "pgtwin parts 1\n7 17\n/srv/data\r\r\nwal\n/srv/wal\r\r\n../wal\nend\n",
    ],
};

fn layouts_are_read_back(data: &[u8]) {
    let given = text(data);
    if let Ok(layout) = Layout::parse(&given)
        && let Some(written) = layout.to_text()
    {
        assert_eq!(Layout::parse(&written).as_ref(), Ok(&layout));
    }
    if let Ok(noted) = Noted::parse(&given) {
        if let Some(written) = noted.to_text() {
            assert_eq!(Noted::parse(&written).as_ref(), Ok(&noted));
        }
        assert!(noted.places().all(std::path::Path::is_absolute));
    }
}
