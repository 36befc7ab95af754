use super::*;
use crate::lora::export;
use crate::module::Projection;
use serde_json::Value;
use std::collections::HashMap;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

fn read(folder: &Path) -> Adapter {
    Adapter::read(folder, &Config::read(&fixture("models/llama")).unwrap(), &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The masks that torch drew for a case.
struct Theirs<'a> {
    expected: &'a HashMap<String, Tensor>,
    case: &'a str,
    adapters: &'a [&'a str],
    asked: usize,
}

impl Masks for Theirs<'_> {
    fn keep(&mut self, place: Place, count: usize, _: f64) -> Result<Vec<bool>> {
        self.asked += 1;
        let factor = place.factor.map_or(String::new(), |f| format!("/{f}"));
        let name = format!("{}/{}/mask/{}{factor}", self.case, place.module, self.adapters[place.adapter]);
        let mask: Vec<u8> = self.expected[&name].flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(mask.len(), count);
        Ok(mask.iter().map(|m| *m == 1).collect())
    }
}

fn settings(case: &Value) -> Settings {
    Settings {
        density: case["density"].as_f64(),
        sign: case["sign"].as_str().map(|s| if s == "frequency" { Sign::Frequency } else { Sign::Total }),
        rank: case["rank"].as_u64().map(|r| r as usize),
        clamp: case["clamp"].as_f64(),
    }
}

fn product(pair: &Pair) -> Vec<f32> {
    assert_eq!(pair.scaling, 1.0);
    numbers(&pair.b.matmul(&pair.a).unwrap())
}

#[test]
fn every_merge_is_pefts() {
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(fixture("combine/cases.json")).unwrap()).unwrap();
    let expected = candle_core::safetensors::load(fixture("combine/expected.safetensors"), &Device::Cpu).unwrap();
    let mut methods = BTreeSet::new();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let method = Method::named(case["method"].as_str().unwrap(), &settings(case)).unwrap();
        assert_eq!(method.name(), case["method"].as_str().unwrap());
        methods.insert(method.name());
        let names: Vec<&str> = case["adapters"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        let adapters: Vec<Adapter> = names.iter().map(|a| read(&fixture(&format!("combine/{a}")))).collect();
        let weights = case["weights"].as_array().unwrap().iter().map(|w| w.as_f64().unwrap());
        let weighted: Vec<(&Adapter, f64)> = adapters.iter().zip(weights).collect();
        let mut masks = Theirs { expected: &expected, case: name, adapters: &names, asked: 0 };
        let merged = combine(&weighted, &method, &mut masks);
        if case["refused"].is_string() {
            assert!(merged.unwrap_err().to_string().contains("the same rank"), "{name}");
            continue;
        }
        let merged = merged.unwrap();
        let drawn = expected.keys().filter(|k| k.starts_with(&format!("{name}/")) && k.contains("/mask/")).count();
        assert_eq!(masks.asked, drawn, "{name}");
        let modules = expected.keys().filter(|k| k.starts_with(&format!("{name}/")) && k.ends_with("down_proj/A"));
        assert!(merged.modules.len() > modules.count(), "{name}");
        for (id, pair) in &merged.modules {
            let (a, b) = (&expected[&format!("{name}/{id}/A")], &expected[&format!("{name}/{id}/B")]);
            let far = match method {
                Method::Svd { clamp: Some(_), .. } => continue,
                Method::Svd { .. } => distance(&product(pair), &numbers(&b.matmul(a).unwrap())),
                _ => {
                    // PEFT's cat has rows of zeros for adapters that lack the module.
                    let (rank, all) = (pair.rank(), a.dims()[0]);
                    let rest = numbers(&a.narrow(0, rank, all - rank).unwrap());
                    assert!(rest.iter().all(|x| *x == 0.0) && (rank == all || name == "cat"), "{name} {id}");
                    let (a, b) = (a.narrow(0, 0, rank).unwrap(), b.narrow(1, 0, rank).unwrap());
                    distance(&numbers(&pair.a), &numbers(&a)).max(distance(&numbers(&pair.b), &numbers(&b)))
                }
            };
            assert!(far < 1e-5, "{name} {id}: {far}");
        }
    }
    assert_eq!(methods.len(), Method::NAMES.len());
}

