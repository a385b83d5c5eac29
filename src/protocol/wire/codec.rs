//! CBOR (RFC 8949, core deterministic encoding, integer map keys), strict on reading.
//!
//! Signatures and hashes are over bytes as received, never over a re-encoding: keep the bytes beside what they decode to.

use crate::protocol::wire::limits::MAX_CBOR_DEPTH;
use minicbor::{Decode, Decoder, Encode, data::Type};

/// The bytes are not a record of the expected shape. Says nothing of their content, so that it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// The bytes of a record. Infallible: everything is written into memory.
pub fn encode<T: Encode<()>>(record: &T) -> Vec<u8> {
    minicbor::to_vec(record).unwrap_or_else(|never: minicbor::encode::Error<std::convert::Infallible>| {
        unreachable!("encoding into memory does not fail: {never}")
    })
}

/// The record in `bytes`, which must hold it and nothing after it. `what` names it in the error.
pub fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8], what: &'static str) -> Result<T, Malformed> {
    check_shape(bytes, what)?;
    let mut decoder = Decoder::new(bytes);
    let record = decoder.decode().map_err(|_| Malformed(what))?;
    if decoder.position() != bytes.len() {
        return Err(Malformed(what));
    }
    Ok(record)
}

/// Walks the item once: definite lengths only, and no deeper than [`MAX_CBOR_DEPTH`], so that skipping an unknown field
/// can neither recurse nor run past the end.
fn check_shape(bytes: &[u8], what: &'static str) -> Result<(), Malformed> {
    let bad = |_| Malformed(what);
    let mut decoder = Decoder::new(bytes);
    let mut open: Vec<u64> = vec![1];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let children = match decoder.datatype().map_err(bad)? {
            Type::Array => decoder.array().map_err(bad)?.ok_or(Malformed(what))?,
            Type::Map => decoder.map().map_err(bad)?.ok_or(Malformed(what))?.checked_mul(2).ok_or(Malformed(what))?,
            Type::Tag => {
                decoder.tag().map_err(bad)?;
                1
            }
            Type::ArrayIndef | Type::MapIndef | Type::BytesIndef | Type::StringIndef | Type::Break => {
                return Err(Malformed(what));
            }
            _ => {
                decoder.skip().map_err(bad)?;
                continue;
            }
        };
        // Each child takes at least one byte: a count that the bytes cannot hold is a lie.
        if children > (bytes.len() - decoder.position()) as u64 || open.len() >= MAX_CBOR_DEPTH {
            return Err(Malformed(what));
        }
        open.push(children);
    }
    if decoder.position() == bytes.len() { Ok(()) } else { Err(Malformed(what)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    #[cbor(map)]
    struct Sample {
        #[n(0)]
        number: u32,
        #[n(1)]
        text: Option<String>,
    }

    #[test]
    fn a_record_comes_back_and_unknown_fields_are_ignored() {
        let sample = Sample { number: 7, text: Some("모임".into()) };
        assert_eq!(decode::<Sample>(&encode(&sample), "sample"), Ok(sample));
        // {0: 1, 9: [1, {2: 3}]}
        let newer = [0xa2, 0x00, 0x01, 0x09, 0x82, 0x01, 0xa1, 0x02, 0x03];
        assert_eq!(decode::<Sample>(&newer, "sample"), Ok(Sample { number: 1, text: None }));
    }

    #[test]
    fn trailing_bytes_indefinite_lengths_depth_and_false_counts_are_refused() {
        let mut trailing = encode(&Sample { number: 7, text: None });
        trailing.push(0);
        let deep: Vec<u8> = [vec![0x81; 100_000], vec![0]].concat();
        for bytes in [&trailing[..], &[0xbf, 0xff], &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255], &deep, &[]] {
            assert_eq!(decode::<Sample>(bytes, "sample"), Err(Malformed("sample")));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = decode::<Sample>(&bytes, "sample");
        }
    }
}
