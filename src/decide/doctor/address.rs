//! The address that clients use, and whether it is where the primary is. Floor 1.

use std::net::IpAddr;

use super::{Facts, Said, Shell, or_ok};
use crate::cluster::cib::{Colocation, Order, Primitive, Setting, score, truth};
use crate::decide::wanted::{self, After};

const INFINITY: i32 = 1_000_000;

fn is_promoted(role: Option<&str>) -> bool {
    role.is_some_and(|role| {
        role.eq_ignore_ascii_case("Promoted") || role.eq_ignore_ascii_case("Master")
    })
}

/// The resources that are placed with the primary, in whatever strength.
pub(super) fn placed_with_primary(facts: &Facts) -> Vec<&str> {
    let ours = |one: &&Colocation| {
        one.with.as_deref() == Some(facts.target()) && is_promoted(one.with_role.as_deref())
    };
    facts.cib.colocations.iter().filter(ours).filter_map(|one| one.resource.as_deref()).collect()
}

fn bare(text: &str) -> Option<IpAddr> {
    text.split_once('/').map_or(text, |(address, _)| address).parse().ok()
}

/// The resources that carry the address.
fn carriers(facts: &Facts, address: IpAddr) -> Vec<&Primitive> {
    let carries = |primitive: &&Primitive| {
        primitive.id != facts.resource
            && primitive.parameters.values().any(|setting| match setting {
                Setting::Set(value) => bare(value) == Some(address),
                Setting::Conditional => false,
            })
    };
    facts.cib.primitives.iter().filter(carries).collect()
}

/// By which names constraints may mean a primitive: it, its group, its clone.
fn names(primitive: &Primitive) -> Vec<&str> {
    let clone = primitive.clone.as_ref().map(|clone| clone.id.as_str());
    [Some(primitive.id.as_str()), primitive.group.as_deref(), clone].into_iter().flatten().collect()
}

pub(super) fn carried(facts: &Facts) -> Vec<Said> {
    let Some(vip) = facts.params.vip else {
        let named = placed_with_primary(facts);
        if named.is_empty() {
            return vec![Said::ok(
                "no address is configured: clients find the primary by themselves",
            )];
        }
        return vec![Said::ok(format!("{} is placed with the primary", named.join(", ")))];
    };
    let carriers = carriers(facts, vip);
    let configure = match facts.shell {
        Shell::Pcs => format!("pcs resource create vip ocf:heartbeat:IPaddr2 ip={vip}"),
        Shell::Crmsh => {
            format!("crm configure primitive vip ocf:heartbeat:IPaddr2 params ip={vip}")
        }
    };
    if carriers.is_empty() {
        return vec![
            Said::fail(format!("no resource carries the address {vip} (vip)"))
                .fix("Make one, and place it with the primary:")
                .run(configure),
        ];
    }
    let off = carriers.iter().filter(|primitive| primitive.switched_off());
    let said = off
        .map(|primitive| {
            Said::fail(format!("{} carries the address {vip} and is switched off", primitive.id))
                .fix("Switch it on:")
                .run(format!(
                    "crm_resource --resource {} --meta --delete-parameter target-role",
                    primitive.id
                ))
        })
        .collect();
    let ids: Vec<&str> = carriers.iter().map(|primitive| primitive.id.as_str()).collect();
    or_ok(said, format!("{} carries {vip}", ids.join(", ")))
}

/// Says something of each carrier of the address.
fn of_carriers(facts: &Facts, well: &str, judge: impl Fn(&Primitive) -> Option<Said>) -> Vec<Said> {
    let Some(vip) = facts.params.vip else {
        return vec![Said::ok("no address is configured (vip)")];
    };
    let carriers = carriers(facts, vip);
    if carriers.is_empty() {
        return vec![Said::unknown(format!("no resource carries {vip}")).fix("Make one first.")];
    }
    or_ok(carriers.into_iter().filter_map(judge).collect(), well)
}

pub(super) fn colocated(facts: &Facts) -> Vec<Said> {
    of_carriers(facts, "the address is where the primary is", |carrier| {
        let (names, target) = (names(carrier), facts.target());
        let configure = match facts.shell {
            Shell::Pcs => format!(
                "pcs constraint colocation add Started {} with Promoted {target}",
                carrier.id
            ),
            Shell::Crmsh => format!(
                "crm configure colocation {0}-with-primary inf: {0}:Started {target}:Promoted",
                carrier.id
            ),
        };
        let of_it: Vec<&Colocation> = facts
            .cib
            .colocations
            .iter()
            .filter(|one| {
                let is_it = one.resource.as_deref().is_some_and(|id| names.contains(&id));
                is_it && one.with.as_deref() == Some(target) && !one.complex
            })
            .collect();
        let strength = |one: &Colocation| one.score.as_deref().map_or(Some(INFINITY), score);
        let with_primary = |one: &&&Colocation| is_promoted(one.with_role.as_deref());
        if of_it.iter().filter(with_primary).any(|one| strength(one) == Some(INFINITY)) {
            return None;
        }
        if let Some(weak) = of_it.iter().find(with_primary) {
            let score = weak.score.as_deref().unwrap_or_default();
            return Some(
                Said::fail(format!(
                    "{} has the score {score}: {} may be where the primary is not",
                    weak.id, carrier.id
                ))
                .fix("Delete it, and place the address with the primary in any case:")
                .run(wanted::delete_constraint("rsc_colocation", &weak.id))
                .run(configure),
            );
        }
        if let Some(other) = of_it.first() {
            return Some(
                Said::fail(format!(
                    "{} places {} with any instance, not with the promoted one: clients may reach a \
                     standby",
                    other.id, carrier.id
                ))
                .fix("Delete it, and name the role:")
                .run(wanted::delete_constraint("rsc_colocation", &other.id))
                .run(configure),
            );
        }
        if facts.cib.colocations.iter().any(|one| one.complex) {
            return Some(
                Said::unknown(format!(
                    "a colocation with sets or rules may place {} with the primary; it is not judged",
                    carrier.id
                ))
                .fix("A plain constraint says it for certain:")
                .run(configure),
            );
        }
        Some(
            Said::fail(format!(
                "no colocation places {} with the primary: clients may reach a standby",
                carrier.id
            ))
            .fix("Add it:")
            .run(configure),
        )
    })
}

