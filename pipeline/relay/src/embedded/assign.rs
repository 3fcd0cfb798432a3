//! Which member of a group reads which partition. Pure: balanced, and what need not move stays where it is.

use std::collections::BTreeMap;

use kizashi_model::{Topic, TopicPartition};

pub(super) type MemberId = u64;

/// Gives each partition to a member that reads its topic. Of members with the same topics none gets two more than another.
pub(super) fn assign(
    partitions: &[TopicPartition],
    members: &BTreeMap<MemberId, Vec<Topic>>,
    current: &BTreeMap<TopicPartition, MemberId>,
) -> BTreeMap<TopicPartition, MemberId> {
    let reads = |member: MemberId, at: TopicPartition| members.get(&member).is_some_and(|t| t.contains(&at.topic));
    let mut load: BTreeMap<MemberId, usize> = members.keys().map(|m| (*m, 0)).collect();
    let mut given = BTreeMap::new();
    for at in partitions {
        if let Some(&member) = current.get(at).filter(|m| reads(**m, *at)) {
            given.insert(*at, member);
            load.entry(member).and_modify(|n| *n += 1);
        }
    }
    let least = |load: &BTreeMap<MemberId, usize>, at: TopicPartition| {
        load.iter().filter(|(m, _)| reads(**m, at)).min_by_key(|(_, n)| **n).map(|(m, n)| (*m, *n))
    };
    for at in partitions {
        if !given.contains_key(at)
            && let Some((member, _)) = least(&load, *at)
        {
            given.insert(*at, member);
            load.entry(member).and_modify(|n| *n += 1);
        }
    }
    // Each move narrows the gap between two members, so this ends; one pass may leave a gap that the next closes.
    loop {
        let step = given.iter().find_map(|(at, from)| {
            let (to, low) = least(&load, *at)?;
            (load.get(from).copied().unwrap_or(0) > low + 1).then_some((*at, *from, to))
        });
        let Some((at, from, to)) = step else { return given };
        given.insert(at, to);
        load.entry(from).and_modify(|n| *n -= 1);
        load.entry(to).and_modify(|n| *n += 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partitions(n: i32) -> Vec<TopicPartition> {
        Topic::ALL
            .into_iter()
            .flat_map(|topic| (0..n).map(move |partition| TopicPartition { topic, partition }))
            .collect()
    }

    proptest! {
        #[test]
        fn every_partition_has_one_fitting_member_and_the_load_is_even(
            n in 1..6i32,
            subscriptions in prop::collection::btree_map(0..6u64, prop::sample::subsequence(Topic::ALL.to_vec(), 1..=5), 0..6),
            before in prop::collection::btree_map(0..6u64, Just(Topic::ALL.to_vec()), 0..6),
        ) {
            let all = partitions(n);
            let earlier = assign(&all, &before, &BTreeMap::new());
            let given = assign(&all, &subscriptions, &earlier);
            for at in &all {
                let wanted = subscriptions.values().any(|topics| topics.contains(&at.topic));
                prop_assert_eq!(given.contains_key(at), wanted);
                if let Some(member) = given.get(at) {
                    prop_assert!(subscriptions[member].contains(&at.topic));
                }
            }
            let load = |m: &MemberId| given.values().filter(|g| *g == m).count();
            for (a, topics) in &subscriptions {
                for (b, others) in &subscriptions {
                    prop_assert!(topics != others || load(a) <= load(b) + 1, "{:?}", given);
                }
            }
            prop_assert_eq!(assign(&all, &subscriptions, &given), given, "nothing moves without need");
        }
    }

    #[test]
    fn a_newcomer_takes_only_its_share() {
        let all = partitions(4);
        let topics = Topic::ALL.to_vec();
        let alone = assign(&all, &BTreeMap::from([(1, topics.clone())]), &BTreeMap::new());
        let both = assign(&all, &BTreeMap::from([(1, topics.clone()), (2, topics)]), &alone);
        assert_eq!(both.values().filter(|m| **m == 2).count(), all.len() / 2);
    }
}
