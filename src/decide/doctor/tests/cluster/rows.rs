//! The defects of a configuration: what is replaced in a good one, and what is said then.

/// Name, from, to, and what is said: `VERDICT check: words`.
pub(super) type Row = (&'static str, &'static str, &'static str, &'static str);

const OPTION: &str = "<nvpair id=\"cib-bootstrap-options-stonith-enabled\" name=\"stonith-enabled\" \
    value=\"true\"/>";
const DEVICES: &str = "<primitive id=\"fence\" class=\"stonith\"";
pub(super) const HOSTS: &str = "name=\"pcmk_host_list\" value=\"n1 n2 n3\"";
pub(super) const POLICY: &str = "name=\"no-quorum-policy\" value=\"stop\"";
const COLOCATION: &str = "<rsc_colocation id=\"vip-with-primary\" score=\"INFINITY\" rsc=\"vip\" \
    rsc-role=\"Started\" with-rsc=\"db-clone\" with-rsc-role=\"Promoted\"/>";
const ORDER: &str = "<rsc_order id=\"vip-after-promote\" kind=\"Mandatory\" first=\"db-clone\" \
    first-action=\"promote\" then=\"vip\" then-action=\"start\" symmetrical=\"false\"/>";
const ORDER_BACK: &str = "<rsc_order id=\"vip-after-demote\" kind=\"Optional\" first=\"db-clone\" \
    first-action=\"demote\" then=\"vip\" then-action=\"stop\" symmetrical=\"false\"/>";
pub(super) const PROMOTED: &str = "interval=\"3s\" role=\"Promoted\" on-fail=\"demote\"";
pub(super) const UNPROMOTED: &str = "interval=\"8s\" role=\"Unpromoted\"";
const CLONE_META: &str = "<meta_attributes id=\"db-clone-meta_attributes\">";
pub(super) const END: &str = "</constraints>";

