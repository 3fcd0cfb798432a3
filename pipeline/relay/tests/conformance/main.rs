//! One list of scenarios, run on both logs: what a consumer or producer may rely on, whichever is configured. The embedded
//! log always runs; Kafka needs a broker and runs from `tests/lanes/kafka/run.sh`, which starts one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod embedded;
mod full_disk;
mod kafka;
mod scenarios;
mod support;

/// Every scenario as a test of the module that calls it; `$rig` is an expression that makes a fresh log.
macro_rules! conformance {
    (@each $rig:expr, $attributes:tt $($name:ident),*) => {
        $($crate::conformance!(@one $rig, $attributes $name);)*
    };
    (@one $rig:expr, [$($attribute:meta)?] $name:ident) => {
        #[test]
        $(#[$attribute])?
        fn $name() {
            let rig = $rig;
            $crate::scenarios::$name(&|| rig.open());
        }
    };
    ($rig:expr $(, $attribute:meta)?) => {
        $crate::conformance!(@each $rig, [$($attribute)?]
            order_per_key, a_restart_keeps_everything, offsets_begin_where_the_sink_says, end_offsets_are_a_barrier,
            a_second_member_joins_and_leaves, two_groups_each_read_everything, an_idle_poll_waits_and_is_woken,
            a_poll_is_bounded, a_sink_that_cannot_say_where_to_start_is_asked_again, publishing_nothing_is_nothing);
    };
}
pub(crate) use conformance;
