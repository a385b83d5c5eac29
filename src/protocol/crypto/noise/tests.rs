use super::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde_json::Value;

/// Made by `scripts/noise-vectors` with the Python package noiseprotocol.
const NOISEPROTOCOL: &str = include_str!("../vectors/noiseprotocol.json");
/// The two suites from the vectors of cacophony, the Haskell implementation (as published with snow).
const CACOPHONY: &str = include_str!("../vectors/cacophony.json");

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(text).unwrap()["vectors"].as_array().unwrap().clone()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn secret(value: &Value) -> Secret {
    Secret::from(<[u8; 32]>::try_from(bytes(value)).unwrap())
}

/// Writes and reads the handshake message of a vector; gives the message and what the two sides share.
fn run(vector: &Value, psk: &Value, prologue: &Value, payload: &Value) -> (Vec<u8>, Split) {
    let suite = match vector["protocol_name"].as_str().unwrap() {
        "Noise_Xpsk1_25519_ChaChaPoly_SHA256" => Suite::Start,
        "Noise_Kpsk0_25519_ChaChaPoly_SHA256" => Suite::Step,
        other => panic!("{other} is not ours"),
    };
    let (writer, reader) = (secret(&vector["init_static"]), secret(&vector["resp_static"]));
    let (psk, prologue, payload) = (secret(psk), bytes(prologue), bytes(payload));
    let (from, to) = (public_key(&writer), public_key(&reader));
    let keys = Keys { own: &writer, remote: Some(&to), psk: &psk, prologue: &prologue };
    let (message, wrote) = write(suite, keys, &payload, secret(&vector["init_ephemeral"])).unwrap();
    let read = match suite {
        Suite::Start => read_start(&reader, &psk, &prologue, &message).unwrap(),
        Suite::Step => read_step(&reader, &NoiseKey(from), &psk, &prologue, &message).unwrap(),
    };
    assert_eq!((read.from, &read.payload[..]), (NoiseKey(from), &payload[..]));
    assert!(read.split.k1 == wrote.k1 && read.split.k2 == wrote.k2 && read.split.hash == wrote.hash);
    (message, wrote)
}

#[test]
fn both_handshakes_are_byte_identical_to_an_independent_implementation() {
    let vectors = vectors(NOISEPROTOCOL);
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        let (message, split) = run(&vector, &vector["psk"], &vector["prologue"], &vector["payload"]);
        assert_eq!(message, bytes(&vector["message"]));
        assert_eq!(split.k1, secret(&vector["k1"]));
        assert_eq!(split.k2, secret(&vector["k2"]));
        assert_eq!(split.hash, secret(&vector["handshake_hash"]));
    }
}

#[test]
fn both_handshakes_match_the_published_vectors() {
    let vectors = vectors(CACOPHONY);
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let messages = vector["messages"].as_array().unwrap();
        let (message, split) = run(&vector, &vector["init_psks"][0], &vector["init_prologue"], &messages[0]["payload"]);
        assert_eq!(message, bytes(&messages[0]["ciphertext"]));
        assert_eq!(split.hash, secret(&vector["handshake_hash"]));
        // The transport messages that follow are under the first key of the split.
        for (nonce, transport) in messages[1..].iter().enumerate() {
            let (plain, sealed) = (bytes(&transport["payload"]), bytes(&transport["ciphertext"]));
            let mut out = vec![0; sealed.len()];
            assert_eq!(ChaChaPoly(split.k1.clone()).encrypt(nonce as u64, &[], &plain, &mut out), sealed.len());
            assert_eq!(out, sealed);
        }
    }
}

#[test]
fn a_message_is_read_with_its_own_keys_and_prologue_only() {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let (own, to, psk, other) = (Secret::random(rng), Secret::random(rng), Secret::random(rng), Secret::random(rng));
    let from = NoiseKey(public_key(&own));
    let (start, _) = write_start(&own, &public_key(&to), &psk, b"p", b"payload", rng).unwrap();
    assert_eq!(read_start(&to, &psk, b"p", &start).unwrap().from, from);
    assert_eq!(read_start(&other, &psk, b"p", &start).unwrap_err(), NoiseError::Rejected);
    assert_eq!(read_start(&to, &other, b"p", &start).unwrap_err(), NoiseError::Rejected);
    assert_eq!(read_start(&to, &psk, b"q", &start).unwrap_err(), NoiseError::Rejected);

    let (step, _) = write_step(&own, &public_key(&to), &psk, b"p", b"payload", rng).unwrap();
    assert_eq!(&read_step(&to, &from, &psk, b"p", &step).unwrap().payload[..], b"payload");
    let stranger = NoiseKey(public_key(&other));
    assert_eq!(read_step(&to, &stranger, &psk, b"p", &step).unwrap_err(), NoiseError::Rejected);
    assert_eq!(read_step(&to, &from, &other, b"p", &step).unwrap_err(), NoiseError::Rejected);

    for at in 0..start.len() {
        let mut bad = start.clone();
        // The top bit of a public key is ignored by X25519, but hashed: it must not pass either.
        bad[at] ^= if at == 31 { 0x80 } else { 1 };
        assert!(read_start(&to, &psk, b"p", &bad).is_err(), "byte {at}");
    }
    for len in 0..start.len() {
        assert!(read_start(&to, &psk, b"p", &start[..len]).is_err());
    }
    assert_eq!(read_start(&to, &psk, b"p", &vec![0; MAX_MESSAGE + 1]).unwrap_err(), NoiseError::Rejected);
}

