#![allow(clippy::unwrap_used)]
use super::*;

fn config(text: &str) -> Config {
    Config::parse(text).unwrap()
}

fn smollm2() -> Config {
    config(
        r#"{"model_type":"llama","hidden_size":576,"intermediate_size":1536,"num_hidden_layers":30,
        "num_attention_heads":9,"num_key_value_heads":3,"vocab_size":49152,"tie_word_embeddings":true,
        "max_position_embeddings":8192}"#,
    )
}

fn llama8b() -> Config {
    config(
        r#"{"model_type":"llama","hidden_size":4096,"intermediate_size":14336,"num_hidden_layers":32,
        "num_attention_heads":32,"num_key_value_heads":8,"vocab_size":128256,"max_position_embeddings":8192}"#,
    )
}

/// Adapters of a joint rank on all seven projections; four sequences of `length` tokens, 16 of them with a loss.
fn need(config: Config, rank: usize, length: usize) -> Need {
    let numbers: usize = Projection::ALL.iter().map(|p| config.linear_shape(*p)).map(|(o, i)| rank * (o + i)).sum();
    Need {
        ranks: vec![7 * rank; config.layers],
        whole: config.layers,
        numbers: (numbers * config.layers) as u64,
        config,
        half: false,
        packed: None,
        halves: false,
        rounds: false,
        card: false,
        dropout: false,
        moments: 2,
        sensitivity: false,
        prunes: false,
        passes: 1,
        largest: vec![(length, 16); 4],
        evaluation: vec![(length, 16); 2],
        samples: Prompts { lengths: vec![length], room: 8 },
        summaries: Prompts { lengths: vec![length; 2], room: 8 },
        threads: 2,
        encoder: 0,
        tokenizer: 0,
    }
}

