//! Consumer groups inside the process: who holds which partition, and how it passes from one member to another.
//!
//! A partition that moves is fenced at once (`owns` is false) and reaches its new member when the old one has polled, that
//! is, has been told; a member that does not poll is waited for only so long. So two members never read it at a time, and
//! the new one asks its sink for the offset after the old one's last commit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kizashi_model::{Offsets, Timestamp, Topic, TopicPartition};

use super::assign::{MemberId, assign};
use crate::Partitions;

#[derive(Default)]
pub(super) struct Groups {
    groups: BTreeMap<String, Group>,
    last_member: MemberId,
}

#[derive(Default)]
pub(super) struct Group {
    members: BTreeMap<MemberId, Vec<Topic>>,
    /// Who shall hold a partition.
    target: BTreeMap<TopicPartition, MemberId>,
    /// Who holds it, and since when somebody else shall.
    holder: BTreeMap<TopicPartition, (MemberId, Option<Instant>)>,
    pub committed: Offsets,
    /// When a member last committed or was there.
    pub active: Timestamp,
    pub dirty: bool,
}

impl Group {
    fn rebalance(&mut self, partitions: &[TopicPartition], now: Instant) {
        self.target = assign(partitions, &self.members, &self.target);
        for (at, (member, leaving)) in &mut self.holder {
            *leaving = if self.target.get(at) == Some(member) { None } else { leaving.or(Some(now)) };
        }
    }

    fn holds(&self, member: MemberId, at: TopicPartition) -> bool {
        self.holder.get(&at).is_some_and(|(holder, _)| *holder == member)
    }

    fn owns(&self, member: MemberId, at: TopicPartition) -> bool {
        self.holds(member, at) && self.target.get(&at) == Some(&member)
    }

    /// Whether the group has or had to do with the topic, so that its records wait for it.
    fn reads(&self, topic: Topic) -> bool {
        self.members.values().any(|topics| topics.contains(&topic))
            || self.committed.iter().any(|(at, _)| at.topic == topic)
    }
}

impl Groups {
    pub fn load(committed: impl IntoIterator<Item = (String, Timestamp, Offsets)>) -> Self {
        let group = |(name, active, committed)| (name, Group { committed, active, ..Group::default() });
        Self { groups: committed.into_iter().map(group).collect(), last_member: 0 }
    }

    pub fn join(
        &mut self,
        name: &str,
        topics: &[Topic],
        all: &[TopicPartition],
        now: Instant,
        at: Timestamp,
    ) -> MemberId {
        self.last_member += 1;
        let group = self.groups.entry(name.to_owned()).or_default();
        group.members.insert(self.last_member, topics.to_vec());
        group.active = at;
        group.rebalance(all, now);
        self.last_member
    }

    pub fn leave(&mut self, name: &str, member: MemberId, all: &[TopicPartition], now: Instant, at: Timestamp) {
        if let Some(group) = self.groups.get_mut(name) {
            group.members.remove(&member);
            group.holder.retain(|_, (holder, _)| *holder != member);
            (group.active, group.dirty) = (at, true);
            group.rebalance(all, now);
        }
    }

    /// Called when a member polls: what it no longer holds of `held`, and what it holds from now on. The answer is the
    /// proof that it has been told, so what it gives up is free for its new holder.
    pub fn sync(
        &mut self,
        name: &str,
        member: MemberId,
        held: impl Iterator<Item = TopicPartition>,
        now: Instant,
        handover: Duration,
    ) -> Partitions {
        let mut changes = Partitions::default();
        let Some(group) = self.groups.get_mut(name) else { return changes };
        for at in held {
            if !group.owns(member, at) {
                changes.revoked.push(at);
            }
        }
        group.holder.retain(|at, (holder, _)| *holder != member || !changes.revoked.contains(at));
        for (at, target) in &group.target {
            let free = match group.holder.get(at) {
                None => true,
                Some((holder, leaving)) => *holder != member && leaving.is_some_and(|since| now >= since + handover),
            };
            if *target == member && free {
                group.holder.insert(*at, (member, None));
                changes.assigned.push(*at);
            }
        }
        changes
    }

    pub fn owns(&self, name: &str, member: MemberId, at: TopicPartition) -> bool {
        self.groups.get(name).is_some_and(|group| group.owns(member, at))
    }

    pub fn committed(&mut self, name: &str, offsets: impl IntoIterator<Item = (TopicPartition, i64)>, at: Timestamp) {
        if let Some(group) = self.groups.get_mut(name) {
            for (partition, next) in offsets {
                group.committed.advance(partition, next);
            }
            (group.active, group.dirty) = (at, true);
        }
    }

