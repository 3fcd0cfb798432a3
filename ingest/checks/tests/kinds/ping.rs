//! Real echo requests, or the exact error where this user may not send them.

use kizashi_model::State;

use crate::support::{run, value};

/// What the kernel says: the group range for datagram sockets, or the capability for raw ones.
fn is_allowed() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let capabilities = u64::from_str_radix(&field("CapEff:"), 16).unwrap_or_default();
    const NET_RAW: u64 = 1 << 13;
    let group: u64 = field("Gid:").split_whitespace().nth(1).and_then(|gid| gid.parse().ok()).unwrap_or(u64::MAX);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").unwrap_or_default();
    let bounds: Vec<u64> = range.split_whitespace().filter_map(|bound| bound.parse().ok()).collect();
    capabilities & NET_RAW != 0 || matches!(bounds[..], [low, high] if (low..=high).contains(&group))
}

#[tokio::test]
async fn this_host_answers_or_the_output_says_what_to_set() {
    let result = run("ping = { host = '127.0.0.1' }").await;
    if is_allowed() {
        assert_eq!(result.state, State::Ok, "{}", result.output);
        assert_eq!((value(&result, "packets"), value(&result, "loss_percent")), (Some(3.0), Some(0.0)));
        let rtt = ["rtt_min_ms", "rtt_avg_ms", "rtt_max_ms"].map(|name| value(&result, name).unwrap());
        assert!(0.0 < rtt[0] && rtt[0] <= rtt[1] && rtt[1] <= rtt[2], "{rtt:?}");
    } else {
        assert_eq!(result.state, State::Unknown);
        assert!(result.output.contains("sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""), "{}", result.output);
        assert!(result.output.contains("setcap cap_net_raw+ep"), "{}", result.output);
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_critical() {
    let result = run("ping = { host = 'no-such-host.invalid' }").await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.contains("cannot be resolved"), "{}", result.output);
}