fn part(parts: &[(&'static str, u64)], name: &str) -> u64 {
    parts.iter().find(|p| p.0 == name).unwrap().1
}

#[test]
fn smollm2_by_hand() {
    let need = need(smollm2(), 64, 256);
    // The published 134,515,008 parameters, four bytes each.
    assert_eq!(need.base(), 134_515_008 * 4);
    // d_in + d_out: q 1152, k and v 768, o 1152, gate, up and down 2112: 10,176 · 64 · 30.
    assert_eq!(need.numbers, 19_537_920);
    // A row: 4·576 + 2·576 + 2·192 + 3·1536 + 7·64 = 8,896.
    assert_eq!(need.trace(&need.largest, 448), 1024 * 8896 * 4);
    // By two threads 64 queries of 3 heads over 256 keys each, with their gradients, and three rows of a head for each; 2 · 192
    // gradients of a key and value.
    assert_eq!(need.attention_in_memory(&need.largest), Some([2 * 192 * (2 * 256 + 3 * 64), 4 * 256 * 384]));
    // 64 rows of 49,152 logits.
    assert_eq!(need.logits(&need.largest), 64 * 49_152 * 4);
    let moments = need.moments();
    let training = &moments[0].1;
    assert_eq!(part(training, "activations"), 30 * 36_438_016 + 1024 * 576 * 4);
    assert_eq!(part(training, "optimiser moments"), 8 * 19_537_920);
    assert_eq!(part(training, "adapters"), 12 * 19_537_920);
    // Masks, and those of the best set.
    assert_eq!(part(training, "prune masks"), 2 * 19_537_920);
    // With them what was pruned, and the sensitivities: nine bytes an entry.
    let prunes = Need { prunes: true, sensitivity: true, ..need.clone() };
    assert_eq!(part(&prunes.moments()[0].1, "prune masks"), 2 * 9 * 19_537_920);
    // Two moments in f32, and the masks.
    let (moment, parts) = moments.last().unwrap();
    assert_eq!((*moment, part(parts, "copies")), ("writing a checkpoint", 10 * 19_537_920));
    assert_eq!(part(training, "gradients"), 0);
    assert_eq!(part(&moments[1].1, "gradients"), 4 * 19_537_920);
    // 264 tokens of 2 · 192 numbers in 30 layers.
    assert_eq!(part(&moments[3].1, "keys and values"), 264 * 2 * 192 * 30 * 4);
    // Inputs alone but of the topmost layers, and the gradient of the rows.
    for (whole, traces) in [(1, 1), (12, 12), (29, 29)] {
        let again = Need { whole, ..need.clone() };
        let activations = (30 - traces + 1) * 1024 * 576 * 4 + traces * 36_438_016;
        assert_eq!(part(&again.moments()[0].1, "activations"), activations);
        assert_eq!(part(&again.moments()[0].1, "gradients"), 4 * 19_537_920);
    }
}

#[test]
fn eight_billion_by_hand() {
    let mut need = need(llama8b(), 16, 1024);
    assert_eq!(need.base(), 8_030_261_248 * 4);
    // q 8192, k and v 5120, o 8192, gate, up and down 18,432: 81,920 · 16 · 32.
    assert_eq!(need.numbers, 41_943_040);
    need.half = true;
    need.card = true;
    assert_eq!(need.base(), 8_030_261_248 * 2);
    // 4·4096 + 2·4096 + 2·1024 + 3·14,336 + 7·16 = 69,744.
    assert_eq!(need.trace(&need.largest, 112), 4096 * 69_744 * 2);
    // One sequence after another; of 8,192 tokens 256 queries at once.
    assert_eq!(need.scores(&need.largest), 32 * 1_048_576);
    assert_eq!(need.scores(&[(8192, 1)]), 32 * 256 * 8192);
    // As Q4_K has it, 4.5 bits a number: less than a third of bf16.
    let packed = Need { packed: Some(8_030_261_248 * 9 / 16), ..need.clone() };
    assert!(3 * packed.base() < need.base() && packed.most().1.iter().any(|p| p.name == "unpacked rows"));
    // Three times 4,096 numbers of bf16 in A's and B's copies come to what the card holds of the adapters.
    let moments = need.moments();
    assert_eq!(part(&moments[0].1, "adapters"), 14 * 41_943_040);
    // The masks, and what was pruned.
    assert_eq!(part(&moments[0].1, "prune masks"), 5 * 41_943_040);
    assert_eq!(part(&moments[3].1, "keys and values"), 1032 * 2 * 1024 * 32 * 2);
    // Rows of logits: the 64 MB that the loss takes at once are 130 rows of 128,256; here are 64 with a loss.
    assert_eq!(need.logits(&need.largest), 64 * 128_256 * 2);
    assert_eq!(need.logits(&[(1024, 1000)]), 130 * 128_256 * 2);
}

#[test]
fn passes_are_cut_as_training_cuts_them() {
    use crate::data::batch::micro_batches;
    use crate::data::template::Sequence;
    let lengths = [40, 33, 33, 20, 9, 8, 2];
    let sequences: Vec<Sequence> = lengths.iter().map(|&n| Sequence { tokens: vec![0; n], prompt: n / 2 }).collect();
    let sorted: Vec<(usize, usize)> = lengths.iter().map(|&n| (n / 2, n)).collect();
    for micro in [1, 10, 41, 60, 1000] {
        let want: Vec<Vec<usize>> =
            micro_batches(&sequences, &[0, 1, 2, 3, 4, 5, 6], micro).into_iter().map(|b| b.lengths).collect();
        let got: Vec<Vec<usize>> = passes(&sorted, micro).iter().map(|p| p.iter().map(|s| s.0).collect()).collect();
        assert_eq!(got, want, "{micro}");
    }
}

#[test]
fn the_pass_with_the_most_tokens_counts_and_not_that_of_the_longest_sequence() {
    let sequences = [(6, 12), (3, 9), (3, 9), (3, 9)];
    let all = passes(&sequences, 20);
    assert_eq!(all, [vec![(12, 6)], vec![(9, 6); 2], vec![(9, 6)]]);
    assert_eq!(fullest(all), [(9, 6); 2]);
    assert!(fullest(Vec::new()).is_empty());
}

#[test]
fn the_topmost_layer_is_forwarded_again_only_where_it_would_lie_beside_many_logits() {
    use crate::recipe::Recompute::{Always, Auto, Never};
    let mut need = need(smollm2(), 64, 256);
    let chosen = |need: &Need| [Always, Auto, Never].map(|wanted| need.chosen(wanted, Some(0), true));
    assert_eq!(chosen(&need), [1, 1, 30]);
    // The same pass, but with a loss at every token: 341 rows of 49,152 logits are more than the way back of a layer.
    need.largest = vec![(256, 255); 4];
    let activations = |whole| {
        let (kept, working, _) = Need { whole, ..need.clone() }.training();
        kept + working
    };
    assert_eq!(chosen(&need), [0, 0, 30]);
    assert!(activations(0) < activations(1) && activations(1) < activations(2));
}

#[test]
fn what_is_chosen_fits_into_what_is_free() {
    use crate::recipe::Recompute::Auto;
    for need in [need(smollm2(), 64, 256), Need { passes: 3, dropout: true, ..need(llama8b(), 16, 1024) }] {
        let layers = need.config.layers;
        let total = |whole: usize| {
            let (_, parts) = Need { whole, ..need.clone() }.moments().swap_remove(0);
            parts.iter().map(|p| p.1).sum::<u64>()
        };
        assert_eq!(need.chosen(Auto, None, false), layers);
        // Nine tenths of what is free hold all with what the allocator keeps; a third less holds some layers fewer.
        assert_eq!(need.chosen(Auto, Some(total(layers) * 13 / 10), false), layers);
        let mut some = 0;
        for tenths in 1..20 {
            let free = total(layers) / 10 * tenths;
            let whole = need.chosen(Auto, Some(free), false);
            some += usize::from((2..layers).contains(&whole));
            assert!(whole < 2 || total(whole) as f64 <= 0.9 * free as f64, "{whole} of {layers} in {free}");
            // What is loaded takes no more room.
            assert!(need.chosen(Auto, Some(free), true) >= whole);
        }
        assert!(some > 0);
    }
}

#[test]
fn less_is_never_more() {
    let whole = need(smollm2(), 64, 256);
    let total = |need: &Need| need.most().1.iter().map(|p| p.bytes).sum::<u64>();
    for less in [
        Need { whole: 1, ..whole.clone() },
        Need { whole: 0, ..whole.clone() },
        Need { half: true, ..whole.clone() },
        Need { moments: 0, ..whole.clone() },
        Need { largest: whole.largest[..1].to_vec(), ..whole.clone() },
    ] {
        assert!(total(&less) < total(&whole));
    }
    assert!(total(&Need { dropout: true, ..whole.clone() }) > total(&whole));
    assert!(total(&Need { rounds: true, ..whole.clone() }) > total(&whole));
    assert_eq!(Need { encoder: 1 << 40, ..whole.clone() }.most().0, "scoring by the encoder");
    let parts = whole.most().1;
    assert!(parts.windows(2).all(|p| p[0].bytes >= p[1].bytes) && parts.iter().all(|p| p.bytes > 0));
}