pub(super) fn ordered(facts: &Facts) -> Vec<Said> {
    let well = "the address comes after the promotion and goes after the demotion";
    of_carriers(facts, well, |carrier| {
        let (names, target) = (names(carrier), facts.target());
        let order = |After { first, then, kind }: &After| match facts.shell {
            Shell::Pcs => format!(
                "pcs constraint order {first} {target} then {then} {} kind={kind} symmetrical=false",
                carrier.id
            ),
            Shell::Crmsh => format!(
                "crm configure order {0}-after-{first} {kind}: {target}:{first} {0}:{then} \
                 symmetrical=false",
                carrier.id
            ),
        };
        let plain = || facts.cib.orders.iter().filter(|one| !one.complex);
        let is_it = |id: &Option<String>| id.as_deref().is_some_and(|id| names.contains(&id));
        let after: Vec<&Order> = plain()
            .filter(|one| one.first.as_deref() == Some(target) && is_it(&one.then))
            .collect();
        let between = |one: &Order, after: &After| {
            let says = |action: &Option<String>, word| action.as_deref() == Some(word);
            says(&one.first_action, after.first) && says(&one.then_action, after.then)
        };
        let of = |one: &Order, after: &After| {
            between(one, after) && one.kind.as_deref().unwrap_or("Mandatory") == after.kind
        };
        let one_way = |one: &Order| one.symmetrical.as_deref().and_then(truth) == Some(false);
        let lacking = |said: Said| {
            let lacks = |wanted: &&After| !after.iter().any(|one| one_way(one) && of(one, wanted));
            let lacking = wanted::ADDRESS_AFTER.iter().filter(lacks);
            lacking.fold(said, |said, wanted| said.run(order(wanted)))
        };
        let [promoted, demoted] = wanted::ADDRESS_AFTER;
        // A mandatory one: when the transition is begun anew after the demotion, none comes any more.
        if let Some(held) = after.iter().find(|one| between(one, demoted) && !of(one, demoted)) {
            return Some(lacking(
                Said::warn(format!(
                    "{} may hold {} on a node for ever: it waits for a demotion that may be past, and \
                     Pacemaker does not end there",
                    held.id, carrier.id
                ))
                .fix("Delete it, and let it be optional:")
                .run(wanted::delete_constraint("rsc_order", &held.id)),
            ));
        }
        let Some(start) = after.iter().find(|one| of(one, promoted)) else {
            let other = after.iter().find(|one| !of(one, demoted));
            return Some(not_held_back(facts, carrier, other.copied(), lacking));
        };
        if !one_way(start) {
            return Some(lacking(Said::warn(format!(
                "{} takes {} away before the demotion: clients are not told that their sessions end",
                start.id, carrier.id
            ))
            .fix("Delete it, and order them each way by itself:")
            .run(wanted::delete_constraint("rsc_order", &start.id))));
        }
        if after.iter().any(|one| of(one, demoted)) {
            return None;
        }
        let before = plain().find(|one| {
            is_it(&one.first)
                && one.then.as_deref() == Some(target)
                && between(one, &After { first: "stop", then: "demote", kind: "Mandatory" })
        });
        let said = match before {
            Some(before) => Said::warn(format!(
                "{} takes {} away before the demotion: clients are not told that their sessions end",
                before.id, carrier.id
            ))
            .fix("Delete it, and let the address go after the demotion:")
            .run(wanted::delete_constraint("rsc_order", &before.id)),
            None => Said::warn(format!(
                "no order lets {} go after the demotion: it goes when it happens to",
                carrier.id
            ))
            .fix("Add it:"),
        };
        Some(said.run(order(demoted)))
    })
}

/// Nothing holds the address back until the promotion.
fn not_held_back(
    facts: &Facts,
    carrier: &Primitive,
    other: Option<&Order>,
    orders: impl Fn(Said) -> Said,
) -> Said {
    if let Some(other) = other {
        return orders(
            Said::warn(format!(
                "{} does not hold {} back until the promotion: clients reach a standby meanwhile",
                other.id, carrier.id
            ))
            .fix("Delete it, and name the actions:")
            .run(wanted::delete_constraint("rsc_order", &other.id)),
        );
    }
    if facts.cib.orders.iter().any(|one| one.complex) {
        return orders(
            Said::unknown(format!(
                "an order with sets may put {} after the promotion; it is not judged",
                carrier.id
            ))
            .fix("Plain constraints say it for certain:"),
        );
    }
    orders(
        Said::warn(format!(
            "no order puts {} after the promotion: clients reach a standby meanwhile",
            carrier.id
        ))
        .fix("Add it:"),
    )
}
