//! The single-byte character sets that UTF-8 is commonly misread in. Bytes that a set leaves undefined stand for the
//! control character of the same number, as web browsers read them.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Bytes 0x80 to 0xff.
const WINDOWS_1252: &str = "\
    €\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ\
    \u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿\
    ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß\
    àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ";
/// Bytes 0x80 to 0xff.
const WINDOWS_1251: &str = "\
    ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—\u{98}™љ›њќћџ\
    \u{a0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{ad}®Ї°±Ііґµ¶·ё№є»јЅѕї\
    АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ\
    абвгдежзийклмнопрстуфхцчшщъыьэюя";
/// Bytes 0x80 to 0xff.
const WINDOWS_1250: &str = "\
    €\u{81}‚\u{83}„…†‡\u{88}‰Š‹ŚŤŽŹ\u{90}‘’“”•–—\u{98}™š›śťžź\
    \u{a0}ˇ˘Ł¤Ą¦§¨©Ş«¬\u{ad}®Ż°±˛ł´µ¶·¸ąş»Ľ˝ľż\
    ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß\
    ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙";
/// Bytes 0x80 to 0xff.
const WINDOWS_1253: &str = "\
    €\u{81}‚ƒ„…†‡\u{88}‰\u{8a}‹\u{8c}\u{8d}\u{8e}\u{8f}\u{90}‘’“”•–—\u{98}™\u{9a}›\u{9c}\u{9d}\u{9e}\u{9f}\
    \u{a0}΅Ά£¤¥¦§¨©ª«¬\u{ad}®―°±²³΄µ¶·ΈΉΊ»Ό½ΎΏ\
    ΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡÒΣΤΥΦΧΨΩΪΫάέήί\
    ΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώÿ";
/// Bytes 0x80 to 0xff.
const WINDOWS_1254: &str = "\
    €\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}\u{8e}\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}\u{9e}Ÿ\
    \u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿\
    ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏĞÑÒÓÔÕÖ×ØÙÚÛÜİŞß\
    àáâãäåæçèéêëìíîïğñòóôõö÷øùúûüışÿ";
/// Bytes 0x80 to 0xff.
const WINDOWS_1257: &str = "\
    €\u{81}‚\u{83}„…†‡\u{88}‰\u{8a}‹\u{8c}¨ˇ¸\u{90}‘’“”•–—\u{98}™\u{9a}›\u{9c}¯˛\u{9f}\
    \u{a0}¡¢£¤¥¦§Ø©Ŗ«¬\u{ad}®Æ°±²³´µ¶·ø¹ŗ»¼½¾æ\
    ĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻŠŃŅÓŌÕÖ×ŲŁŚŪÜŻŽß\
    ąįāćäåęēčéźėģķīļšńņóōõö÷ųłśūüżž˙";
/// Bytes 0x80 to 0xff.
const ISO_8859_2: &str = "\
    \u{80}\u{81}\u{82}\u{83}\u{84}\u{85}\u{86}\u{87}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{8d}\u{8e}\u{8f}\u{90}\u{91}\u{92}\u{93}\u{94}\u{95}\u{96}\u{97}\u{98}\u{99}\u{9a}\u{9b}\u{9c}\u{9d}\u{9e}\u{9f}\
    \u{a0}Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u{ad}ŽŻ°ą˛ł´ľśˇ¸šşťź˝žż\
    ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß\
    ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙";
/// Bytes 0x80 to 0xff.
const MAC_ROMAN: &str = "\
    ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü\
    †°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø\
    ¿¡¬√ƒ≈∆«»…\u{a0}ÀÃÕŒœ–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ\
    ‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ\u{f8ff}ÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ";
/// Bytes 0x80 to 0xff.
const CODE_PAGE_437: &str = "\
    ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ\
    áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
    αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// U+FFFD marks a byte that was lost; as a byte it is ASCII's "substitute", which text does not use.
pub(super) const LOST: u8 = 0x1a;

/// Where a character set comes from, which decides how much of what is misread in it can be recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// ISO 8859, the no-break space at 0xa0.
    Iso,
    /// As ISO, and text with lost bytes occurs.
    Windows,
    /// Old Macs and DOS: other places for the no-break space, and everyday symbols among the bytes of sequences.
    Bygone,
}

/// One character set.
#[derive(Debug)]
pub(super) struct Charset {
    bytes: HashMap<char, u8>,
    /// Where it comes from.
    pub(super) family: Family,
}

/// Every set, likeliest first.
pub(super) static CHARSETS: LazyLock<Vec<Charset>> = LazyLock::new(|| {
    let latin_1: String = ('\u{80}'..='\u{ff}').collect();
    let windows = [WINDOWS_1252, WINDOWS_1251, WINDOWS_1250, WINDOWS_1253, WINDOWS_1254, WINDOWS_1257];
    let mut sets = vec![Charset::new(&latin_1, Family::Iso)];
    sets.extend(windows.map(|upper| Charset::new(upper, Family::Windows)));
    sets.push(Charset::new(ISO_8859_2, Family::Iso));
    sets.extend([MAC_ROMAN, CODE_PAGE_437].map(|upper| Charset::new(upper, Family::Bygone)));
    sets
});

impl Charset {
    fn new(upper: &str, family: Family) -> Self {
        Self { bytes: upper.chars().zip(0x80..=0xff).collect(), family }
    }

    /// The byte of one character.
    pub(super) fn byte(&self, character: char) -> Option<u8> {
        match character {
            '\0'..='\x7f' => Some(character as u8),
            '\u{fffd}' if self.family == Family::Windows => Some(LOST),
            _ => self.bytes.get(&character).copied(),
        }
    }

    /// The bytes of a text, `None` if it has a character that is not of this set.
    pub(super) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|character| self.byte(character)).collect()
    }
}

/// What Windows-1252 has at `byte`.
pub(in super::super) fn windows_1252(byte: u8) -> char {
    let upper = usize::from(byte).checked_sub(0x80).and_then(|at| WINDOWS_1252.chars().nth(at));
    upper.unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_has_a_character_for_every_byte() {
        for set in CHARSETS.iter() {
            let mut bytes: Vec<u8> = set.bytes.values().copied().collect();
            bytes.sort_unstable();
            assert_eq!(bytes, (0x80..=0xff).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn characters_of_other_sets_are_refused() {
        assert_eq!(CHARSETS[1].encode("a€ÿ"), Some(vec![b'a', 0x80, 0xff]));
        assert_eq!(CHARSETS[0].encode("€"), None);
        assert_eq!((windows_1252(0x80), windows_1252(0x81), windows_1252(b'a')), ('€', '\u{81}', 'a'));
    }
}
