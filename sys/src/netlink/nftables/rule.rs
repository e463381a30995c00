//! The expressions of which a rule is made (`linux/netfilter/nf_tables.h`).
//!
//! A rule runs its expressions in order; one that does not match ends it. What a load puts into
//! the register, the comparison or look-up behind it reads: a second register is needed for
//! what a map gives alone.
//!
//! Owns their encoding. Never knows which rule is whose.

use super::super::message::Payload;

/// `NFT_REG_1`: 16 bytes, the size of an IPv6 address.
const REGISTER: u32 = 1;
/// `NFT_REG_VERDICT`.
const VERDICT_REGISTER: u32 = 0;

// NFTA_LIST_ELEM, NFTA_EXPR_*, NFTA_DATA_*.
pub(super) const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
/// `NFT_JUMP`.
const JUMP: u32 = (-3_i32).cast_unsigned();
/// `NFT_LOOKUP_F_INV`.
const LOOKUP_INVERSE: u32 = 1;

/// Where an offset in a packet counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The link layer's header, where there is one.
    Link,
    /// The IP header; for the `arp` family the ARP header.
    Network,
    /// The header behind the IP header and its extensions.
    Transport,
}

/// What a value is compared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same bytes.
    Equal,
    /// Other bytes.
    Unequal,
}

/// What is known about a packet beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    /// The index of the interface it came in by; 4 bytes in the machine's order.
    InputInterface,
    /// The index of the interface it leaves by; 4 bytes in the machine's order.
    OutputInterface,
    /// The protocol behind the IP header and its extensions; 1 byte.
    TransportProtocol,
}

/// What becomes of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is gone.
    Drop,
    /// This chain lets it through; others may not.
    Accept,
}

/// Writes what an element of a map of verdicts stands for: the way through a chain and back.
pub(super) fn jump(data: &mut Payload<'_>, chain: &str) {
    data.nest(DATA_VERDICT, |verdict| {
        verdict.attribute_be32(VERDICT_CODE, JUMP).attribute_text(VERDICT_CHAIN, chain);
    });
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Loads bytes of the packet. A packet that is too short does not match.
    Load {
        /// Where the offset counts from.
        base: Base,
        /// In bytes.
        offset: u32,
        /// In bytes, at most 16.
        length: u32,
    },
    /// Loads what the routing tables say of the destination address: its `RTN_*`, 4 bytes in the
    /// machine's order; 2 is 'an address of this host'. Needs `CONFIG_NFT_FIB`.
    DestinationType,
    /// Loads what is known about the packet.
    Meta(MetaKey),
    /// Loads these bytes, at most 16, whatever the packet is.
    Constant(Vec<u8>),
    /// Goes on if the register compares so with these bytes.
    Compare(Comparison, Vec<u8>),
    /// Goes on if the register is an element of the set, or is none.
    Lookup {
        /// The set, in the rule's own table.
        set: String,
        /// Goes on if it is *not* an element.
        inverse: bool,
    },
    /// Goes through the chain that the map gives for the register, if it gives one.
    Dispatch {
        /// The map, in the rule's own table.
        map: String,
    },
    /// Counts the packets that come this far, for people who list the rules.
    Counter,
    /// Ends the rule with a verdict.
    Verdict(Verdict),
    /// Ends the rule and sends the packet to this host's own address on the interface it came in
    /// by. Only in a chain that translates.
    Redirect,
}

