//! Porter's stemmer with NLTK's extensions, the one that Google's `rouge_score` uses.
//!
//! Porter, "An algorithm for suffix stripping", 1980; the deviations are those of NLTK's
//! `PorterStemmer` in its default mode. The published Porter crates follow Snowball's English
//! stemmer, which gives other stems.

/// Words with a stem of their own in NLTK's mode.
const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// The stem of a lower-case ASCII word.
pub fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(w, _)| *w == word) {
        return (*stem).to_owned();
    }
    if word.len() <= 2 {
        return word.to_owned();
    }
    let word = step1a(word);
    let word = step1b(&word);
    let word = step1c(&word);
    let word = step2(&word);
    let word = step3(&word);
    let word = step4(&word);
    step5b(&step5a(&word))
}

fn is_consonant(word: &[u8], i: usize) -> bool {
    match word[i] {
        b'a' | b'e' | b'i' | b'o' | b'u' => false,
        b'y' => i == 0 || !is_consonant(word, i - 1),
        _ => true,
    }
}

/// Porter's m: how often a vowel is followed by a consonant.
fn measure(stem: &str) -> usize {
    let bytes = stem.as_bytes();
    let kinds: Vec<bool> = (0..bytes.len()).map(|i| is_consonant(bytes, i)).collect();
    kinds.windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

fn has_vowel(stem: &str) -> bool {
    (0..stem.len()).any(|i| !is_consonant(stem.as_bytes(), i))
}

fn ends_double_consonant(word: &str) -> bool {
    let b = word.as_bytes();
    b.len() >= 2 && b[b.len() - 1] == b[b.len() - 2] && is_consonant(b, b.len() - 1)
}

fn ends_cvc(word: &str) -> bool {
    let b = word.as_bytes();
    let n = b.len();
    (n >= 3
        && is_consonant(b, n - 3)
        && !is_consonant(b, n - 2)
        && is_consonant(b, n - 1)
        && !matches!(b[n - 1], b'w' | b'x' | b'y'))
        || (n == 2 && !is_consonant(b, 0) && is_consonant(b, 1))
}

/// The first rule whose suffix fits decides, whether its condition holds or not.
fn apply(word: &str, rules: &[(&str, &str)], condition: impl Fn(&str) -> bool) -> String {
    for (suffix, replacement) in rules {
        if let Some(stem) = word.strip_suffix(suffix) {
            return if condition(stem) { format!("{stem}{replacement}") } else { word.to_owned() };
        }
    }
    word.to_owned()
}

fn step1a(word: &str) -> String {
    if word.len() == 4 && word.ends_with("ies") {
        return format!("{}ie", &word[..1]);
    }
    apply(word, &[("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")], |_| true)
}

fn step1b(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return format!("{stem}{}", if word.len() == 4 { "ie" } else { "i" });
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word.to_owned() };
    }
    let Some(stem) = ["ed", "ing"].iter().find_map(|s| word.strip_suffix(s).filter(|stem| has_vowel(stem))) else {
        return word.to_owned();
    };
    for (suffix, replacement) in [("at", "ate"), ("bl", "ble"), ("iz", "ize")] {
        if let Some(rest) = stem.strip_suffix(suffix) {
            return format!("{rest}{replacement}");
        }
    }
    if ends_double_consonant(stem) {
        let last = stem.as_bytes()[stem.len() - 1];
        return if matches!(last, b'l' | b's' | b'z') { stem.to_owned() } else { stem[..stem.len() - 1].to_owned() };
    }
    if measure(stem) == 1 && ends_cvc(stem) { format!("{stem}e") } else { stem.to_owned() }
}

fn step1c(word: &str) -> String {
    apply(word, &[("y", "i")], |stem| stem.len() > 1 && is_consonant(stem.as_bytes(), stem.len() - 1))
}

fn step2(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("alli")
        && measure(stem) > 0
    {
        return step2(&format!("{stem}al"));
    }
    let rules = [
        ("ational", "ate"),
        ("tional", "tion"),
        ("enci", "ence"),
        ("anci", "ance"),
        ("izer", "ize"),
        ("bli", "ble"),
        ("alli", "al"),
        ("entli", "ent"),
        ("eli", "e"),
        ("ousli", "ous"),
        ("ization", "ize"),
        ("ation", "ate"),
        ("ator", "ate"),
        ("alism", "al"),
        ("iveness", "ive"),
        ("fulness", "ful"),
        ("ousness", "ous"),
        ("aliti", "al"),
        ("iviti", "ive"),
        ("biliti", "ble"),
        ("fulli", "ful"),
    ];
    if rules.iter().any(|(suffix, _)| word.ends_with(suffix)) {
        return apply(word, &rules, |stem| measure(stem) > 0);
    }
    // The "l" belongs to the stem whose measure counts.
    match word.strip_suffix("logi") {
        Some(stem) if measure(&word[..word.len() - 3]) > 0 => format!("{stem}log"),
        _ => word.to_owned(),
    }
}

fn step3(word: &str) -> String {
    let rules =
        [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];
    apply(word, &rules, |stem| measure(stem) > 0)
}

fn step4(word: &str) -> String {
    for suffix in [
        "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate",
        "iti", "ous", "ive", "ize",
    ] {
        if let Some(stem) = word.strip_suffix(suffix) {
            let goes = measure(stem) > 1 && (suffix != "ion" || stem.ends_with(['s', 't']));
            return if goes { stem.to_owned() } else { word.to_owned() };
        }
    }
    word.to_owned()
}

fn step5a(word: &str) -> String {
    match word.strip_suffix('e') {
        Some(stem) if measure(stem) > 1 || (measure(stem) == 1 && !ends_cvc(stem)) => stem.to_owned(),
        _ => word.to_owned(),
    }
}

fn step5b(word: &str) -> String {
    match word.strip_suffix('l') {
        Some(stem) if stem.ends_with('l') && measure(stem) > 1 => stem.to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_equal_nltks() {
        let text = include_str!("../../tests/fixtures/rouge/stems.txt");
        let mut words = 0;
        for line in text.lines() {
            let Some((word, want)) = line.split_once(' ') else { continue };
            assert_eq!(stem(word), want, "{word}");
            words += 1;
        }
        assert!(words > 3000, "{words} words");
    }
}