    /// Has the group forgotten with those that nobody was in for long, once its last member has left.
    pub fn forget(&mut self, name: &str) {
        if let Some(group) = self.groups.get_mut(name) {
            (group.active, group.dirty) = (Timestamp(i64::MIN), true);
        }
    }

    /// Forgets groups without members that were last active before `horizon`; answers their names.
    pub fn expire(&mut self, horizon: Timestamp) -> Vec<String> {
        let gone = |group: &Group| group.members.is_empty() && group.active < horizon;
        let names: Vec<_> = self.groups.iter().filter(|(_, g)| gone(g)).map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.groups.remove(name);
        }
        names
    }

    /// The first offset that some group has yet to commit; `None` when no group reads the topic.
    pub fn low_water(&self, at: TopicPartition) -> Option<i64> {
        self.groups.values().filter(|g| g.reads(at.topic)).map(|g| g.committed.get(at).unwrap_or(0)).min()
    }

    /// Groups whose positions changed since they were last asked for.
    pub fn take_dirty(&mut self) -> Vec<(String, Timestamp, Offsets)> {
        let dirty = self.groups.iter_mut().filter(|(_, group)| group.dirty);
        dirty
            .map(|(name, group)| {
                group.dirty = false;
                (name.clone(), group.active, group.committed.clone())
            })
            .collect()
    }

    pub fn any_dirty(&self) -> bool {
        self.groups.values().any(|group| group.dirty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDOVER: Duration = Duration::from_secs(10);

    fn all() -> Vec<TopicPartition> {
        (0..4).map(|partition| TopicPartition { topic: Topic::Problems, partition }).collect()
    }

    fn sync(groups: &mut Groups, member: MemberId, held: &mut Vec<TopicPartition>, now: Instant) -> Partitions {
        let changes = groups.sync("g", member, held.clone().into_iter(), now, HANDOVER);
        held.retain(|at| !changes.revoked.contains(at));
        held.extend(&changes.assigned);
        changes
    }

    #[test]
    fn a_partition_moves_only_after_its_old_member_was_told() {
        let (mut groups, now) = (Groups::default(), Instant::now());
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        let a = groups.join("g", &[Topic::Problems], &all(), now, Timestamp(0));
        assert_eq!(sync(&mut groups, a, &mut of_a, now).assigned, all());
        let b = groups.join("g", &[Topic::Problems], &all(), now, Timestamp(0));
        assert_eq!(sync(&mut groups, b, &mut of_b, now), Partitions::default(), "a has not been told yet");
        assert_eq!(all().iter().filter(|at| groups.owns("g", a, **at)).count(), 2, "fenced at once");
        let revoked = sync(&mut groups, a, &mut of_a, now).revoked;
        assert_eq!(sync(&mut groups, b, &mut of_b, now).assigned, revoked);
        groups.leave("g", b, &all(), now, Timestamp(0));
        assert_eq!(sync(&mut groups, a, &mut of_a, now).assigned, revoked);
        assert!(all().iter().all(|at| groups.owns("g", a, *at)));
    }

    #[test]
    fn a_member_that_does_not_poll_is_waited_for_only_so_long() {
        let (mut groups, now) = (Groups::default(), Instant::now());
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        let a = groups.join("g", &[Topic::Problems], &all(), now, Timestamp(0));
        sync(&mut groups, a, &mut of_a, now);
        let b = groups.join("g", &[Topic::Problems], &all(), now, Timestamp(0));
        assert!(sync(&mut groups, b, &mut of_b, now + HANDOVER / 2).assigned.is_empty());
        assert_eq!(sync(&mut groups, b, &mut of_b, now + HANDOVER).assigned.len(), 2);
        assert_eq!(sync(&mut groups, a, &mut of_a, now + HANDOVER).revoked.len(), 2, "a learns it when it polls again");
    }

    #[test]
    fn records_wait_for_the_slowest_known_group() {
        let (mut groups, at) = (Groups::default(), all()[0]);
        assert_eq!(groups.low_water(at), None);
        let member = groups.join("fast", &[Topic::Problems], &all(), Instant::now(), Timestamp(5));
        groups.committed("fast", [(at, 9)], Timestamp(5));
        assert_eq!(groups.low_water(at), Some(9));
        groups.join("slow", &[Topic::Problems], &all(), Instant::now(), Timestamp(5));
        assert_eq!(groups.low_water(at), Some(0));
        groups.committed("slow", [(at, 3)], Timestamp(5));
        assert_eq!(groups.low_water(at), Some(3));
        groups.leave("fast", member, &all(), Instant::now(), Timestamp(7));
        assert_eq!(groups.expire(Timestamp(7)), Vec::<String>::new(), "active at 7");
        assert_eq!(groups.expire(Timestamp(8)), ["fast"]);
    }
}
