//! Changes that the kernel makes together or not at all.
//!
//! Owns the batch: its begin and end, one sequence number for each message, and which object each
//! message is about, so that a refusal can name it. Never sends anything.
//!
//! Creating what is there already is no error, deleting what is not there is one: 'create, then
//! delete' in one transaction makes sure that something is gone, and nobody ever sees it created.

use std::fmt;

use super::super::message::{
    HEADER_LENGTH, Payload, append_message, attributes, read_ip, read_u32,
};
use super::rule::{self, DATA_VALUE, Expression, LIST_ELEMENT};
use super::set::{Key, Set};

/// `NFNL_MSG_BATCH_BEGIN` and `_END`; libc does not name them all.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// `struct nfgenmsg`: family, version 0, and a resource id in network byte order.
pub(super) const GENERIC_LENGTH: usize = 4;

// NFT_MSG_*.
const NEW_TABLE: u16 = 0;
pub(super) const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
pub(super) const NEW_ELEMENTS: u16 = 12;
pub(super) const GET_ELEMENTS: u16 = 13;
const DELETE_ELEMENTS: u16 = 14;

/// `NFTA_SET_ELEM_LIST_ELEMENTS` and, in an element, `NFTA_SET_ELEM_KEY`, `_TIMEOUT`,
/// `_EXPIRATION`.
pub(super) const ELEMENTS: u16 = 3;
pub(super) const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
pub(super) const ELEMENT_TIMEOUT: u16 = 4;
pub(super) const ELEMENT_EXPIRATION: u16 = 5;

/// `NFT_SET_INTERVAL`, `NFT_SET_TIMEOUT`.
const SET_HAS_RANGES: u32 = 4;
const SET_HAS_TIMEOUT: u32 = 0x10;
/// `NFT_SET_MAP`.
const SET_IS_MAP: u32 = 8;
/// A list of elements is one attribute, which holds at most 64 KiB: 1000 IPv6 addresses with
/// their timeouts take 40.
pub(super) const ELEMENTS_PER_MESSAGE: usize = 1000;

/// Which packets a table sees, by the names `nft` gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// ARP.
    Arp,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

impl Family {
    /// `NFPROTO_*`.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Arp => 3,
            Self::Ip => 2,
            Self::Ip6 => 10,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        [Self::Arp, Self::Ip, Self::Ip6].into_iter().find(|family| family.number() == number)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arp => "arp",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        })
    }
}

/// A table by its family and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'n> {
    /// Which packets it sees.
    pub family: Family,
    /// Its name, unique in the family.
    pub name: &'n str,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} {}", self.family, self.name)
    }
}

/// Where in a packet's way a chain is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// What came in, before it is decided whether it is for this host. Not for ARP.
    Prerouting,
    /// What came in for this host.
    Input,
    /// What this host's own protocols send. Packet sockets send behind it, unseen.
    Output,
}

impl Hook {
    fn number(self, family: Family) -> u32 {
        match (family, self) {
            (Family::Arp, Self::Input | Self::Prerouting) | (_, Self::Prerouting) => 0,
            (Family::Arp, Self::Output) | (Family::Ip | Family::Ip6, Self::Input) => 1,
            (Family::Ip | Family::Ip6, Self::Output) => 3,
        }
    }
}

/// What a chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Let packets pass or drop them.
    Filter,
    /// Change the addresses of a connection's first packet, and so of all of it.
    Translate,
}

impl ChainKind {
    fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Translate => "nat",
        }
    }
}

/// A chain at a hook, which lets pass what no rule of it drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain<'n> {
    /// Its name, unique in the table.
    pub name: &'n str,
    /// What it may do.
    pub kind: ChainKind,
    /// Where it is asked.
    pub hook: Hook,
    /// Chains at the same hook are asked in ascending order.
    pub priority: i32,
}

/// What elements have besides their keys.
#[derive(Clone, Copy, Debug, Default)]
struct Extra<'c> {
    timeout_ms: Option<u64>,
    /// What they are mapped to.
    chain: Option<&'c str>,
}

/// What one message of a batch is about.
#[derive(Debug)]
struct Object {
    /// Where in the buffer the message begins.
    start: usize,
    verb: &'static str,
    /// `of`-phrases, such as `set held of table ip standin`.
    name: String,
    /// Whether it is about elements of that set.
    elements: bool,
}

