//! The model file of sentencepiece: as much of its protocol buffer as a unigram tokenizer needs.

/// Pieces with their scores, in the order of their ids, and the table of character normalisation.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Pieces {
    /// Text and logarithm of the probability.
    pub pieces: Vec<(String, f64)>,
    /// A compiled table; empty where nothing is normalised.
    pub charsmap: Vec<u8>,
}

/// Fields of the outer message, of a piece, and of the normalisation.
const PIECE: u64 = 1;
const NORMALIZER: u64 = 3;
const PIECE_TEXT: u64 = 1;
const PIECE_SCORE: u64 = 2;
const CHARSMAP: u64 = 2;

/// Reads a model file; the text of an error says what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Pieces, String> {
    let mut model = Pieces::default();
    each_field(bytes, |field, value| {
        match (field, value) {
            (PIECE, Value::Bytes(message)) => model.pieces.push(piece(message)?),
            (NORMALIZER, Value::Bytes(message)) => each_field(message, |field, value| {
                if let (CHARSMAP, Value::Bytes(table)) = (field, value) {
                    model.charsmap = table.to_vec();
                }
                Some(())
            })?,
            _ => {}
        }
        Some(())
    })
    .ok_or("the model of sentencepiece is damaged")?;
    if model.pieces.is_empty() {
        return Err("no piece in the model of sentencepiece".to_owned());
    }
    Ok(model)
}

fn piece(message: &[u8]) -> Option<(String, f64)> {
    let (mut text, mut score) = (None, 0.0);
    each_field(message, |field, value| {
        match (field, value) {
            (PIECE_TEXT, Value::Bytes(bytes)) => text = Some(std::str::from_utf8(bytes).ok()?.to_owned()),
            (PIECE_SCORE, Value::Fixed32(bits)) => score = f64::from(f32::from_bits(bits)),
            _ => {}
        }
        Some(())
    })?;
    Some((text?, score))
}

enum Value<'a> {
    Bytes(&'a [u8]),
    Fixed32(u32),
    Other,
}

/// Hands every field of a message to `take`; `None` where the message is damaged or `take` gives up.
fn each_field<'a>(mut bytes: &'a [u8], mut take: impl FnMut(u64, Value<'a>) -> Option<()>) -> Option<()> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => {
                varint(&mut bytes)?;
                Value::Other
            }
            1 => {
                split(&mut bytes, 8)?;
                Value::Other
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Value::Bytes(split(&mut bytes, length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(split(&mut bytes, 4)?.try_into().ok()?)),
            _ => return None,
        };
        take(tag >> 3, value)?;
    }
    Some(())
}

fn split<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = split(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A model file of the given pieces, as sentencepiece writes them.
#[cfg(test)]
pub(super) fn written(pieces: &[(&str, f32)]) -> Vec<u8> {
    let mut file = Vec::new();
    for (text, score) in pieces {
        let mut message = vec![0x0a, text.len() as u8];
        message.extend(text.as_bytes());
        message.push(0x15);
        message.extend(score.to_le_bytes());
        file.extend([0x0a, message.len() as u8]);
        file.extend(message);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::{read, written};

    #[test]
    fn pieces_are_read_in_order_and_damage_is_an_error() {
        let file = written(&[("<unk>", 0.0), ("▁cat", -2.5)]);
        assert_eq!(read(&file).unwrap().pieces, [("<unk>".to_owned(), 0.0), ("▁cat".to_owned(), -2.5)]);
        assert!(read(&file[..file.len() - 1]).unwrap_err().contains("damaged"));
        assert!(read(b"").unwrap_err().contains("no piece"));
    }
}