#[test]
fn a_clamped_svd_is_pefts_up_to_the_signs_of_columns() {
    let expected = candle_core::safetensors::load(fixture("combine/expected.safetensors"), &Device::Cpu).unwrap();
    let adapters = [read(&fixture("combine/one")), read(&fixture("combine/two"))];
    let weighted = [(&adapters[0], 1.0), (&adapters[1], 0.5)];
    let svd = |clamp| Method::Svd { rule: Rule::Sum, rank: None, clamp };
    let plain = combine(&weighted, &svd(None), &mut Drawn { seed: 1 }).unwrap();
    for (id, pair) in &plain.modules {
        let (a, b) =
            (numbers(&expected[&format!("svd-clamp/{id}/A")]), numbers(&expected[&format!("svd-clamp/{id}/B")]));
        let mut thin = Thin { a: numbers(&pair.a), b: numbers(&pair.b), rank: pair.rank() };
        let d_in = thin.a.len() / thin.rank;
        for r in 0..thin.rank {
            let row = r * d_in..(r + 1) * d_in;
            let along: f32 = thin.a[row.clone()].iter().zip(&a[row.clone()]).map(|(x, y)| x * y).sum();
            if along < 0.0 {
                thin.a[row].iter_mut().for_each(|x| *x = -*x);
                thin.b.iter_mut().skip(r).step_by(thin.rank).for_each(|x| *x = -*x);
            }
        }
        thin.clamp(0.9);
        assert!(distance(&thin.a, &a) < 1e-5 && distance(&thin.b, &b) < 1e-5, "{id}");
    }
    let clamped = combine(&weighted, &svd(Some(0.9)), &mut Drawn { seed: 1 }).unwrap();
    let largest = |adapter: &Adapter| -> f32 {
        let pairs = adapter.modules.values();
        pairs.flat_map(|p| numbers(&p.b)).map(f32::abs).fold(0.0, f32::max)
    };
    assert!(largest(&clamped) < largest(&plain));
}

#[test]
fn masks_keep_their_share_and_are_drawn_apart() {
    let module = ModuleId::new(3, Projection::KProj);
    let place = |adapter, factor| Place { module, adapter, factor };
    let mut drawn = Drawn { seed: 7 };
    for density in [0.1, 0.5, 0.9] {
        let mask = drawn.keep(place(0, None), 100_000, density).unwrap();
        let kept = mask.iter().filter(|m| **m).count() as f64 / 100_000.0;
        // Five standard errors.
        assert!((kept - density).abs() < 5.0 * (density * (1.0 - density) / 100_000.0).sqrt(), "{kept}");
        // Neighbours know nothing of each other.
        let both = mask.windows(2).filter(|w| w[0] && w[1]).count() as f64 / 99_999.0;
        assert!((both - density * density).abs() < 0.01, "{both}");
    }
    let mut all: Vec<Vec<bool>> = Vec::new();
    for adapter in 0..3 {
        for factor in [None, Some(Factor::A), Some(Factor::B)] {
            all.push(drawn.keep(place(adapter, factor), 256, 0.5).unwrap());
        }
    }
    let other = Place { module: ModuleId::new(3, Projection::VProj), ..place(0, None) };
    all.push(drawn.keep(other, 256, 0.5).unwrap());
    all.push(Drawn { seed: 8 }.keep(place(0, None), 256, 0.5).unwrap());
    let different: BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    assert_eq!(all[0], Drawn { seed: 7 }.keep(place(0, None), 256, 0.5).unwrap());
}

