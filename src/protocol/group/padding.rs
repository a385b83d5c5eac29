//! Padding to the next of a few sizes: the content, 0x80, zeros (ISO/IEC 7816-4).

use zeroize::Zeroizing;

/// The content padded to the least bucket that holds it and one byte more; `None` where none does.
pub(super) fn pad(content: &[u8], buckets: &[usize]) -> Option<Zeroizing<Vec<u8>>> {
    let size = *buckets.iter().find(|bucket| content.len() < **bucket)?;
    let mut padded = Zeroizing::new(Vec::with_capacity(size));
    padded.extend_from_slice(content);
    padded.push(0x80);
    padded.resize(size, 0);
    Some(padded)
}

/// The content that was padded.
pub(super) fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let end = padded.iter().rposition(|byte| *byte != 0)?;
    let (content, rest) = padded.split_at_checked(end)?;
    (rest.first() == Some(&0x80)).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_content_comes_back_and_its_length_is_a_bucket() {
        for content in [&b""[..], b"a", &[0x80, 0], &[0; 15]] {
            let padded = pad(content, &[8, 16]).unwrap();
            assert!(padded.len() == 8 || padded.len() == 16);
            assert_eq!(unpad(&padded), Some(content));
        }
        assert_eq!(pad(&[0; 16], &[8, 16]), None);
        assert_eq!(unpad(&[0; 8]), None);
        assert_eq!(unpad(&[1, 2]), None);
    }
}
