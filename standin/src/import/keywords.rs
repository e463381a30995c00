//! Every keyword that is known and has no counterpart, with what to do instead.
//!
//! Owns advice, nothing else: what *is* translated is in [`super::read`].

use super::remarks::Kind;

/// What is said about a keyword.
pub type Advice = (Kind, &'static str, Option<&'static str>);

/// Blocks with a name that stand at the top of a file.
const NAMED_BLOCKS: [&str; 5] =
    ["vrrp_instance", "vrrp_sync_group", "vrrp_script", "vrrp_track_process", "bfd_instance"];

/// What may stand at the top of a file.
pub const TOP: &[&str] = &[
    "global_defs",
    "vrrp_instance",
    "vrrp_sync_group",
    "vrrp_script",
    "vrrp_track_process",
    "track_process",
    "vrrp_track_file",
    "track_file",
    "static_ipaddress",
    "static_routes",
    "static_rules",
    "virtual_server",
    "virtual_server_group",
    "bfd_instance",
    "garp_group",
    "track_group",
    "linkbeat_interfaces",
    "interface_up_down_delays",
    "net_namespace",
    "net_namespace_ipvs",
    "namespace_with_ipsets",
    "instance",
    "use_pid_dir",
    "linkbeat_use_polling",
    "child_wait_time",
    "process_names",
    "SSL",
    "include_check",
];

/// Whether a keyword begins a block with a name, at the top of a file.
pub fn is_named_block(keyword: &str) -> bool {
    NAMED_BLOCKS.contains(&keyword)
}

const IPVS: Advice = (
    Kind::Left,
    "load balancing with IPVS is not standin's",
    Some("keep keepalived for it, without vrrp_instance, or use HAProxy or nginx on the VIP"),
);
const ANNOUNCE: Advice =
    (Kind::NotNeeded, "standin announces at 0, 0.2, 1.1, 2.2 and 5 s and slowly ever after", None);
const MAIL: Advice = (
    Kind::Left,
    "standin sends no mail",
    Some("send it from a command in [hooks], or watch the log"),
);
const SNMP: Advice = (Kind::Left, "there is no SNMP", Some("ask standin status --json"));
const PROCESS: Advice =
    (Kind::NotNeeded, "standin takes real-time priority and locked memory when it may", None);
const VRRP: Advice = (Kind::NotNeeded, "standin's heartbeats are not VRRP", None);
const FIREWALL: Advice = (Kind::NotNeeded, "standin keeps a table of nftables of its own", None);
const NETWORK: Advice = (
    Kind::Left,
    "it never moves, so it is the host's own",
    Some("put it into the network configuration of the host"),
);
const FILES: Advice = (Kind::NotNeeded, "about keepalived's own files and processes", None);
const FIFO: Advice = (
    Kind::Left,
    "there is no FIFO of events",
    Some("write it from a command in [hooks], or read standin's log"),
);
const MAC: Advice = (
    Kind::Left,
    "a VIP has the interface's own MAC address; the neighbours are told when it moves",
    Some("remove leftover macvlan interfaces, and MAC filters for 00:00:5e:00:01:xx on switches"),
);
const ROUTES: Advice = (
    Kind::Left,
    "routes and rules do not move along",
    Some("add and remove them by commands in [hooks] on-take and on-release"),
);
const TRACK_FILE: Advice = (
    Kind::Left,
    "a file with a number is not watched",
    Some("make it a check: [check.NAME] command = [\"grep\", \"-qx\", \"0\", \"FILE\"]"),
);
const TRACK_PROCESS: Advice = (
    Kind::Left,
    "processes are not watched by themselves",
    Some("make it a check: [check.NAME] command = [\"pgrep\", \"-x\", \"PROGRAM\"]"),
);
const BFD: Advice = (
    Kind::Left,
    "BFD is not spoken",
    Some(
        "dead-after in [timing] goes down to 5ms without it; name the router in isolated-when-unreachable",
    ),
);
const SCRIPT_USER: Advice = (
    Kind::Left,
    "checks and hooks run as the user that standin runs as",
    Some("begin the command with setpriv, runuser or sudo where it must be another"),
);
const START_STOP: Advice = (
    Kind::Left,
    "nothing is run when the daemon starts or stops",
    Some("use ExecStartPre and ExecStopPost of the service"),
);
const NAMESPACE: Advice = (
    Kind::Left,
    "standin runs in the network namespace it is started in",
    Some("start it by ip netns exec, or by NetworkNamespacePath of the service"),
);
const LINK: Advice = (
    Kind::NotNeeded,
    "a node whose link is down is never fit; the kernel's word on the link is followed",
    None,
);
const HOOKS: Advice = (
    Kind::Left,
    "hooks run when an address comes or goes, not for states of VRRP",
    Some("see [hooks]: on-take, on-release, on-doubt, on-conflict"),
);
const SECRET: Advice = (
    Kind::Left,
    "the password is not taken over: standin's key is 256 bits and never in this file",
    Some("make the key with standin keygen and copy it to every node"),
);