#[test]
fn the_longest_payload_fits_and_one_more_is_refused() {
    let rng = &mut ChaCha20Rng::seed_from_u64(2);
    let (own, to, psk) = (Secret::random(rng), Secret::random(rng), Secret::random(rng));
    let longest = MAX_MESSAGE - START_OVERHEAD;
    let (message, _) = write_start(&own, &public_key(&to), &psk, b"", &vec![5; longest], rng).unwrap();
    assert_eq!(message.len(), MAX_MESSAGE);
    assert_eq!(read_start(&to, &psk, b"", &message).unwrap().payload.len(), longest);
    let refused = write_start(&own, &public_key(&to), &psk, b"", &vec![5; longest + 1], rng).unwrap_err();
    assert_eq!(refused, NoiseError::TooLong(longest + 1));
}

#[test]
fn a_public_key_that_gives_a_zero_secret_is_refused() {
    let rng = &mut ChaCha20Rng::seed_from_u64(3);
    let (own, psk) = (Secret::random(rng), Secret::random(rng));
    let order_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    let order_4 = "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
    let (zero, mut one) = ([0; 32], [0; 32]);
    one[0] = 1;
    let small: [[u8; 32]; 2] = [order_8, order_4].map(|text| hex::decode(text).unwrap().try_into().unwrap());
    for weak in [zero, one].into_iter().chain(small) {
        assert!(!is_usable(&weak));
        let refused = write_step(&own, &weak, &psk, b"", b"", rng).unwrap_err();
        assert_eq!(refused, NoiseError::WeakKey);
        assert_eq!(write_start(&own, &weak, &psk, b"", b"", rng).unwrap_err(), NoiseError::WeakKey);
        // As the ephemeral of a message that is read.
        let message = [&weak[..], &[0; 64]].concat();
        assert_eq!(read_start(&own, &psk, b"", &message).unwrap_err(), NoiseError::WeakKey);
    }
    assert!(is_usable(&public_key(&own)));
}

#[test]
fn a_write_draws_32_bytes_and_nothing_is_random_beside_them() {
    let (own, to, psk) = (Secret::from([1; 32]), Secret::from([2; 32]), Secret::from([3; 32]));
    let once = |seed| {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let message = write_step(&own, &public_key(&to), &psk, b"", b"x", rng).unwrap().0;
        assert_eq!(rng.get_word_pos(), 8, "eight words of four bytes");
        message
    };
    assert_eq!(once(1), once(1));
    assert_ne!(once(1), once(2));
    assert_eq!(OneKey(None).try_fill_bytes(&mut [0; 32]), Err(Error::Rng));
    assert_eq!(OneKey(Some(own.clone())).try_fill_bytes(&mut [0; 31]), Err(Error::Rng));
}

fn hex32(text: &str) -> Secret {
    Secret::from(<[u8; 32]>::try_from(hex::decode(text).unwrap()).unwrap())
}

#[test]
fn x25519_matches_rfc_7748_section_5_2() {
    let scalar = hex32("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    let point = hex32("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    let mut out = [0; 56];
    X25519::from(scalar).dh(point.expose(), &mut out).unwrap();
    assert_eq!(hex::encode(&out[..32]), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    assert_eq!(out[32..], [0; 24]);
}

#[test]
fn chacha20_poly1305_matches_rfc_8439_section_2_8_2() {
    let key: Vec<u8> = (0x80..0xa0).collect();
    let key: [u8; 32] = key.try_into().unwrap();
    let ad = hex::decode("50515253c0c1c2c3c4c5c6c7").unwrap();
    let plain: &[u8] = b"Ladies and Gentlemen of the class of '99: \
        If I could offer you only one tip for the future, sunscreen would be it.";
    // Noise's nonce begins with four zero bytes where the RFC's begins with 07000000, so the primitive is asked directly.
    let nonce: [u8; 12] = hex::decode("070000004041424344454647").unwrap().try_into().unwrap();
    let mut text = plain.to_vec();
    let cipher = ChaChaPoly(Secret::from(key));
    let tag = cipher.cipher().encrypt_inout_detached(&nonce.into(), &ad, text.as_mut_slice().into()).unwrap();
    assert!(hex::encode(&text).starts_with("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"));
    assert_eq!(hex::encode(tag), "1ae10b594f09e26a7e902ecbd0600691");
    assert_eq!(ChaChaPoly::nonce(0x0102), [0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn sha256_and_hmac_match_fips_180_and_rfc_4231() {
    let mut hash = HashSha256::default();
    let mut out = [0; 64];
    hash.input(b"left over");
    hash.reset();
    hash.input(b"a");
    hash.input(b"bc");
    hash.result(&mut out);
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hex::encode(&out[..32]), abc);
    hash.hmac(b"Jefe", b"what do ya want for nothing?", &mut out);
    let jefe = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hex::encode(&out[..32]), jefe);
}
