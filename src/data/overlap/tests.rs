use super::*;

fn example(id: usize, document: &str, summary: &str) -> Example {
    Example { id: format!("d{id}"), document: document.into(), summary: summary.into(), line: id }
}

/// A document of `words` words that are nowhere else, after a common beginning.
fn document(seed: usize, words: usize) -> String {
    let own: Vec<String> = (0..words).map(|i| format!("w{seed}x{i}")).collect();
    format!("Copyright by the authors. All rights are reserved by them and nobody else. {}", own.join(" "))
}

#[test]
fn the_same_document_is_found_whatever_its_case_space_and_marks() {
    let train = [example(1, "The cat sat.", "a"), example(2, "b", "x")];
    let dev = [example(1, "the  CAT\nsat", "y"), example(2, "the cat sat down", "z"), example(3, "...", "z")];
    let found = find(&[("train", &train), ("dev", &dev)]);
    assert_eq!(found.shared.len(), 1);
    let shared = &found.shared[0];
    assert_eq!((shared.split.as_str(), shared.with.as_str(), shared.examples), ("dev", "train", 3));
    assert_eq!(shared.same.len(), 1);
    assert_eq!((shared.same[0].here.id.as_str(), shared.same[0].there.line), ("d1", 1));
    assert!(shared.near.is_empty(), "{:?}", shared.near);
    let said =
        "1 document of dev also in train (first: line 1 of dev, line 1 of train): scores on dev will be too good";
    assert_eq!(found.sentences(), [said]);
}

#[test]
fn nearly_the_same_is_told_from_half_the_same() {
    let train = [example(1, &document(1, 100), "x"), example(2, &document(2, 100), "x")];
    let near = document(2, 100).replace("w2x50", "changed");
    let half = format!("{} {}", &document(1, 40), document(9, 60));
    let test = [example(1, &half, "y"), example(2, &near, "y"), example(3, &document(4, 100), "y")];
    let found = find(&[("train", &train), ("test", &test)]);
    let shared = &found.shared[0];
    assert!(shared.same.is_empty());
    assert_eq!(shared.near.len(), 1);
    let twin = &shared.near[0];
    assert_eq!((twin.here.line, twin.there.line), (2, 2));
    // 109 shingles each, five of them hold the word that was changed.
    assert!((twin.similarity - 104.0 / 114.0).abs() < 1e-12, "{}", twin.similarity);
    assert!(found.sentences()[0].starts_with("1 document of test is nearly in train"), "{:?}", found.sentences());
}

#[test]
fn documents_that_are_scored_several_times_are_told() {
    let train = [example(1, &document(7, 60), "x"), example(2, &document(7, 60), "x")];
    let near = document(2, 100).replace("w2x50", "changed");
    let test = [
        example(1, &document(2, 100), "a"),
        example(2, &document(3, 100), "b"),
        example(3, &near, "c"),
        example(4, "Short.", "d"),
        example(5, "short", "e"),
    ];
    let found = find(&[("train", &train), ("test", &test)]);
    // What is trained on twice is told by nobody: it counts twice and misleads in nothing.
    assert_eq!(found.repeats.len(), 1);
    let repeats = &found.repeats[0];
    let lines: Vec<(usize, usize)> = repeats.twins.iter().map(|twin| (twin.here.line, twin.there.line)).collect();
    assert_eq!((repeats.split.as_str(), repeats.examples, lines), ("test", 5, vec![(3, 1), (5, 4)]));
    let said = "2 documents of test repeat another of them, or nearly so (first: line 3 repeats line 1): intervals and p \
                take documents as independent and are too sure";
    assert_eq!(found.sentences(), [said]);
    assert!(find(&[("train", &train), ("test", &test[..2])]).sentences().is_empty());
}

#[test]
fn summaries_that_stand_in_their_document_are_told() {
    let mut examples: Vec<Example> = (1..=39).map(|i| example(i, &document(i, 30), "something else")).collect();
    examples.push(example(40, "It is, in a word, \"very small\".", "In a Word: very small"));
    let found = find(&[("train", &examples)]);
    assert_eq!(found.leaks[0].places, [Place { id: "d40".into(), line: 40 }]);
    assert!(found.sentences().is_empty(), "one in forty is chance");
    examples.push(example(41, "a category", "cat"));
    examples.push(example(42, "日本語の要約です", "要約"));
    examples.push(example(43, "say \x1b[2J", "say"));
    let said = find(&[("train", &examples)]).sentences();
    assert_eq!(
        said,
        [
            "3 of the 43 summaries of train stand word for word in their documents (ids \"d40\", \"d42\", \"d43\"): copying alone scores well there"
        ]
    );
}

#[test]
fn ten_thousand_documents_beside_ten_thousand_take_no_minutes() {
    let train: Vec<Example> = (0..10_000).map(|i| example(i, &document(i, 150), "x")).collect();
    let test: Vec<Example> = (0..10_000)
        .map(|i| match i % 100 {
            0 => example(i, &document(i, 150), "x"),
            1 => example(i, &document(i, 150).replace("x99 ", "y99 "), "x"),
            _ => example(i, &document(i + 10_000, 150), "x"),
        })
        .collect();
    let clock = std::time::Instant::now();
    let found = find(&[("train", &train), ("test", &test)]);
    let seconds = clock.elapsed().as_secs_f64();
    assert_eq!((found.shared[0].same.len(), found.shared[0].near.len()), (100, 100));
    // Far above what it takes on a busy machine, and far below a comparison of all with all.
    assert!(seconds < 200.0, "{seconds:.1} s");
}