#[test]
fn dare_keeps_the_mean_of_what_it_drops() {
    let (one, two) = (read(&fixture("combine/one")), read(&fixture("combine/two")));
    let weighted = [(&one, 1.0), (&two, 0.5)];
    let id = ModuleId::new(0, Projection::QProj);
    let linear = combine(&weighted, &Method::Factors(Rule::Sum), &mut Drawn { seed: 0 }).unwrap();
    let want = numbers(&linear.modules[&id].a);
    let mut sum = vec![0.0f32; want.len()];
    let method = Method::Factors(Rule::DareLinear { density: 0.5 });
    for seed in 0..2000 {
        let merged = combine(&weighted, &method, &mut Drawn { seed }).unwrap();
        sum.iter_mut().zip(numbers(&merged.modules[&id].a)).for_each(|(s, x)| *s += x / 2000.0);
    }
    // Entries are about 0.2, so is their spread: a mean over 2000 draws is off by 0.2 / √2000 = 0.005.
    let size = want.iter().map(|x| x.abs()).sum::<f32>() / want.len() as f32;
    let off = sum.iter().zip(&want).map(|(s, w)| (s - w).abs()).sum::<f32>() / want.len() as f32;
    assert!(off < 0.05 * size, "{off} of {size}");
}

#[test]
fn the_subspace_is_as_good_as_the_whole_decomposition() {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    let shape = Shape { d_out: 300, d_in: 200 };
    let mut matrix = |rank: usize| -> Vec<f32> {
        let b: Vec<f32> = (0..shape.d_out * rank).map(|_| rng.random_range(-1.0..1.0)).collect();
        let a: Vec<f32> = (0..rank * shape.d_in).map(|_| rng.random_range(-1.0..1.0)).collect();
        factor::product(&b, &a, rank, shape, 1.0)
    };
    let products = vec![matrix(8), matrix(8), matrix(4)];
    let ties = Rule::Ties { density: 0.4, sign: Sign::Total };
    let merged = ties.merge(products, &[1.0, 0.7, 0.5], &mut |_, _, _| unreachable!()).unwrap();
    let off = |thin: &Thin| -> f64 {
        let approximation = factor::product(&thin.b, &thin.a, thin.rank, shape, 1.0);
        merged.iter().zip(&approximation).map(|(m, x)| f64::from(m - x).powi(2)).sum::<f64>().sqrt()
    };
    let (exact, iterated) =
        (factor::of_matrix(&merged, shape, 8).unwrap(), factor::subspace(&merged, shape, 8).unwrap());
    assert_eq!((exact.rank, iterated.rank), (8, 8));
    assert!(off(&iterated) <= off(&exact) * (1.0 + 1e-5), "{} {}", off(&iterated), off(&exact));
    let far = distance(
        &factor::product(&exact.b, &exact.a, 8, shape, 1.0),
        &factor::product(&iterated.b, &iterated.a, 8, shape, 1.0),
    );
    let largest = merged.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    assert!(far < 1e-2 * largest, "{far} of {largest}");
    let zero = factor::subspace(&vec![0.0; 300 * 200], shape, 8).unwrap();
    assert!(zero.b.iter().all(|x| *x == 0.0));
    assert!(factor::subspace(&vec![f32::NAN; 300 * 200], shape, 8).is_err());
}

/// `cargo test --lib large_module -- --ignored --nocapture`
#[test]
#[ignore = "a gigabyte of memory and a minute of time"]
#[allow(clippy::print_stderr)]
fn a_large_module_takes_seconds() {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    let (d_out, d_in, rank) = (14336, 4096, 16);
    let mut random = |rows: usize, columns: usize| {
        let numbers: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-1.0..1.0)).collect();
        Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap()
    };
    let id = ModuleId::new(0, Projection::UpProj);
    let mut adapter = || {
        let pair = Pair { a: random(rank, d_in), b: random(d_out, rank), alpha: 16.0, scaling: 1.0 };
        Adapter { modules: [(id, pair)].into(), dropout: 0.0, rslora: false, base: None }
    };
    let (one, two, three) = (adapter(), adapter(), adapter());
    let ties = Rule::Ties { density: 0.3, sign: Sign::Total };
    for rule in [Rule::Sum, ties] {
        let method = Method::Svd { rule, rank: None, clamp: None };
        let clock = std::time::Instant::now();
        let all = [(&one, 1.0), (&two, 0.5), (&three, 0.5)];
        let merged = combine(&all, &method, &mut Drawn { seed: 1 }).unwrap();
        let seconds = clock.elapsed().as_secs_f64();
        eprintln!("{} of three adapters at {d_out} x {d_in}: {seconds:.1} s", method.name());
        assert_eq!(merged.modules[&id].rank(), rank);
        assert!(seconds < 300.0);
    }
}

