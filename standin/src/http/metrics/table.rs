//! Every metric there is. `docs/METRICS.md` is held to this table by a test.

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; it begins anew with a run, some of them with a changed configuration.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations by size.
    Histogram,
    /// Always 1; the labels say it.
    Info,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name without the suffix of its samples.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it is measured in, which is also the end of its name.
    pub unit: Option<&'static str>,
    /// What its samples are told apart by.
    pub labels: &'static [&'static str],
    /// What it means, without the full stop.
    pub help: &'static str,
}

impl Family {
    /// The name of its samples; those of a histogram have a suffix more.
    pub fn sample_name(&self) -> String {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{suffix}", self.name)
    }
}

macro_rules! families {
    ($($constant:ident = $name:literal $kind:ident $unit:expr, [$($label:literal),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family = Family {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All of them, in the order in which they are shown.
        pub const ALL: &[Family] = &[$($constant),*];
    };
}

const SECONDS: Option<&str> = Some("seconds");

families! {
    BUILD = "standin_build" Info None, ["version"], "The program that runs";
    NODE = "standin_node" Info None, ["cluster", "node"], "The cluster and the node that this is";
    START_TIME = "standin_start_time_seconds" Gauge SECONDS, [], "When the run began, since 1970";
    VIP_HOLDER = "standin_vip_holder" Gauge None, ["vip", "node"], "1 for the node that holds the VIP, as far as this node knows; no sample while nobody does";
    VIP_HELD = "standin_vip_held" Gauge None, ["vip", "interface"], "1 while the VIP is on this node, confirmed by its kernel; otherwise 0";
    VIP_CONTESTED = "standin_vip_contested" Gauge None, ["vip"], "1 while another host claims a VIP that is here; otherwise 0";
    LEASE_MARGIN = "standin_lease_margin_seconds" Gauge SECONDS, ["group"], "What is left of the lease of a group that this node holds, as its kernel was told; no sample without one";
    LEASE_VOTES = "standin_lease_votes" Gauge None, ["group"], "Voters that grant this node the lease of the group; no sample without authority = quorum";
    TRANSITIONS = "standin_transitions" Counter None, ["vip", "change", "reason"], "How often the VIP came to this node or left it, and why";
    TAKEOVER = "standin_takeover_seconds" Histogram SECONDS, [], "From the last sign of life of the host that held a VIP to its announcement here";
    NODE_UP = "standin_node_up" Gauge None, ["node"], "1 while the node takes part in the cluster; otherwise 0";
    NODE_DRAINED = "standin_node_drained" Gauge None, ["node"], "1 while the operator drains the node; otherwise 0";
    CUT_OFF = "standin_cut_off" Gauge None, [], "1 while this node reaches neither a node nor a reference address; otherwise 0";
    HEARTBEATS_SENT = "standin_heartbeats_sent" Counter None, ["node"], "Heartbeats made for the node; each goes out on every path";
    HEARTBEATS_RECEIVED = "standin_heartbeats_received" Counter None, ["node", "path"], "Heartbeats that were news on the path, which is named by the node's address";
    HEARTBEATS_LOST = "standin_heartbeats_lost" Counter None, ["node", "path"], "Heartbeats that the node sent and that did not come on the path, or were overtaken on it";
    HEARTBEAT_GAP = "standin_heartbeat_gap_seconds" Histogram SECONDS, ["node", "path"], "From one heartbeat on the path to the next";
    HEARTBEAT_AGE = "standin_heartbeat_age_seconds" Gauge SECONDS, ["node", "path"], "Since the last heartbeat on the path";
    HEARTBEAT_ROUND_TRIP = "standin_heartbeat_round_trip_seconds" Histogram SECONDS, ["node"], "From a heartbeat to its echo, without the time that the node kept it, on the fastest path";
    HOST_UP = "standin_host_up" Gauge None, ["host"], "1 while anything of the host answers, whatever its daemon does; otherwise 0";
    PROBE_ROUNDS = "standin_probe_rounds" Counter None, ["host"], "Rounds of probes (ICMP, ARP, neighbour discovery) sent to the host";
    SIGNS_OF_LIFE = "standin_signs_of_life" Counter None, ["host"], "Signs of life of the host, of any kind";
    PACKETS_DROPPED = "standin_packets_dropped" Counter None, ["kind", "reason"], "Packets that were not believed or not understood";
    LOOP_TURNS = "standin_loop_turns" Counter None, [], "How often the loop that decides woke up";
    LOOP_LATENESS = "standin_loop_lateness_seconds" Histogram SECONDS, [], "How much later than it had asked to be the loop that decides was woken by its timer";
    EVENTS_LOST = "standin_events_lost" Counter None, [], "Events that could not be told, because the log was too slow";
    CHECK_PASSING = "standin_check_passing" Gauge None, ["check", "vip"], "1 while the check of the VIP passes, 0 while it fails; no sample before it has said anything";
    CHECK_RUNS = "standin_check_runs" Counter None, ["check", "result"], "Runs of the check on all of its VIPs";
    CHECK_DURATION = "standin_check_duration_seconds" Histogram SECONDS, ["check"], "From the start of a run of the check to its end";
    HOOK_RUNS = "standin_hook_runs" Counter None, ["hook", "result"], "Runs of the hook that have ended, or were refused because too many waited";
    WEBHOOK_EVENTS = "standin_webhook_events" Counter None, ["webhook", "result"], "Events for the webhook that wait no more, by what became of them";
    WEBHOOK_ATTEMPTS = "standin_webhook_attempts" Counter None, ["webhook", "result"], "Attempts to tell the webhook of an event";
    WEBHOOK_WAITING = "standin_webhook_waiting" Gauge None, ["webhook"], "Events that wait for the webhook";
}
