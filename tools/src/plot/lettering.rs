//! Letters as strokes, so that a picture can be made of pixels without a font file. Strokes are drawn on a grid: 4 wide, 6
//! high for capitals, the base line at 0, y upwards. Not a font for reading books, but for labels.

/// Between the letters, in units of the grid.
const GAP: f64 = 1.6;

/// The height of capitals in units of the grid, and their share of a text's size.
const CAPITAL: f64 = 6.0;
const CAPITAL_SHARE: f64 = 0.70;

/// How thick the strokes of a text of this size are.
pub fn stroke_width(size: f64) -> f64 {
    (size / 11.0).max(0.9)
}

/// How wide a text of this size is.
pub fn width(text: &str, size: f64) -> f64 {
    let units: f64 = text.chars().map(|letter| advance(letter) + GAP).sum();
    (units - GAP).max(0.0) * unit(size)
}

/// The strokes of a text: to the right from 0, the base line at 0, y upwards.
pub fn strokes(text: &str, size: f64) -> Vec<Vec<[f64; 2]>> {
    let unit = unit(size);
    let mut x = 0.0;
    let mut found = Vec::new();
    for letter in text.chars() {
        for stroke in glyph(letter).split_whitespace() {
            found.push(points(stroke).into_iter().map(|[a, b]| [(x + a) * unit, b * unit]).collect());
        }
        x += advance(letter) + GAP;
    }
    found
}

fn unit(size: f64) -> f64 {
    size * CAPITAL_SHARE / CAPITAL
}

/// Pairs of digits: two of them are a point; a dot after a digit adds a half.
fn points(stroke: &str) -> Vec<[f64; 2]> {
    let mut numbers: Vec<f64> = Vec::new();
    for letter in stroke.chars() {
        match letter {
            '.' => numbers.iter_mut().next_back().into_iter().for_each(|number| *number += 0.5),
            // Below the base line: a is one, b is two.
            'a'..='c' => numbers.push(-f64::from(letter as u32 - 'a' as u32 + 1)),
            digit => numbers.push(f64::from(digit.to_digit(10).unwrap_or(0))),
        }
    }
    numbers.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
}

fn advance(letter: char) -> f64 {
    match letter {
        ' ' => 2.0,
        'i' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '!' | '|' => 1.0,
        '(' | ')' | '[' | ']' | 'f' | 't' | 'r' | 'j' => 2.5,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 5.0,
        _ => 4.0,
    }
}

/// Strokes divided by blanks.
#[rustfmt::skip]
const GLYPHS: [(char, &str); 93] = [
    (' ', ""), ('0', "103041453616050110"), ('1', "0.42620 1030"), ('2', "05163645440040"),
    ('3', "05163645443313 334241301001"), ('4', "30360242"), ('5', "460603334241301001"),
    ('6', "453616050110304142331302"), ('7', "064610"), ('8', "13040516364544331302011030414233"),
    ('9', "443313040516364541301001"), ('A', "002640 0.23.2"), ('B', "00063645443303 3342413000"),
    ('C', "4536160501103041"), ('D', "00062644422000"), ('E', "46060040 033.3"), ('F', "460600 033.3"),
    ('G', "45361605011030414323"), ('H', "0600 4640 0343"), ('I', "0.60.0"), ('J', "4641301001"),
    ('K', "0600 4602 1340"), ('L', "060040"), ('M', "00062.25650"), ('N', "00064046"), ('O', "103041453616050110"),
    ('P', "00063645443303"), ('Q', "103041453616050110 2240"), ('R', "00063645443303 2340"),
    ('S', "453616050413334241301001"), ('T', "0646 2620"), ('U', "060110304146"), ('V', "062046"),
    ('W', "061.02.44056"), ('X', "0640 4600"), ('Y', "062346 2320"), ('Z', "06460040"),
    ('a', "4440 4334140301103041"), ('b', "0600 0314344341301001"), ('c', "4334140301103041"),
    ('d', "4640 4334140301103041"), ('e', "02424334140301103041"), ('f', "2.61.61.51.0 0424"),
    ('g', "444a3b1b 4334140301103041"), ('h', "0600 0314344340"), ('i', "0.40.0 0.5.0.6"), ('j', "1.41.a0b 1.5.1.6"),
    ('k', "0600 4402 1.2.40"), ('l', "0.60.0"), ('m', "0004 0314242.32.0 2.33.44.45350"), ('n', "0004 0314344340"),
    ('o', "103041433414030110"), ('p', "040b 0314344341301001"), ('q', "444b 4334140301103041"),
    ('r', "0400 02.142.4"), ('s', "43341403123241301001"), ('t', "16111.02.0 0424"), ('u', "0401103041 4440"),
    ('v', "042044"), ('w', "04102.44054"), ('x', "0440 4400"), ('y', "0420 441b"), ('z', "04440040"),
    ('.', "0.00.0."), (',', "0.0.0a"), (':', "0.00.0. 0.30.3."), (';', "0.30.3. 0.0.0a"), ('-', "0.23.2"),
    ('_', "0a4a"), ('+', "0242 2024"), ('=', "0343 0141"), ('/', "004.6"), ('|', "0.60.a"),
    ('%', "0056 0.50.61.61.50.5 3.03.14.14.03.0"), ('(', "260.40.12a"), (')', "061.41.10a"), ('[', "26060b2b"),
    (']', "06262b0b"), ('<', "440240"), ('>', "044200"), ('*', "2622 0.53.3 0.33.5"), ('\'', "0.60.4."),
    ('"', "1614. 3634."), ('!', "0.60.2 0.00.0."), ('?', "05163645442.2.22 2020."), ('#', "1016 3036 0242 0444"),
    ('&', "40051626350201102042"), ('@', "3.43.11.11.43.4 3.15155461605011040"), ('~', "02133143"),
    ('\u{2013}', "0242"), ('\u{2014}', "0242"), ('\u{b7}', "1.2.2.2."), ('\u{d7}', "1.2.2.2."),
];

/// The strokes of a letter. What has none is a box.
fn glyph(letter: char) -> &'static str {
    GLYPHS.iter().find(|(known, _)| *known == letter).map_or("0006464000", |(_, strokes)| strokes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ascii_sign_has_strokes_within_its_box() {
        for letter in (0x21..0x7fu8).map(char::from) {
            let strokes: Vec<Vec<[f64; 2]>> = glyph(letter).split_whitespace().map(points).collect();
            assert!(!strokes.is_empty(), "{letter}");
            let numbers = |stroke: &str| stroke.chars().filter(|letter| *letter != '.').count();
            assert!(glyph(letter).split_whitespace().all(|stroke| numbers(stroke) % 2 == 0), "{letter}: half a point");
            for [x, y] in strokes.concat() {
                assert!((0.0..=5.5).contains(&x) && (-2.0..=6.5).contains(&y), "{letter}: {x} {y}");
            }
        }
    }

    #[test]
    fn width_grows_with_text_and_size() {
        assert_eq!(width("", 12.0), 0.0);
        assert!(width("loss", 12.0) < width("losses", 12.0) && width("loss", 12.0) < width("loss", 13.0));
        assert_eq!(points("0.42.a"), [[0.5, 4.0], [2.5, -1.0]]);
    }
}
