//! Whether text looks like UTF-8 that was misread in a single-byte character set: whether it has characters side by side
//! that no language writes so. Works on kinds of characters, not on words, and must rather miss than spoil sound text.

/// Stands for the place before the first character.
const START: char = '\0';

/// How a character behaves in sound text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Scripts, spaces and signs that say nothing.
    Neutral,
    /// A letter of ASCII.
    Plain,
    /// A capital of the Greek or Cyrillic script.
    FarCapital,
    /// A small letter of the Greek or Cyrillic script.
    FarSmall,
    /// Spaces and dashes that join words.
    Joiner,
    /// C1 control characters: no text has them.
    Control,
    /// Signs for which an accented letter is no neighbour: `¤ ¨ † ˜`.
    Stray,
    /// Stands before a word: `“ ¿ ©`.
    Opening,
    /// Stands after a word: `” ® ™`.
    Closing,
    Currency,
    /// Figures and signs of arithmetic: `½ ² ± √`.
    Figure,
    /// `§ ¶ °`: not after a capital.
    Section,
    /// The capitals with circumflex or tilde that begin most misread sequences.
    Hat,
    Capital,
    Small,
    /// Letters on o and u, y and thorn, which no common sequence begins with.
    Round,
    /// `Œ œ`
    Ethel,
    Times,
    /// `√`, which Mac Roman has where UTF-8 has `Ã`.
    Root,
    /// Box drawing, which DOS has where UTF-8 has the first byte of a sequence.
    Frame,
}

/// Whether some characters of the text are most unlikely beside each other.
pub(super) fn is_suspicious(text: &str) -> bool {
    let mut window = [Kind::Neutral; 2];
    let mut last = [START; 3];
    for character in text.chars() {
        let kind = kind_of(character);
        if kind == Kind::Control
            || clash(window[1], kind)
            || clash_across(window, kind)
            || lost_space(last, character)
            || hat_before(last[2], character)
            || common_sign([last[1], last[2]], character)
        {
            return true;
        }
        window = [window[1], kind];
        last = [last[1], last[2], character];
    }
    false
}

/// Whether two kinds do not stand side by side.
fn clash(left: Kind, right: Kind) -> bool {
    use Kind::*;
    let letter = matches!(right, Hat | Capital | Small | Ethel);
    match left {
        Figure | Currency | Times => letter || matches!(right, Opening | Stray),
        Opening | Section => right == Stray,
        Closing => letter || matches!(right, Currency | Stray),
        Stray => letter || matches!(right, Currency | Stray | Opening | Closing | Figure | Times),
        Capital => matches!(right, Stray | Figure | Section | Times),
        Hat => matches!(right, Stray | Figure | Section | Times | Opening | Closing | Joiner | Ethel),
        Small => matches!(right, Currency | Stray | Hat | Capital | Ethel),
        Root => letter || matches!(right, Currency | Opening | Closing | Stray | Figure),
        Frame => !matches!(right, Neutral | Plain | FarCapital | FarSmall | Joiner | Frame),
        Ethel => !matches!(right, Neutral | Plain),
        Neutral | Plain | FarCapital | FarSmall | Joiner | Control | Round => false,
    }
}

/// Whether a sign stands in the midst of what would be a word or a number.
fn clash_across(window: [Kind; 2], right: Kind) -> bool {
    use Kind::*;
    let [left, middle] = window;
    if left == FarCapital && right == FarCapital {
        return matches!(middle, Opening | Closing | Stray | Currency | Figure | Section);
    }
    let letter = matches!(left, Capital | Small | Hat | Ethel);
    match middle {
        Opening if letter => matches!(right, Plain | Figure | Hat | Capital | Small | Round | Ethel | Times),
        Opening => left == Closing && matches!(right, Figure | Times),
        Closing if letter => matches!(right, Plain | Opening | Figure | Round),
        Closing => matches!(left, Currency | Figure | Times) && right == Opening,
        Capital => left == Plain && right == Opening,
        FarCapital | FarSmall => left == Plain && right == Stray,
        _ => false,
    }
}