impl Expression {
    fn name(&self) -> &'static str {
        match self {
            Self::Load { .. } => "payload",
            Self::DestinationType => "fib",
            Self::Meta(_) => "meta",
            Self::Compare(..) => "cmp",
            Self::Lookup { .. } | Self::Dispatch { .. } => "lookup",
            Self::Counter => "counter",
            Self::Constant(_) | Self::Verdict(_) => "immediate",
            Self::Redirect => "redir",
        }
    }

    /// Writes one element of `NFTA_RULE_EXPRESSIONS`.
    pub(super) fn encode(&self, list: &mut Payload<'_>) {
        list.nest(LIST_ELEMENT, |expression| {
            expression.attribute_text(EXPRESSION_NAME, self.name());
            expression.nest(EXPRESSION_DATA, |data| self.encode_data(data));
        });
    }

    fn encode_data(&self, data: &mut Payload<'_>) {
        match self {
            Self::Load { base, offset, length } => {
                let base = match base {
                    Base::Link => 0,
                    Base::Network => 1,
                    Base::Transport => 2,
                };
                // NFTA_PAYLOAD_DREG, _BASE, _OFFSET, _LEN.
                data.attribute_be32(1, REGISTER)
                    .attribute_be32(2, base)
                    .attribute_be32(3, *offset)
                    .attribute_be32(4, *length);
            }
            Self::Meta(key) => {
                let key = match key {
                    MetaKey::InputInterface => 4,
                    MetaKey::OutputInterface => 5,
                    MetaKey::TransportProtocol => 16,
                };
                // NFTA_META_DREG, _KEY.
                data.attribute_be32(1, REGISTER).attribute_be32(2, key);
            }
            Self::Constant(bytes) => {
                // NFTA_IMMEDIATE_DREG, _DATA.
                data.attribute_be32(1, REGISTER).nest(2, |value| {
                    value.attribute(DATA_VALUE, bytes);
                });
            }
            Self::Compare(comparison, bytes) => {
                let operator = match comparison {
                    Comparison::Equal => 0,
                    Comparison::Unequal => 1,
                };
                // NFTA_CMP_SREG, _OP, _DATA.
                data.attribute_be32(1, REGISTER).attribute_be32(2, operator).nest(3, |value| {
                    value.attribute(DATA_VALUE, bytes);
                });
            }
            Self::Lookup { set, inverse } => {
                // NFTA_LOOKUP_SET, _SREG, _FLAGS.
                data.attribute_text(1, set).attribute_be32(2, REGISTER);
                if *inverse {
                    data.attribute_be32(5, LOOKUP_INVERSE);
                }
            }
            Self::Dispatch { map } => {
                // NFTA_LOOKUP_SET, _SREG, _DREG.
                data.attribute_text(1, map)
                    .attribute_be32(2, REGISTER)
                    .attribute_be32(3, VERDICT_REGISTER);
            }
            Self::DestinationType => {
                // NFTA_FIB_DREG, _RESULT (NFT_FIB_RESULT_ADDRTYPE), _FLAGS (NFTA_FIB_F_DADDR).
                data.attribute_be32(1, REGISTER).attribute_be32(2, 3).attribute_be32(3, 2);
            }
            Self::Counter | Self::Redirect => {}
            Self::Verdict(verdict) => {
                let code = match verdict {
                    Verdict::Drop => 0,
                    Verdict::Accept => 1,
                };
                // NFTA_IMMEDIATE_DREG, _DATA.
                data.attribute_be32(1, VERDICT_REGISTER).nest(2, |value| {
                    value.nest(DATA_VERDICT, |verdict| {
                        verdict.attribute_be32(VERDICT_CODE, code);
                    });
                });
            }
        }
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::super::super::message::append_message;
    use super::*;

    fn encoded(expression: &Expression) -> Vec<u8> {
        let mut buffer = vec![];
        append_message(&mut buffer, 0, 0, 0, |payload| expression.encode(payload));
        buffer.split_off(16)
    }

    #[test]
    fn a_load_to_the_byte() {
        let load = Expression::Load { base: Base::Network, offset: 14, length: 4 };
        #[rustfmt::skip]
        let expected = [
            52, 0, 1, 0x80,
                12, 0, 1, 0,  b'p', b'a', b'y', b'l', b'o', b'a', b'd', 0,
                36, 0, 2, 0x80,
                    8, 0, 1, 0,  0, 0, 0, 1,
                    8, 0, 2, 0,  0, 0, 0, 1,
                    8, 0, 3, 0,  0, 0, 0, 14,
                    8, 0, 4, 0,  0, 0, 0, 4,
        ];
        assert_eq!(encoded(&load), expected);
    }

    #[test]
    fn an_inverse_lookup_to_the_byte() {
        let lookup = Expression::Lookup { set: "held".into(), inverse: true };
        #[rustfmt::skip]
        let expected = [
            48, 0, 1, 0x80,
                11, 0, 1, 0,  b'l', b'o', b'o', b'k', b'u', b'p', 0,  0,
                32, 0, 2, 0x80,
                    9, 0, 1, 0,  b'h', b'e', b'l', b'd', 0,  0, 0, 0,
                    8, 0, 2, 0,  0, 0, 0, 1,
                    8, 0, 5, 0,  0, 0, 0, 1,
        ];
        assert_eq!(encoded(&lookup), expected);
    }

    #[test]
    fn a_comparison_and_a_verdict_to_the_byte() {
        #[rustfmt::skip]
        let expected = [
            44, 0, 1, 0x80,
                8, 0, 1, 0,  b'c', b'm', b'p', 0,
                32, 0, 2, 0x80,
                    8, 0, 1, 0,  0, 0, 0, 1,
                    8, 0, 2, 0,  0, 0, 0, 1,
                    12, 0, 3, 0x80,
                        5, 0, 1, 0,  136, 0, 0, 0,
        ];
        assert_eq!(encoded(&Expression::Compare(Comparison::Unequal, vec![136])), expected);
        #[rustfmt::skip]
        let expected = [
            48, 0, 1, 0x80,
                14, 0, 1, 0,  b'i', b'm', b'm', b'e', b'd', b'i', b'a', b't', b'e', 0,  0, 0,
                28, 0, 2, 0x80,
                    8, 0, 1, 0,  0, 0, 0, 0,
                    16, 0, 2, 0x80,
                        12, 0, 2, 0x80,
                            8, 0, 1, 0,  0, 0, 0, 0,
        ];
        assert_eq!(encoded(&Expression::Verdict(Verdict::Drop)), expected);
    }

    #[test]
    fn meta_and_counter_to_the_byte() {
        #[rustfmt::skip]
        let expected = [
            36, 0, 1, 0x80,
                9, 0, 1, 0,  b'm', b'e', b't', b'a', 0,  0, 0, 0,
                20, 0, 2, 0x80,
                    8, 0, 1, 0,  0, 0, 0, 1,
                    8, 0, 2, 0,  0, 0, 0, 16,
        ];
        assert_eq!(encoded(&Expression::Meta(MetaKey::TransportProtocol)), expected);
        #[rustfmt::skip]
        let expected = [
            20, 0, 1, 0x80,
                12, 0, 1, 0,  b'c', b'o', b'u', b'n', b't', b'e', b'r', 0,
                4, 0, 2, 0x80,
        ];
        assert_eq!(encoded(&Expression::Counter), expected);
        #[rustfmt::skip]
        let expected = [
            40, 0, 1, 0x80,
                8, 0, 1, 0,  b'f', b'i', b'b', 0,
                28, 0, 2, 0x80,
                    8, 0, 1, 0,  0, 0, 0, 1,
                    8, 0, 2, 0,  0, 0, 0, 3,
                    8, 0, 3, 0,  0, 0, 0, 2,
        ];
        assert_eq!(encoded(&Expression::DestinationType), expected);
    }
}
