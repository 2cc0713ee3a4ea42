//! Hashing: conversations to lanes, lanes to api nodes.
//!
//! A conversation takes the same lane in every process, and a lane has one batch in flight: that is what
//! keeps two messages of one sender in order from the socket to the database.

use crate::Id;

/// How many lanes gateway and api have. Gateways and api nodes must agree on it for order to survive a
/// retry, so it is a constant and not a setting.
pub const LANES: usize = 4;

/// The lane of a conversation.
#[must_use]
pub fn lane(conversation: Id) -> usize {
    (mix(fnv1a(FNV_OFFSET, &conversation.bytes())) % LANES as u64) as usize
}

/// Orders `nodes` by preference for `lane` (rendezvous hashing): every gateway that knows the same nodes
/// prefers the same one, and a node that leaves moves only its own lanes.
#[must_use]
pub fn rendezvous(lane: usize, nodes: &[String]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|&node| {
        let hash = fnv1a(fnv1a(FNV_OFFSET, nodes[node].as_bytes()), &[lane as u8]);
        std::cmp::Reverse(mix(hash))
    });
    order
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: stable across processes and builds, which the standard library's hashers do not promise.
fn fnv1a(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Spreads every byte's influence over all bits (the finaliser of SplitMix64).
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_evenly_used() {
        let mut counts = [0; LANES];
        for _ in 0..LANES * 1_000 {
            counts[lane(Id::mint())] += 1;
        }
        assert!(counts.iter().all(|&n| n > 700 && n < 1_300), "{counts:?}");
    }

    #[test]
    fn a_leaving_node_moves_only_its_own_lanes() {
        let all: Vec<String> = (0..4).map(|n| format!("http://10.0.0.{n}:5001")).collect();
        let fewer = all[..3].to_vec();
        for lane in 0..LANES {
            let first = rendezvous(lane, &all)[0];
            if first < 3 {
                assert_eq!(rendezvous(lane, &fewer)[0], first);
            }
        }
    }
}