/// Changes, in the order in which the kernel makes them.
#[derive(Debug)]
pub struct Transaction {
    buffer: Vec<u8>,
    /// The sequence number of the batch's begin; that of object `n` is `first + 1 + n`.
    first: u32,
    objects: Vec<Object>,
}

impl Transaction {
    /// A transaction without changes, whose messages are numbered from `first`.
    pub(super) fn new(first: u32) -> Self {
        let mut buffer = vec![];
        append_message(&mut buffer, BATCH_BEGIN, request(0), first, batch_mark);
        Self { buffer, first, objects: vec![] }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Creates a table. `flags` are `NFT_TABLE_F_*`.
    pub fn create_table(&mut self, table: Table<'_>, flags: u32) -> &mut Self {
        self.push("create", table.to_string(), NEW_TABLE, libc::NLM_F_CREATE, table, |payload| {
            // NFTA_TABLE_NAME, _FLAGS.
            payload.attribute_text(1, table.name);
            if flags != 0 {
                payload.attribute_be32(2, flags);
            }
        })
    }

    /// Deletes a table with all that is in it. `ENOENT` where there is none.
    pub fn delete_table(&mut self, table: Table<'_>) -> &mut Self {
        self.push("delete", table.to_string(), DELETE_TABLE, 0, table, |payload| {
            payload.attribute_text(1, table.name);
        })
    }

    /// Creates a set.
    pub fn create_set(&mut self, table: Table<'_>, set: Set<'_>) -> &mut Self {
        let name = format!("set {} of {table}", set.name);
        // Needed by the kernel to tell sets of one batch apart; any number not used twice serves.
        let id = self.objects.len() as u32 + 1;
        self.push("create", name, NEW_SET, libc::NLM_F_CREATE, table, |payload| {
            let (key, length) = set.key.number_and_length();
            let timeout = if set.timeout { SET_HAS_TIMEOUT } else { 0 };
            let map = if set.verdicts { SET_IS_MAP } else { 0 };
            let flags = timeout | map | if set.ranges { SET_HAS_RANGES } else { 0 };
            // NFTA_SET_TABLE, _NAME, _FLAGS, _KEY_TYPE, _KEY_LEN, _ID.
            payload
                .attribute_text(1, table.name)
                .attribute_text(2, set.name)
                .attribute_be32(3, flags)
                .attribute_be32(4, key)
                .attribute_be32(5, length)
                .attribute_be32(10, id);
            if set.verdicts {
                // NFTA_SET_DATA_TYPE: NFT_DATA_VERDICT.
                payload.attribute_be32(6, 0xffff_ff00);
            }
        })
    }

    /// Creates a chain, or finds it at the same hook.
    pub fn create_chain(&mut self, table: Table<'_>, chain: Chain<'_>) -> &mut Self {
        let name = format!("chain {} of {table}", chain.name);
        self.push("create", name, NEW_CHAIN, libc::NLM_F_CREATE, table, |payload| {
            // NFTA_CHAIN_TABLE, _NAME, _HOOK (NFTA_HOOK_HOOKNUM, _PRIORITY), _POLICY, _TYPE.
            payload
                .attribute_text(1, table.name)
                .attribute_text(3, chain.name)
                .nest(4, |hook| {
                    hook.attribute_be32(1, chain.hook.number(table.family))
                        .attribute_be32(2, chain.priority.cast_unsigned());
                })
                .attribute_be32(5, 1)
                .attribute_text(7, chain.kind.name());
        })
    }

    /// Creates a chain that only others lead to.
    pub fn create_inner_chain(&mut self, table: Table<'_>, name: &str) -> &mut Self {
        let object = format!("chain {name} of {table}");
        self.push("create", object, NEW_CHAIN, libc::NLM_F_CREATE, table, |payload| {
            payload.attribute_text(1, table.name).attribute_text(3, name);
        })
    }

    /// Appends a rule to a chain.
    pub fn append_rule(
        &mut self,
        table: Table<'_>,
        chain: &str,
        expressions: &[Expression],
    ) -> &mut Self {
        let name = format!("rule of chain {chain} of {table}");
        let flags = libc::NLM_F_CREATE | libc::NLM_F_APPEND;
        self.push("create", name, NEW_RULE, flags, table, |payload| {
            // NFTA_RULE_TABLE, _CHAIN, _EXPRESSIONS.
            payload.attribute_text(1, table.name).attribute_text(2, chain).nest(4, |list| {
                for expression in expressions {
                    expression.encode(list);
                }
            });
        })
    }

    /// Deletes all rules of a chain.
    pub fn delete_rules(&mut self, table: Table<'_>, chain: &str) -> &mut Self {
        let name = format!("rules of chain {chain} of {table}");
        self.push("delete", name, DELETE_RULE, 0, table, |payload| {
            payload.attribute_text(1, table.name).attribute_text(2, chain);
        })
    }

    /// Adds elements to a set, with a timeout in milliseconds where one is given. What this does
    /// to the timeout of an element that is there already depends on the kernel: since Linux 6.12
    /// it is renewed.
    pub fn add_elements(
        &mut self,
        table: Table<'_>,
        set: &str,
        keys: &[Key],
        timeout_ms: Option<u64>,
    ) -> &mut Self {
        let change = ("add", NEW_ELEMENTS, libc::NLM_F_CREATE);
        self.elements(change, table, set, keys, Extra { timeout_ms, chain: None })
    }

    /// Adds elements to a map: packets with these keys go through the chain, and on if it lets them.
    pub fn map_to_chain(
        &mut self,
        table: Table<'_>,
        map: &str,
        keys: &[Key],
        chain: &str,
    ) -> &mut Self {
        let change = ("add", NEW_ELEMENTS, libc::NLM_F_CREATE);
        self.elements(change, table, map, keys, Extra { timeout_ms: None, chain: Some(chain) })
    }

    /// Deletes elements from a set. `ENOENT` where one is not there, or has timed out.
    pub fn delete_elements(&mut self, table: Table<'_>, set: &str, keys: &[Key]) -> &mut Self {
        self.elements(("delete", DELETE_ELEMENTS, 0), table, set, keys, Extra::default())
    }

    /// Deletes all elements of a set.
    pub fn clear_set(&mut self, table: Table<'_>, set: &str) -> &mut Self {
        let name = format!("set {set} of {table}");
        self.push("clear", name, DELETE_ELEMENTS, 0, table, |payload| {
            payload.attribute_text(1, table.name).attribute_text(2, set);
        })
    }

    fn elements(
        &mut self,
        (verb, kind, flags): (&'static str, u16, i32),
        table: Table<'_>,
        set: &str,
        keys: &[Key],
        extra: Extra<'_>,
    ) -> &mut Self {
        for some in keys.chunks(ELEMENTS_PER_MESSAGE) {
            let name = format!("set {set} of {table}");
            self.push(verb, name, kind, flags, table, |payload| {
                // NFTA_SET_ELEM_LIST_TABLE, _SET.
                payload.attribute_text(1, table.name).attribute_text(2, set);
                payload.nest(ELEMENTS, |list| {
                    for &key in some {
                        list.nest(LIST_ELEMENT, |element| {
                            element.nest(ELEMENT_KEY, |value| key.encode(value));
                            if let Some(chain) = extra.chain {
                                element.nest(ELEMENT_DATA, |data| rule::jump(data, chain));
                            }
                            if let Some(timeout_ms) = extra.timeout_ms {
                                // The second as well: a timeout that an element has already is no
                                // news to the kernel, and would not begin anew.
                                element
                                    .attribute_be64(ELEMENT_TIMEOUT, timeout_ms)
                                    .attribute_be64(ELEMENT_EXPIRATION, timeout_ms);
                            }
                        });
                    }
                });
            });
        }
        self
    }

    pub(super) fn push(
        &mut self,
        verb: &'static str,
        name: String,
        kind: u16,
        flags: i32,
        table: Table<'_>,
        fill: impl FnOnce(&mut Payload<'_>),
    ) -> &mut Self {
        let elements = matches!(kind, NEW_ELEMENTS | DELETE_ELEMENTS);
        self.objects.push(Object { start: self.buffer.len(), verb, name, elements });
        let sequence = self.last_sequence();
        append_message(&mut self.buffer, message_type(kind), request(flags), sequence, |payload| {
            fill(payload.bytes(&[table.family.number(), 0, 0, 0]));
        });
        self
    }

    /// The sequence number of the last change, or of the begin.
    pub(super) fn last_sequence(&self) -> u32 {
        self.first.wrapping_add(self.objects.len() as u32)
    }

    /// Which message of the batch has this number; 0 is its begin. None: another batch's.
    pub(super) fn position(&self, sequence: u32) -> Option<usize> {
        let position = sequence.wrapping_sub(self.first) as usize;
        (position <= self.objects.len()).then_some(position)
    }

    /// The bytes to send. The last change asks for an acknowledgement, which the kernel gives
    /// only after it made all of them. Without `commit` it tries each change and makes none.
    pub(super) fn finish(&mut self, commit: bool) -> &[u8] {
        let start = self.objects.last().map_or(0, |object| object.start);
        let flags = &mut self.buffer[start + 6..start + 8];
        let asking = u16::from_ne_bytes([flags[0], flags[1]]) | libc::NLM_F_ACK as u16;
        flags.copy_from_slice(&asking.to_ne_bytes());
        if commit {
            let end = self.last_sequence().wrapping_add(1);
            append_message(&mut self.buffer, BATCH_END, request(0), end, batch_mark);
        }
        &self.buffer
    }

    /// What was attempted by a message, as a phrase; `offset` is where in the message the kernel
    /// found the mistake.
    pub(super) fn operation(&self, position: usize, offset: Option<usize>) -> String {
        let Some(object) = position.checked_sub(1).and_then(|number| self.objects.get(number))
        else {
            return "change the packet filter's tables".into();
        };
        let Object { verb, name, .. } = object;
        let element = offset.and_then(|offset| self.element_at(object, offset));
        match (*verb, element) {
            ("add", Some(element)) => format!("add {element} to {name}"),
            ("delete", Some(element)) => format!("delete {element} from {name}"),
            ("add", None) => format!("add elements to {name}"),
            ("delete", None) if object.elements => format!("delete elements from {name}"),
            (verb, _) => format!("{verb} {name}"),
        }
    }

    /// The element of an element list that an offset in its message points into.
    fn element_at(&self, object: &Object, offset: usize) -> Option<String> {
        let message = self.buffer.get(object.start..)?;
        let length = read_u32(message, 0)? as usize;
        let payload = message.get(HEADER_LENGTH + GENERIC_LENGTH..length)?;
        let (_, list) = attributes(payload).find(|&(kind, _)| kind == ELEMENTS)?;
        let end = |part: &[u8]| part.as_ptr_range().end as usize - message.as_ptr() as usize;
        let (_, element) = attributes(list).find(|&(_, element)| offset < end(element))?;
        let (_, key) = attributes(element).find(|&(kind, _)| kind == ELEMENT_KEY)?;
        let (_, value) = attributes(key).find(|&(kind, _)| kind == DATA_VALUE)?;
        read_ip(value).map(|ip| ip.to_string())
    }
}

fn batch_mark(payload: &mut Payload<'_>) {
    let resource = SUBSYSTEM.to_be_bytes();
    payload.bytes(&[0, 0, resource[0], resource[1]]);
}

fn request(flags: i32) -> u16 {
    (flags | libc::NLM_F_REQUEST).cast_unsigned() as u16
}

/// The netlink type of an `NFT_MSG_*`.
pub(super) fn message_type(kind: u16) -> u16 {
    SUBSYSTEM << 8 | kind
}

/// A name that `nft` can be given, too: whoever has to clean up by hand needs no quotes.
pub(super) fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && name.len() < 64
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::set::KeyType;
    use super::*;

    const TABLE: Table<'static> = Table { family: Family::Arp, name: "t" };

    fn key(last: u8) -> Key {
        Key::Ip(Ipv4Addr::new(10, 0, 0, last).into())
    }

    #[test]
    fn a_batch_to_the_byte() {
        let mut transaction = Transaction::new(7);
        assert!(transaction.is_empty());
        transaction.create_table(TABLE, 6);
        #[rustfmt::skip]
        let expected = [
            20, 0, 0, 0,  0x10, 0,  1, 0,  7, 0, 0, 0,  0, 0, 0, 0,   0, 0, 0, 10,
            36, 0, 0, 0,  0, 10,  5, 4,  8, 0, 0, 0,  0, 0, 0, 0,     3, 0, 0, 0,
                6, 0, 1, 0,  b't', 0,  0, 0,
                8, 0, 2, 0,  0, 0, 0, 6,
            20, 0, 0, 0,  0x11, 0,  1, 0,  9, 0, 0, 0,  0, 0, 0, 0,   0, 0, 0, 10,
        ];
        assert_eq!(transaction.finish(true), expected);
    }

    #[test]
    fn sets_and_chains_to_the_byte() {
        let mut transaction = Transaction::new(0);
        transaction.create_set(
            TABLE,
            Set { name: "h", key: KeyType::Ipv4, timeout: true, ranges: false, verdicts: false },
        );
        let kind = ChainKind::Filter;
        let chain = Chain { name: "o", kind, hook: Hook::Output, priority: -300 };
        transaction.create_chain(TABLE, chain);
        #[rustfmt::skip]
        let expected = [
            68, 0, 0, 0,  9, 10,  1, 4,  1, 0, 0, 0,  0, 0, 0, 0,     3, 0, 0, 0,
                6, 0, 1, 0,  b't', 0,  0, 0,
                6, 0, 2, 0,  b'h', 0,  0, 0,
                8, 0, 3, 0,  0, 0, 0, 0x10,
                8, 0, 4, 0,  0, 0, 0, 7,
                8, 0, 5, 0,  0, 0, 0, 4,
                8, 0, 10, 0,  0, 0, 0, 1,
            76, 0, 0, 0,  3, 10,  5, 4,  2, 0, 0, 0,  0, 0, 0, 0,     3, 0, 0, 0,
                6, 0, 1, 0,  b't', 0,  0, 0,
                6, 0, 3, 0,  b'o', 0,  0, 0,
                20, 0, 4, 0x80,
                    8, 0, 1, 0,  0, 0, 0, 1,
                    8, 0, 2, 0,  0xff, 0xff, 0xfe, 0xd4,
                8, 0, 5, 0,  0, 0, 0, 1,
                11, 0, 7, 0,  b'f', b'i', b'l', b't', b'e', b'r', 0,  0,
        ];
        // Begin is 20 bytes; without an end it is only tried.
        assert_eq!(transaction.finish(false)[20..], expected);
    }

    #[test]
    fn elements_to_the_byte_and_found_again_by_offset() {
        let mut transaction = Transaction::new(0);
        transaction.add_elements(TABLE, "h", &[key(1), key(2)], Some(500));
        #[rustfmt::skip]
        let expected = [
            120, 0, 0, 0,  12, 10,  5, 4,  1, 0, 0, 0,  0, 0, 0, 0,   3, 0, 0, 0,
                6, 0, 1, 0,  b't', 0,  0, 0,
                6, 0, 2, 0,  b'h', 0,  0, 0,
                84, 0, 3, 0x80,
                    40, 0, 1, 0x80,
                        12, 0, 1, 0x80,  8, 0, 1, 0,  10, 0, 0, 1,
                        12, 0, 4, 0,  0, 0, 0, 0, 0, 0, 1, 0xf4,
                        12, 0, 5, 0,  0, 0, 0, 0, 0, 0, 1, 0xf4,
                    40, 0, 1, 0x80,
                        12, 0, 1, 0x80,  8, 0, 1, 0,  10, 0, 0, 2,
                        12, 0, 4, 0,  0, 0, 0, 0, 0, 0, 1, 0xf4,
                        12, 0, 5, 0,  0, 0, 0, 0, 0, 0, 1, 0xf4,
        ];
        assert_eq!(transaction.finish(false)[20..], expected);
        let operation = |offset| transaction.operation(1, offset);
        assert_eq!(operation(Some(40)), "add 10.0.0.1 to set h of table arp t");
        assert_eq!(operation(Some(84)), "add 10.0.0.2 to set h of table arp t");
        assert_eq!(operation(Some(4000)), "add elements to set h of table arp t");
        assert_eq!(operation(None), "add elements to set h of table arp t");
        assert_eq!(transaction.operation(0, None), "change the packet filter's tables");
        assert_eq!(transaction.operation(9, None), "change the packet filter's tables");
    }

    #[test]
    fn many_elements_are_several_messages_of_one_batch() {
        let mut transaction = Transaction::new(u32::MAX - 1);
        let keys: Vec<Key> = (0..2500).map(Key::Number).collect();
        transaction.delete_elements(TABLE, "n", &keys);
        assert_eq!(transaction.last_sequence(), 1);
        assert_eq!(transaction.position(u32::MAX - 1), Some(0));
        assert_eq!((transaction.position(1), transaction.position(2)), (Some(3), None));
    }

    #[test]
    fn plain_names() {
        for good in ["standin", "standin-2", "a.b_c"] {
            assert!(is_plain_name(good), "{good}");
        }
        for bad in ["", "2", "a b", "a;b", "ä", "a\0", &"a".repeat(64)] {
            assert!(!is_plain_name(bad), "{bad}");
        }
    }
}