/// Keywords by the beginning of their name, anywhere; the longest that fits counts.
const BY_BEGINNING: &[(&str, Advice)] = &[
    ("garp_", ANNOUNCE),
    ("vrrp_garp_", ANNOUNCE),
    ("vrrp_gna_", ANNOUNCE),
    ("vrrp_min_garp", ANNOUNCE),
    ("smtp_", MAIL),
    ("notification_email", MAIL),
    ("no_email_faults", MAIL),
    ("no_checker_emails", MAIL),
    ("email_", MAIL),
    ("snmp_", SNMP),
    ("enable_snmp_", SNMP),
    ("enable_traps", SNMP),
    ("enable_dbus", SNMP),
    ("dbus_", SNMP),
    ("lvs_", IPVS),
    ("checker_", IPVS),
    ("virtual_server", IPVS),
    ("SSL", IPVS),
    ("rs_init_notifies", IPVS),
    ("nftables", FIREWALL),
    ("vrrp_iptables", FIREWALL),
    ("vrrp_ipsets", FIREWALL),
    ("vrrp_nftables", FIREWALL),
    ("disable_local_igmp", VRRP),
    ("vrrp_mcast_group", VRRP),
    ("vrrp_check_unicast_src", VRRP),
    ("vrrp_skip_check_adv_addr", VRRP),
    ("vrrp_lower_prio", VRRP),
    ("vrrp_higher_prio", VRRP),
    ("skip_check_adv_addr", VRRP),
    ("checksum_compatibility", VRRP),
    ("vrrp_strict", VRRP),
    ("vrrp_rx_bufs", VRRP),
    ("vrrp_netlink_", VRRP),
    (
        "vrrp_startup_delay",
        (Kind::NotNeeded, "a node that starts listens before it takes anything", None),
    ),
    ("log_unknown_vrids", VRRP),
    ("vmac_", MAC),
    ("use_vmac", MAC),
    ("use_ipvlan", MAC),
    ("vrrp_priority", PROCESS),
    ("vrrp_no_swap", PROCESS),
    ("vrrp_rt_priority", PROCESS),
    ("vrrp_cpu_affinity", PROCESS),
    ("vrrp_rlimit_rttime", PROCESS),
    ("bfd_", PROCESS),
    ("max_auto_priority", PROCESS),
    ("min_auto_priority_delay", PROCESS),
    ("process_monitor_", PROCESS),
    ("process_name", FILES),
    ("vrrp_process_name", FILES),
    ("vrrp_notify_priority_changes", HOOKS),
    ("notify_fifo", FIFO),
    ("vrrp_notify_fifo", FIFO),
    ("fifo_write_", FIFO),
    ("startup_script", START_STOP),
    ("shutdown_script", START_STOP),
    ("script_user", SCRIPT_USER),
    (
        "enable_script_security",
        (
            Kind::NotNeeded,
            "see to it that only root can write to the commands of checks and hooks",
            None,
        ),
    ),
    ("include_check", FILES),
    ("tmp_config_directory", FILES),
    ("config_save_dir", FILES),
    ("umask", FILES),
    ("random_seed", FILES),
    ("reload_", FILES),
    ("data_use_instance", FILES),
    ("use_symlink_paths", FILES),
    ("instance", FILES),
    ("use_pid_dir", FILES),
    ("child_wait_time", FILES),
    ("net_namespace", NAMESPACE),
    ("namespace_with_ipsets", NAMESPACE),
    ("linkbeat_", LINK),
    ("dynamic_interfaces", LINK),
    ("interface_up_down_delays", LINK),
    ("dont_track_primary", (Kind::Left, "a node whose link is down is never fit, always", None)),
    ("static_", NETWORK),
    ("track_group", NETWORK),
    ("virtual_routes", ROUTES),
    ("virtual_rules", ROUTES),
    ("track_file", TRACK_FILE),
    ("vrrp_track_file", TRACK_FILE),
    ("track_process", TRACK_PROCESS),
    ("vrrp_track_process", TRACK_PROCESS),
    ("track_bfd", BFD),
    ("bfd_instance", BFD),
    ("track_src_ip", LINK),
    ("authentication", SECRET),
    ("auth_", SECRET),
    ("accept", (Kind::NotNeeded, "a VIP is an ordinary address of its holder", None)),
    (
        "no_accept",
        (
            Kind::Left,
            "a VIP is an ordinary address: its holder accepts what is sent to it",
            Some("drop what is not wanted by a rule of the firewall"),
        ),
    ),
    ("mcast_dst_ip", VRRP),
    ("native_ipv6", VRRP),
    ("strict_mode", VRRP),
    ("old_unicast_checksum", VRRP),
    ("unicast_ttl", VRRP),
    ("unicast_fault_no_peer", VRRP),
    ("check_unicast_src", VRRP),
    ("lower_prio_no_advert", VRRP),
    ("higher_prio_send_advert", VRRP),
    ("thread_timer_expired", FILES),
    ("debug", FILES),
    (
        "promote_secondaries",
        (Kind::NotNeeded, "a /32 takes no other address along when it goes", None),
    ),
    (
        "vrf",
        (
            Kind::Left,
            "standin sends by the host's own routing",
            Some(
                "name the interface in the [[vip]], and nodes by addresses that are reached there",
            ),
        ),
    ),
    ("notify_priority_changes", HOOKS),
    ("notify_deleted", HOOKS),
    (
        "notify_master_rx_lower_pri",
        (Kind::Left, "another holder is told of differently", Some("see [hooks] on-conflict")),
    ),
    ("global_tracking", (Kind::NotNeeded, "checks belong to the whole [[vip]]", None)),
    ("sync_group_tracking_weight", (Kind::NotNeeded, "checks have no weight", None)),
    ("init_fail", (Kind::Left, "a check that has not run yet says nothing", None)),
];

/// What is said about a keyword; none when it is not known.
pub fn advice(keyword: &str) -> Option<Advice> {
    let fits = BY_BEGINNING.iter().filter(|(beginning, _)| keyword.starts_with(beginning));
    fits.max_by_key(|(beginning, _)| beginning.len()).map(|(_, advice)| *advice)
}

/// The keyword that was perhaps meant.
pub fn nearest(keyword: &str) -> Option<&'static str> {
    let translated = super::read::KEYWORDS.iter().copied();
    let known = BY_BEGINNING.iter().map(|(word, _)| *word).filter(|word| !word.ends_with('_'));
    crate::failure::nearest(keyword, TOP.iter().copied().chain(translated).chain(known))
}