/// `Ã` or `Â` before a space that was a byte of the sequence. Behind a capital it is the end of a Portuguese word, behind a
/// figure or a sign it may be anything.
fn lost_space(last: [char; 3], character: char) -> bool {
    let [before, left, hat] = last;
    if character != ' ' || !matches!(hat, 'Ã' | 'Â') {
        return false;
    }
    match left {
        START | 'a'..='z' => true,
        ' ' => before.is_ascii_lowercase(),
        '!' | ',' | '.' | '?' => hat == 'Â',
        _ => !left.is_ascii() && !left.is_uppercase(),
    }
}

/// What Windows-1252 has in the range of a sequence's second byte, behind the commonest first bytes; but `Ã¥` stays.
fn hat_before(left: char, right: char) -> bool {
    matches!(left, 'Â' | 'Ã' | 'Î' | 'Ð') && matches!(right, 'Š' | 'š' | 'ž' | 'Ÿ' | '€' | '¢' | '£')
}

/// Misread curly quotes, dashes and dots in Mac Roman and Windows-1251, the heart in Windows-1251, and U+FFFD in
/// Windows-1250, all of which are common and have sound neighbours.
fn common_sign(last: [char; 2], character: char) -> bool {
    match (last, character) {
        (['‚', 'Ä'], _) => "¢ìîïòôùúû".contains(character),
        ([_, 'в'], 'Ђ') | (['в', _], 'Ґ') | (['ď', 'ż'], '˝') => true,
        _ => false,
    }
}

fn kind_of(character: char) -> Kind {
    use Kind::*;
    match character {
        'a'..='z' | 'A'..='Z' => Plain,
        '\0'..='\x7f' => Neutral,
        '\u{80}'..='\u{9f}' => Control,
        '\u{a0}' | '\u{ad}' | '´' | '·' | '–' | '—' => Joiner,
        '¢' | '£' | '¥' | '€' | '₧' => Currency,
        '§' | '¶' | '°' => Section,
        '±' | '²' | '³' | 'µ' | '¹' | '¼' | '½' | '¾' | '÷' | '∂' | '≠' | '≤' | '≥' | '≈' | '∞' => {
            Figure
        }
        '√' => Root,
        '×' => Times,
        '‘' | '‚' | '“' | '„' | '•' | '‹' | '¡' | '©' | '«' | '¿' => Opening,
        '”' | '™' | '›' | '®' | '»' => Closing,
        '¤' | '¦' | '¨' | 'ª' | '¬' | '¯' | '¸' | 'º' | 'ƒ' | 'ˆ' | 'ˇ' | '˘' | '˛' | '˜' | '†' | '‡' | '‰' | '⌐'
        | '◊' => Stray,
        '─'..='▟' => Frame,
        'Â' | 'Ã' | 'Î' | 'Ð' => Hat,
        'Œ' | 'œ' => Ethel,
        'À'..='ſ' => letter(character),
        'Ͱ'..='ӿ' if character.is_uppercase() => FarCapital,
        'Ͱ'..='ӿ' if character.is_lowercase() => FarSmall,
        _ => Neutral,
    }
}

fn letter(character: char) -> Kind {
    match character {
        'Ò'..='Ö' | 'Ù'..='Û' | 'Þ' | 'ò'..='ö' | 'ø'..='û' | 'ý'..='ÿ' | 'Ō'..='ő' | 'Ũ'..='ų' => {
            Kind::Round
        }
        _ if character.is_uppercase() => Kind::Capital,
        _ => Kind::Small,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misread_sequences_are_suspicious() {
        for text in ["Ã¶", "â€™", "â€œ", "Â°", "ðŸ˜€", "Å¾", "caf√©", "‚Äô", "ÃƒÂ¶", "a Â b"]
        {
            assert!(is_suspicious(text), "{text}");
        }
    }

    #[test]
    fn sound_text_is_not() {
        for text in
            ["Brilliantâ„¢", "BlÃ¥", "São", "SÃO", "MAÇÃ VERDE", "É™", "«À»", "½ cup", "25°C", "ÖÄÜ®", "ё№", "Ångström"]
        {
            assert!(!is_suspicious(text), "{text}");
        }
    }
}