#[test]
fn what_cannot_be_merged_is_refused_in_words() {
    let one = read(&fixture("combine/one"));
    let said = |e: crate::Error| {
        assert_eq!(e.exit_code(), 2, "{e}");
        e.to_string()
    };
    let drawn = &mut Drawn { seed: 1 };
    assert!(said(combine(&[], &Method::Cat, drawn).unwrap_err()).contains("no adapter to merge"));
    assert!(said(combine(&[(&one, f64::NAN)], &Method::Cat, drawn).unwrap_err()).contains("weight of adapter 1"));
    let ties = |density| Method::Factors(Rule::Ties { density, sign: Sign::Total });
    for density in [0.0, -0.5, 1.5, f64::NAN] {
        let error = combine(&[(&one, 1.0), (&one, 1.0)], &ties(density), drawn).unwrap_err();
        assert!(said(error).starts_with(&format!("ties: density {density}")));
    }
    let named = |name: &str, settings: Settings| said(Method::named(name, &settings).unwrap_err());
    let none = Settings::default();
    assert!(named("tie\x1bs", none).contains("there is no merge \"tie\\u{1b}s\"; there are linear, cat"));
    assert!(named("ties", none).contains("ties needs a density"));
    assert!(named("linear", Settings { density: Some(0.5), ..none }).contains("linear has no density"));
    assert!(named("cat", Settings { rank: Some(4), ..none }).contains("cat has no rank"));
    assert!(named("svd", Settings { rank: Some(0), ..none }).contains("rank 0"));
    assert!(named("svd", Settings { sign: Some(Sign::Total), ..none }).contains("svd has no majority sign"));
    assert!(named("svd", Settings { clamp: Some(0.2), ..none }).contains("clamp 0.2"));
    assert!(named("dare-ties", Settings { density: Some(0.5), clamp: Some(0.9), ..none }).contains("no clamp"));
    let other =
        Adapter::read(&fixture("models/qwen2/adapter"), &Config::read(&fixture("models/qwen2")).unwrap(), &Device::Cpu)
            .unwrap();
    let mut cut = other.clone();
    for pair in cut.modules.values_mut() {
        pair.a = pair.a.narrow(1, 0, 8).unwrap();
    }
    let error = combine(&[(&other, 1.0), (&cut, 1.0)], &Method::Cat, drawn).unwrap_err();
    assert!(said(error).contains("they belong to different bases"));
}

#[test]
fn what_is_merged_is_written_as_peft_reads_it() {
    let adapters = ["one", "three", "narrow"].map(|name| read(&fixture(&format!("combine/{name}"))));
    let weighted: Vec<(&Adapter, f64)> = adapters.iter().map(|a| (a, 0.5)).collect();
    let merged = combine(&weighted, &Method::Cat, &mut Drawn { seed: 1 }).unwrap();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("merged");
    export::adapter(&folder, &merged).unwrap();
    let again = read(&folder);
    assert_eq!(again.modules.len(), 4);
    for (id, pair) in &merged.modules {
        let other = &again.modules[id];
        assert_eq!((pair.rank(), pair.scaling), (other.rank(), other.scaling));
        assert_eq!((numbers(&pair.a), numbers(&pair.b)), (numbers(&other.a), numbers(&other.b)));
    }
}