pub(super) const ROWS: &[Row] = &[
    (
        "fencing off",
        OPTION,
        "<nvpair id=\"x\" name=\"stonith-enabled\" value=\"false\"/>",
        "FAIL fencing-enabled: stonith-enabled is false",
    ),
    (
        "fencing by its name to come",
        OPTION,
        "<nvpair id=\"x\" name=\"fencing-enabled\" value=\"off\"/>",
        "FAIL fencing-enabled: stonith-enabled is false",
    ),
    (
        "fencing is rubbish",
        OPTION,
        "<nvpair id=\"x\" name=\"stonith-enabled\" value=\"perhaps\"/>",
        "UNKNOWN fencing-enabled: stonith-enabled is \"perhaps\"",
    ),
    (
        "no device",
        DEVICES,
        "<primitive id=\"fence\" class=\"systemd\"",
        "FAIL fencing-devices: no fence device is configured",
    ),
    (
        "startup-fencing",
        OPTION,
        "<nvpair id=\"x\" name=\"startup-fencing\" value=\"false\"/>",
        "FAIL fencing-startup: startup-fencing is false",
    ),
    (
        "ignore with three",
        POLICY,
        "name=\"no-quorum-policy\" value=\"ignore\"",
        "FAIL quorum-policy: ignore with 3 nodes",
    ),
    (
        "no such policy",
        POLICY,
        "name=\"no-quorum-policy\" value=\"pray\"",
        "UNKNOWN quorum-policy: no-quorum-policy is \"pray\"",
    ),
    (
        "maintenance",
        OPTION,
        "<nvpair id=\"x\" name=\"maintenance-mode\" value=\"true\"/>",
        "WARN maintenance: maintenance-mode is true",
    ),
    (
        "all stopped",
        OPTION,
        "<nvpair id=\"x\" name=\"stop-all-resources\" value=\"yes\"/>",
        "WARN maintenance: everything is stopped",
    ),
    (
        "opt-in",
        OPTION,
        "<nvpair id=\"x\" name=\"symmetric-cluster\" value=\"0\"/>",
        "WARN maintenance: symmetric-cluster is false",
    ),
    (
        "not promotable",
        "name=\"promotable\" value=\"true\"",
        "name=\"promotable\" value=\"no\"",
        "FAIL clone: db-clone is not promotable",
    ),
    (
        "no notify",
        "name=\"notify\" value=\"true\"",
        "name=\"other\" value=\"true\"",
        "FAIL clone-notify: notify of db-clone is not set",
    ),
    (
        "notify=false",
        "name=\"notify\" value=\"true\"",
        "name=\"notify\" value=\"false\"",
        "FAIL clone-notify: notify of db-clone is \"false\"",
    ),
    (
        "notify by a rule",
        CLONE_META,
        "<meta_attributes id=\"m\" score=\"9\"><rule id=\"r\" score=\"0\"/><nvpair id=\"n\" \
         name=\"notify\" value=\"true\"/></meta_attributes><meta_attributes id=\"db-clone-meta_attributes\">",
        "UNKNOWN clone-notify: notify is set by a rule",
    ),
    (
        "two primaries",
        "name=\"promoted-max\" value=\"1\"",
        "name=\"promoted-max\" value=\"2\"",
        "FAIL clone-options: promoted-max of db-clone is \"2\"",
    ),
    (
        "two primaries, old name",
        "name=\"promoted-max\" value=\"1\"",
        "name=\"master-max\" value=\"2\"",
        "FAIL clone-options: master-max of db-clone is \"2\"",
    ),
    (
        "two on a node",
        "name=\"clone-node-max\" value=\"1\"",
        "name=\"clone-node-max\" value=\"2\"",
        "FAIL clone-options: clone-node-max of db-clone is \"2\"",
    ),
    (
        "too few instances",
        "name=\"clone-node-max\" value=\"1\"",
        "name=\"clone-max\" value=\"2\"",
        "FAIL clone-options: 3 members need as many instances",
    ),
    (
        "no interleave",
        "name=\"interleave\" value=\"true\"",
        "name=\"x\" value=\"true\"",
        "WARN clone-options: interleave of db-clone is false",
    ),
    (
        "interleave is rubbish",
        "name=\"interleave\" value=\"true\"",
        "name=\"interleave\" value=\"perhaps\"",
        "UNKNOWN clone-options: interleave of db-clone is neither true nor false",
    ),
    (
        "globally unique",
        "name=\"interleave\" value=\"true\"",
        "name=\"globally-unique\" value=\"true\"",
        "WARN clone-options: globally-unique",
    ),
    (
        "no monitor of the primary",
        PROMOTED,
        "interval=\"0\" role=\"Promoted\"",
        "FAIL monitors: no recurring monitor for the role Promoted",
    ),
    (
        "no monitor of standbys",
        UNPROMOTED,
        "interval=\"8s\" role=\"Promoted\"",
        "FAIL monitors: no recurring monitor for the role Unpromoted",
    ),
    (
        "a monitor that is off",
        UNPROMOTED,
        "interval=\"8s\" enabled=\"false\" role=\"Unpromoted\"",
        "FAIL monitors: no recurring monitor for the role Unpromoted",
    ),
    (
        "two monitors of one interval",
        UNPROMOTED,
        "interval=\"3000ms\" role=\"Unpromoted\"",
        "FAIL monitors: two monitors have the same interval",
    ),
    (
        "a failure that is ignored",
        PROMOTED,
        "interval=\"3s\" on-fail=\"ignore\" role=\"Promoted\"",
        "FAIL monitors: on-fail of the monitor for Promoted is ignore",
    ),
    (
        "a short stop",
        "name=\"stop\" timeout=\"120s\"",
        "name=\"stop\" timeout=\"30\"",
        "FAIL timeouts: the timeout of stop is 30 s",
    ),
    (
        "a stop that is a little short",
        "name=\"stop\" timeout=\"120s\"",
        "name=\"stop\" timeout=\"90s\"",
        "WARN timeouts: the timeout of stop is 90 s",
    ),
    (
        "a start without a timeout",
        "name=\"start\" timeout=\"120s\"",
        "name=\"start\"",
        "WARN timeouts: the timeout of start is 20 s",
    ),
    (
        "a promotion that is no time",
        "name=\"promote\" timeout=\"120s\"",
        "name=\"promote\" timeout=\"soon\"",
        "UNKNOWN timeouts: the timeout of promote is \"soon\"",
    ),
    (
        "failures for good",
        "name=\"failure-timeout\" value=\"60s\"",
        "name=\"x\" value=\"60s\"",
        "WARN failures: failure-timeout is not set",
    ),
    (
        "one failure is enough",
        "name=\"migration-threshold\" value=\"5\"",
        "name=\"migration-threshold\" value=\"1\"",
        "WARN failures: migration-threshold is 1",
    ),
    (
        "a ban left behind",
        END,
        "<rsc_location id=\"cli-ban-db-clone-on-n2\" rsc=\"db-clone\" role=\"Promoted\" node=\"n2\" \
         score=\"-INFINITY\"/></constraints>",
        "FAIL moves: cli-ban-db-clone-on-n2 was left behind by an earlier move: n2 may not take over",
    ),
    (
        "a move left behind",
        END,
        "<rsc_location id=\"cli-prefer-db-clone\" rsc=\"db-clone\" role=\"Promoted\" node=\"n3\" \
         score=\"INFINITY\"/></constraints>",
        "FAIL moves: n3 is to be the primary whatever happens",
    ),
    (
        "nobody left to take over",
        END,
        "<rsc_location id=\"a\" rsc=\"db-clone\" role=\"Promoted\" node=\"n2\" score=\"-INFINITY\"/>\
         <rsc_location id=\"b\" rsc=\"db-clone\" node=\"n3\" score=\"-INFINITY\"/></constraints>",
        "FAIL locations: location constraints keep n2 and n3 from ever being the primary",
    ),
    (
        "a rule of ping",
        END,
        "<rsc_location id=\"ping\" rsc=\"db-clone\"><rule id=\"p\" score=\"-INFINITY\"><expression \
         id=\"pe\" attribute=\"pingd\" operation=\"lt\" value=\"1\"/></rule></rsc_location></constraints>",
        "UNKNOWN locations: ping has rules, a pattern or a set",
    ),
    (
        "a pattern",
        END,
        "<rsc_location id=\"pat\" rsc-pattern=\"^db\" node=\"n1\" score=\"5\"/></constraints>",
        "UNKNOWN locations: pat has rules, a pattern or a set",
    ),
    (
        "a strong preference",
        END,
        "<rsc_location id=\"p\" rsc=\"db-clone\" role=\"Promoted\" node=\"n1\" score=\"20000\"/>\
         </constraints>",
        "WARN preferences: p prefers n1 by 20000",
    ),
    (
        "a preference by a rule",
        END,
        "<rsc_location id=\"p\" rsc=\"db-clone\"><rule id=\"r\" role=\"Promoted\" score=\"INFINITY\">\
         <expression id=\"e\" attribute=\"#uname\" operation=\"eq\" value=\"n1\"/></rule>\
         </rsc_location></constraints>",
        "FAIL preferences: p prefers n1 by 1000000",
    ),
    (
        "the address prefers a node",
        END,
        "<rsc_location id=\"v\" rsc=\"vip\" node=\"n1\" score=\"INFINITY\"/></constraints>",
        "FAIL preferences: v prefers n1 by 1000000",
    ),
    (
        "no stickiness",
        "name=\"resource-stickiness\" value=\"100\"",
        "name=\"x\" value=\"100\"",
        "WARN stickiness: resource-stickiness is 0",
    ),
    (
        "stickiness is rubbish",
        "name=\"resource-stickiness\" value=\"100\"",
        "name=\"resource-stickiness\" value=\"very\"",
        "UNKNOWN stickiness: resource-stickiness is \"very\"",
    ),
    (
        "another address",
        "name=\"ip\" value=\"10.0.0.100\"",
        "name=\"ip\" value=\"10.0.0.10\"",
        "FAIL address: no resource carries the address 10.0.0.100",
    ),
    (
        "the address is off",
        "<primitive id=\"vip\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\">",
        "<primitive id=\"vip\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"><meta_attributes \
         id=\"vm\"><nvpair id=\"vt\" name=\"target-role\" value=\"Stopped\"/></meta_attributes>",
        "FAIL address: vip carries the address 10.0.0.100 and is switched off",
    ),
    (
        "no colocation",
        COLOCATION,
        "",
        "FAIL address-place: no colocation places vip with the primary",
    ),
    (
        "a weak colocation",
        "score=\"INFINITY\" rsc=\"vip\"",
        "score=\"500\" rsc=\"vip\"",
        "FAIL address-place: has the score 500",
    ),
    (
        "with any instance",
        " with-rsc-role=\"Promoted\"",
        "",
        "FAIL address-place: places vip with any instance",
    ),
    (
        "a colocation with sets",
        COLOCATION,
        "<rsc_colocation id=\"s\"><resource_set id=\"s1\"><resource_ref id=\"vip\"/></resource_set>\
         </rsc_colocation>",
        "UNKNOWN address-place: a colocation with sets or rules may",
    ),
    ("no order", ORDER, "", "WARN address-order: no order puts vip after the promotion"),
    (
        "after start",
        "first-action=\"promote\"",
        "first-action=\"start\"",
        "WARN address-order: does not hold vip back",
    ),
    (
        "an optional order",
        "kind=\"Mandatory\"",
        "kind=\"Optional\"",
        "WARN address-order: does not hold vip back",
    ),
    (
        "both ways by one order",
        "then-action=\"start\" symmetrical=\"false\"",
        "then-action=\"start\"",
        "WARN address-order: vip-after-promote takes vip away before the demotion",
    ),
    (
        "an order that waits for what is past",
        "kind=\"Optional\"",
        "kind=\"Mandatory\"",
        "WARN address-order: vip-after-demote may hold vip on a node for ever",
    ),
    ("one way only", ORDER_BACK, "", "WARN address-order: no order lets vip go after the demotion"),
    (
        "the address goes first",
        ORDER_BACK,
        "<rsc_order id=\"vip-first\" first=\"vip\" first-action=\"stop\" then=\"db-clone\" \
         then-action=\"demote\" symmetrical=\"false\"/>",
        "WARN address-order: vip-first takes vip away before the demotion",
    ),
    (
        "a parameter that is refused",
        "name=\"repuser\" value=\"replicator\"",
        "name=\"rep_mode\" value=\"both\"",
        "FAIL parameters: rep_mode",
    ),
    (
        "two places for the data",
        "name=\"repuser\" value=\"replicator\"",
        "name=\"storage_root\" value=\"/srv/pg\"",
        "WARN parameters: pgdata=/var/lib/postgresql/17/main counts, and storage_root=/srv/pg does not",
    ),
    (
        "an old Pacemaker",
        "name=\"dc-version\" value=\"",
        "name=\"dc-version\" value=\"2.0.4-",
        "WARN pacemaker: is older than 2.1.5",
    ),
    (
        "a Pacemaker without a version",
        "name=\"dc-version\" value=\"",
        "name=\"x\" value=\"",
        "UNKNOWN pacemaker: the version of Pacemaker is not known",
    ),
];
