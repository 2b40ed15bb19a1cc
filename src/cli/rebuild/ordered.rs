//! `pgtwin ordered`: carries out what was asked of this node on another one, not for people. Floor 4.

use std::time::{Duration, Instant};

use clap::Args;
use tracing::{error, info};

use super::super::{End, ask};
use super::{begin, plan, watch};
use crate::agent::asked::tell;
use crate::agent::operate::Subject;
use crate::agent::recover::now;
use crate::cluster::asked::{Answer, OrderId, Stage};
use crate::cluster::node::NodeName;
use crate::decide::rebuild::{Course, asked, reason};
use crate::ocf::env::ResourceName;
use crate::sys::exec::System;

/// How often it says that it is there, whether or not there is anything new; and how often at most.
const AT_LEAST: Duration = Duration::from_secs(10);
const AT_MOST: Duration = Duration::from_secs(1);

/// Build this node's data anew, by an order that was given on another node
#[derive(Debug, Args)]
pub(in super::super) struct Options {
    /// The resource.
    #[arg(long)]
    resource: ResourceName,
    /// This node.
    #[arg(long)]
    node: NodeName,
    /// The order.
    #[arg(long)]
    order: OrderId,
    /// Who has given it.
    #[arg(long)]
    by: String,
}

pub(in super::super) fn run(options: &Options) -> End {
    ask::log_as(options.resource.as_str());
    let subject = match Subject::find(&System, Some(options.resource.as_str())) {
        Ok(subject) => subject,
        Err(why) => {
            error!("an order of another node was not carried out: {why}");
            return End::Attention;
        }
    };
    let system = System;
    let pacemaker = subject.pacemaker(&system);
    let began = Instant::now();
    let say = |stage, words: &str| {
        let answer = Answer::new(options.order, stage, began.elapsed().as_secs(), words);
        tell(&pacemaker, &answer);
    };
    let ended = |stage, words: &str| {
        error!("this node's data is not built anew: {words}");
        say(stage, words);
        End::Attention
    };
    if options.node != subject.me {
        return ended(
            Stage::Refused,
            &format!("it is for {}, and this is {}", options.node, subject.me),
        );
    }
    let reason = reason(&options.by);
    say(Stage::GoesOn, "the check is made");
    let plan = match plan(&subject, &subject.me, &reason) {
        Ok(plan) => plan,
        Err(why) => return ended(Stage::Refused, &why),
    };
    say(Stage::GoesOn, "PostgreSQL is stopped there, as a standby that leaves in order");
    let begun = now();
    if let Err(why) = begin(&subject, &plan, &reason) {
        return ended(Stage::NotBegun, &why);
    }
    let mut last = (String::new(), Instant::now());
    let seen = watch(&subject, &reason, begun, &mut |words| {
        let passed = last.1.elapsed();
        if passed >= AT_LEAST || (passed >= AT_MOST && words != last.0) {
            say(Stage::GoesOn, words);
            last = (words.to_owned(), Instant::now());
        }
    });
    let Some(course) = seen else { return End::Attention };
    let answer = asked::answer(options.order, &course, began.elapsed().as_secs());
    info!("the order of {}: {answer}", options.by);
    tell(&pacemaker, &answer);
    if matches!(course, Course::Done(_)) { End::Ok } else { End::Attention }
}
