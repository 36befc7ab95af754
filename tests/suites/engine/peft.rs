//! PEFT's files and transformers' models against what they were written with: tests/fixtures/{models,peft}.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::float_cmp)]

use candle_core::{DType, Device, Tensor};
use lopper::lora::{Adapter, MergedSet, export};
use lopper::model::config::Config;
use lopper::model::inventory::{Inventory, expected, weight_name};
use lopper::model::weights::Weights;
use lopper::module::{Factor, ModuleId, Projection};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const FAMILIES: [&str; 5] = ["llama", "mistral", "qwen2", "qwen3", "smollm"];

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn llama() -> Config {
    Config::read(&fixture("models/llama")).unwrap()
}

fn read(name: &str) -> lopper::Result<Adapter> {
    Adapter::read(&fixture(name), &llama(), &Device::Cpu)
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// A copy of a fixture folder that a test may damage.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixture(name)).unwrap() {
        let file = file.unwrap();
        if file.path().is_file() {
            fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
    }
    folder
}

fn refused<T>(result: lopper::Result<T>) -> String {
    let error = result.err().expect("this must be refused");
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

#[test]
fn every_familys_config_weights_and_adapter_are_read() {
    for family in FAMILIES {
        let folder = fixture(&format!("models/{family}"));
        let config = Config::read(&folder).unwrap();
        let inventory = Inventory::read(&folder).unwrap();
        inventory.check(&config).unwrap();
        let weights = Weights::load(&folder, &config).unwrap();
        for (name, shape) in expected(&config) {
            let tensor = weights.tensor(&name, &shape, DType::F32, &Device::Cpu).unwrap();
            assert_eq!(tensor.dims(), shape, "{family} {name}");
        }
        let adapter = Adapter::read(&folder.join("adapter"), &config, &Device::Cpu).unwrap();
        assert_eq!(adapter.modules.len(), 14);
        assert!(adapter.modules.values().all(|p| p.rank() == 4 && p.scaling == 2.0));
    }
}

#[test]
fn rotary_frequencies_are_transformers() {
    for family in FAMILIES {
        let folder = fixture(&format!("models/{family}"));
        let theirs = json_of(&folder.join("expected.json"));
        let ours = Config::read(&folder).unwrap().inv_freq();
        let theirs: Vec<f64> = theirs["inv_freq"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert_eq!(ours.len(), theirs.len());
        for (our, their) in ours.iter().zip(&theirs) {
            assert!((f64::from(*our) - their).abs() <= 3e-7 * their, "{family}: {our} {their}");
        }
    }
}

#[test]
fn stored_types_convert_to_the_same_numbers_as_the_safetensors_crate() {
    for (family, stored) in [("llama", DType::BF16), ("mistral", DType::F16), ("smollm", DType::F32)] {
        let folder = fixture(&format!("models/{family}"));
        let config = Config::read(&folder).unwrap();
        let weights = Weights::load(&folder, &config).unwrap();
        let reference = candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
        for (name, theirs) in reference {
            assert_eq!(theirs.dtype(), stored);
            for dtype in [DType::F32, DType::BF16, DType::F16] {
                let ours = weights.tensor(&name, theirs.dims(), dtype, &Device::Cpu).unwrap();
                assert_eq!(ours.dtype(), dtype);
                assert_eq!(numbers(&ours), numbers(&theirs.to_dtype(dtype).unwrap()), "{family} {name} {dtype:?}");
            }
        }
    }
}

#[test]
fn pefts_ranks_scalings_and_numbers_are_ours() {
    let all = json_of(&fixture("peft/expected.json"));
    for (name, modules) in all.as_object().unwrap() {
        let adapter = read(&format!("peft/{name}")).unwrap();
        let modules = modules.as_object().unwrap();
        assert_eq!(adapter.modules.len(), modules.len(), "{name}");
        assert_eq!(adapter.base.as_deref(), Some("tiny/llama"));
        for (module, pair) in &adapter.modules {
            let theirs = &modules[&format!("model.{module}")];
            assert_eq!(pair.rank() as u64, theirs["r"].as_u64().unwrap(), "{name} {module}");
            let scaling = theirs["scaling"].as_f64().unwrap();
            assert!((pair.scaling - scaling).abs() < 1e-12, "{name} {module}: {} {scaling}", pair.scaling);
            assert_eq!(numbers(&pair.a)[0], theirs["a"].as_f64().unwrap() as f32);
            assert_eq!(numbers(&pair.b)[0], theirs["b"].as_f64().unwrap() as f32);
        }
    }
    assert_eq!(read("peft/all_linear").unwrap().dropout, 0.1);
}

#[test]
fn gguf_weights_are_hugging_faces_with_rows_in_order() {
    let config = llama();
    let folder = fixture("models/llama-q8_0");
    assert_eq!(Config::read(&folder).unwrap(), config);
    let gguf = Weights::load(&folder, &config).unwrap();
    let base = Weights::load(&fixture("models/llama"), &config).unwrap();
    for (name, shape) in expected(&config) {
        let ours = gguf.tensor(&name, &shape, DType::F32, &Device::Cpu).unwrap();
        let theirs = base.tensor(&name, &shape, DType::F32, &Device::Cpu).unwrap();
        // Q8_0 rounds to half of 1/127 of a block's largest number, and that scale to f16: 1/254 + 1/2048.
        let largest: f32 = theirs.abs().unwrap().max_all().unwrap().to_scalar().unwrap();
        assert!(
            distance(&ours, &theirs) <= largest * (1.0 / 254.0 + 1.0 / 2048.0),
            "{name}: {}",
            distance(&ours, &theirs)
        );
    }

    let damaged = tempfile::tempdir().unwrap();
    let whole = fs::read(folder.join("model.gguf")).unwrap();
    let load = |bytes: &[u8]| {
        fs::write(damaged.path().join("model.gguf"), bytes).unwrap();
        refused(Weights::load(damaged.path(), &config))
    };
    assert!(load(&whole[..whole.len() / 2]).contains("cut short"));
    assert!(load(&whole[..40]).contains("not a readable GGUF"));
    assert!(load(&[b"GGUF\x03\0\0\0".as_slice(), &[0xff; 64]].concat()).contains("not a readable GGUF"));
    assert!(load(b"no gguf at all").contains("not a readable GGUF"));
}

fn three() -> Vec<(Adapter, f64)> {
    vec![
        (read("models/llama/adapter").unwrap(), 1.0),
        (read("peft/patterns").unwrap(), -0.5),
        (read("peft/rslora").unwrap(), 0.25),
    ]
}

/// Σ scale·B·A of a module by plain loops over the adapters' own files.
fn delta(adapters: &[(Adapter, f64)], module: ModuleId, shape: (usize, usize)) -> Tensor {
    let mut sum = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    for (adapter, weight) in adapters {
        if let Some(pair) = adapter.modules.get(&module) {
            sum = (sum + (pair.b.matmul(&pair.a).unwrap() * (pair.scaling * weight)).unwrap()).unwrap();
        }
    }
    sum
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn the_merged_set_splits_back_into_its_adapters() {
    let adapters = three();
    let set = MergedSet::merged(&adapters).unwrap();
    let q = &set.modules[&ModuleId::new(0, Projection::QProj)];
    assert_eq!(
        q.segments.iter().map(|s| (s.adapter, s.start, s.rank)).collect::<Vec<_>>(),
        [(0, 0, 4), (1, 4, 2), (2, 6, 4)]
    );
    assert_eq!(q.segments[2].scale, 0.25 * 3.0);
    assert_eq!((q.a.dims(), q.b.dims()), (&[10, 64][..], &[10, 64][..]));
    for (index, (adapter, _)) in adapters.iter().enumerate() {
        let back = set.adapter(index).unwrap();
        assert_eq!(back.len(), adapter.modules.len());
        for (module, (a, b)) in back {
            assert_eq!(numbers(&a), numbers(&adapter.modules[&module].a));
            assert_eq!(numbers(&b), numbers(&adapter.modules[&module].b));
        }
    }
}

#[test]
fn a_snapshot_and_its_source_share_nothing() {
    let adapters = vec![(read("models/llama/adapter").unwrap(), 1.0)];
    let set = MergedSet::merged(&adapters).unwrap();
    let snapshot = set.snapshot().unwrap();
    let id = ModuleId::new(1, Projection::UpProj);
    let before = numbers(&set.modules[&id].a);
    let zeros = set.modules[&id].a.zeros_like().unwrap();
    set.modules[&id].a.slice_set(&zeros, 0, 0).unwrap();
    assert!(numbers(&set.modules[&id].a).iter().all(|v| *v == 0.0));
    assert_eq!(numbers(&snapshot.modules[&id].a), before);
    assert_eq!(numbers(&adapters[0].0.modules[&id].a), before);
}

#[test]
fn exports_hold_the_same_sum() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("export");
    let _ = fs::remove_dir_all(&out);
    let (config, adapters) = (llama(), three());
    let set = MergedSet::merged(&adapters).unwrap();

    export::merged_adapter(&out.join("adapter"), &set, None, Some("tiny/llama")).unwrap();
    export::adapter(&out.join("single"), &adapters[2].0).unwrap();
    let mut told = Vec::new();
    export::merged_model(&out.join("model"), &fixture("models/llama"), &config, &set, |done, total| {
        told.push((done, total));
    })
    .unwrap();
    assert_eq!(told.last().unwrap().0, expected(&config).len());
    let smollm = fixture("models/smollm");
    let tied = Config::read(&smollm).unwrap();
    let one = Adapter::read(&smollm.join("adapter"), &tied, &Device::Cpu).unwrap();
    let one = MergedSet::merged(&[(one, 1.0)]).unwrap();
    export::merged_model(&out.join("model-f32"), &smollm, &tied, &one, |_, _| {}).unwrap();
    assert_eq!(Inventory::read(&out.join("model-f32")).unwrap().tensors.len(), expected(&tied).len());

    let one = Adapter::read(&out.join("adapter"), &config, &Device::Cpu).unwrap();
    let model = Weights::load(&out.join("model"), &config).unwrap();
    let base = Weights::load(&fixture("models/llama"), &config).unwrap();
    assert!(one.modules.values().all(|p| p.scaling == 1.0));
    for module in config.modules() {
        let shape = config.linear_shape(module.projection);
        let sum = delta(&adapters, module, shape);
        let ours = &one.modules[&module];
        assert!(distance(&ours.b.matmul(&ours.a).unwrap(), &sum) < 1e-5, "{module}");
        let get = |w: &Weights| w.tensor(&weight_name(module), &[shape.0, shape.1], DType::F32, &Device::Cpu).unwrap();
        let rounded = (get(&base) + &sum).unwrap().to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap();
        assert!(distance(&get(&model), &rounded) < 0.02, "{module}");
    }
    let single = Adapter::read(&out.join("single"), &config, &Device::Cpu).unwrap();
    for (module, pair) in &adapters[2].0.modules {
        assert_eq!(numbers(&single.modules[module].a), numbers(&pair.a));
        assert_eq!(single.modules[module].scaling, pair.scaling);
    }
    // Nothing is overwritten, and no temporary folder stays.
    assert!(refused(export::adapter(&out.join("single"), &single)).contains("exists already"));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 4);
}

#[test]
fn zeros_stay_zeros_and_subsets_leave_the_others_out() {
    let out = tempfile::tempdir().unwrap();
    let set = MergedSet::merged(&three()).unwrap();
    let id = ModuleId::new(0, Projection::QProj);
    let module = &set.modules[&id];
    for factor in [Factor::A, Factor::B] {
        let tensor = module.tensor(factor);
        let keep = Tensor::arange(0u32, tensor.elem_count() as u32, &Device::Cpu).unwrap();
        let keep: Vec<f32> = keep.to_vec1::<u32>().unwrap().iter().map(|i| (i % 3 == 0) as u8 as f32).collect();
        let masked = (tensor * Tensor::from_vec(keep, tensor.dims(), &Device::Cpu).unwrap()).unwrap();
        tensor.slice_set(&masked.contiguous().unwrap(), 0, 0).unwrap();
    }
    export::merged_adapter(&out.path().join("all"), &set, None, None).unwrap();
    let all = Adapter::read(&out.path().join("all"), &llama(), &Device::Cpu).unwrap();
    let zeros = |t: &Tensor| numbers(t).iter().filter(|v| **v == 0.0).count();
    assert_eq!(zeros(&all.modules[&id].a), zeros(&module.a));
    assert_eq!(zeros(&all.modules[&id].b), zeros(&module.b));
    assert!(zeros(&module.b) > 0);
    export::merged_adapter(&out.path().join("two"), &set, Some(&[2]), None).unwrap();
    let two = Adapter::read(&out.path().join("two"), &llama(), &Device::Cpu).unwrap();
    assert_eq!(two.modules.len(), 6);
    assert_eq!(two.modules[&id].rank(), 4);
    assert!(refused(export::merged_adapter(&out.path().join("none"), &set, Some(&[9]), None)).contains("no adapted"));
    assert!(!out.path().join("none").exists());
}

#[test]
fn a_new_adapter_starts_as_pefts() {
    let entry: lopper::recipe::AdapterEntry = serde_json::from_value(
        json!({"name": "t", "role": "target", "rank": 16, "alpha": 32.0, "targets": ["q_proj", "down_proj"]}),
    )
    .unwrap();
    let config = llama();
    let fresh = Adapter::fresh(&entry, &config, 7, &Device::Cpu).unwrap();
    assert_eq!(fresh.modules.len(), 4);
    for (module, pair) in &fresh.modules {
        let bound = 1.0 / (config.linear_shape(module.projection).1 as f32).sqrt();
        let a = numbers(&pair.a);
        assert!(a.iter().all(|v| v.abs() <= bound));
        // Uniform: a third of the numbers in each third of the range.
        let low = a.iter().filter(|v| **v < -bound / 3.0).count() as f64 / a.len() as f64;
        assert!((0.28..0.39).contains(&low), "{low}");
        assert!(numbers(&pair.b).iter().all(|v| *v == 0.0));
        assert_eq!(pair.scaling, 2.0);
    }
    let again = Adapter::fresh(&entry, &config, 7, &Device::Cpu).unwrap();
    let other = Adapter::fresh(&entry, &config, 8, &Device::Cpu).unwrap();
    let id = ModuleId::new(1, Projection::DownProj);
    assert_eq!(numbers(&fresh.modules[&id].a), numbers(&again.modules[&id].a));
    assert_ne!(numbers(&fresh.modules[&id].a), numbers(&other.modules[&id].a));
}

#[test]
fn adapters_that_do_not_fit_are_refused_with_the_first_mismatch() {
    let with = |key: &str, value: Value| {
        let folder = copy("models/llama/adapter");
        let path = folder.path().join("adapter_config.json");
        let mut config = json_of(&path);
        config[key] = value;
        fs::write(&path, config.to_string()).unwrap();
        refused(Adapter::read(folder.path(), &llama(), &Device::Cpu))
    };
    let rank = with("r", json!(8));
    assert!(rank.contains("q_proj.lora_A.weight") && rank.contains("[4, 64]"), "{rank}");
    assert!(with("use_dora", json!(true)).contains("use_dora"));
    assert!(with("modules_to_save", json!(["lm_head"])).contains("modules_to_save"));
    let extra = with("target_modules", json!(["q_proj"]));
    assert!(extra.contains("does not name as a target"), "{extra}");
    assert!(with("target_modules", json!(["q_proj", "lm_head"])).contains("lm_head"));

    let read_as = |change: fn(&mut Config)| {
        let mut config = llama();
        change(&mut config);
        refused(Adapter::read(&fixture("models/llama/adapter"), &config, &Device::Cpu))
    };
    assert!(read_as(|c| c.layers = 1).contains("the base has 1 layers"));
    assert!(read_as(|c| c.layers = 3).contains("A of layers.2.self_attn.q_proj is missing"));
    assert!(read_as(|c| c.intermediate = 128).contains("gate_proj.lora_B"));

    let folder = copy("models/llama/adapter");
    fs::remove_file(folder.path().join("adapter_model.safetensors")).unwrap();
    fs::write(folder.path().join("adapter_model.bin"), b"x").unwrap();
    let pickle = refused(Adapter::read(folder.path(), &llama(), &Device::Cpu));
    assert!(pickle.contains("pickle") && pickle.contains("adapter_model.bin"), "{pickle}");
    assert!(refused(Adapter::read(Path::new("/no/such"), &llama(), &Device::Cpu)).contains("/no/such"));
}

#[test]
fn damaged_models_are_refused_with_file_and_tensor() {
    let config = llama();
    let load = |folder: &Path| refused(Weights::load(folder, &config));
    let weights = |folder: &tempfile::TempDir| folder.path().join("model.safetensors");

    let folder = copy("models/llama");
    let whole = fs::read(weights(&folder)).unwrap();
    fs::write(weights(&folder), &whole[..whole.len() - 100]).unwrap();
    let cut = load(folder.path());
    assert!(cut.contains("model.safetensors: tensor model.") && cut.contains("cut short"), "{cut}");

    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&(3u64 << 40).to_le_bytes());
    fs::write(weights(&folder), &huge).unwrap();
    assert!(load(folder.path()).contains("the header claims 3298534883328 bytes"));
    fs::write(weights(&folder), b"").unwrap();
    assert!(load(folder.path()).contains("is empty"));
    fs::remove_file(weights(&folder)).unwrap();
    assert!(load(folder.path()).contains("expected.safetensors but neither"));
    fs::remove_file(folder.path().join("expected.safetensors")).unwrap();
    assert!(load(folder.path()).contains("holds no weights"));
    fs::write(folder.path().join("pytorch_model.bin"), b"x").unwrap();
    assert!(load(folder.path()).contains("pickle"));

    let index = folder.path().join("model.safetensors.index.json");
    for (file, why) in
        [("../../etc/passwd", "leads out"), ("/etc/passwd", "leads out"), ("gone.safetensors", "missing")]
    {
        fs::write(&index, json!({"weight_map": {"w": file}}).to_string()).unwrap();
        let text = load(folder.path());
        assert!(text.contains(why) && text.contains(file.rsplit('/').next().unwrap()), "{text}");
    }

    let tensors = candle_core::safetensors::load(fixture("models/llama/model.safetensors"), &Device::Cpu).unwrap();
    let save = |change: &dyn Fn(&mut std::collections::HashMap<String, Tensor>)| {
        let folder = tempfile::tempdir().unwrap();
        let mut tensors = tensors.clone();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, weights(&folder)).unwrap();
        folder
    };
    let norm = "model.layers.1.input_layernorm.weight";
    let missing = load(save(&|t| drop(t.remove(norm))).path());
    assert!(missing.contains(norm) && missing.contains("is missing"), "{missing}");
    let shape = load(save(&|t| drop(t.insert(norm.into(), t[norm].narrow(0, 0, 63).unwrap()))).path());
    assert!(shape.contains(norm) && shape.contains("[63]"), "{shape}");
    let kind = load(save(&|t| drop(t.insert(norm.into(), t[norm].to_dtype(DType::U8).unwrap()))).path());
    assert!(kind.contains(norm) && kind.contains("U8"), "{kind}");
    let bias = "model.layers.0.self_attn.q_proj.bias";
    let unknown = load(save(&|t| drop(t.insert(bias.into(), t[norm].clone()))).path());
    assert!(unknown.contains(bias), "{unknown}");

    let folder = save(&|t| drop(t.insert(norm.into(), (t[norm].clone() / 0.0).unwrap())));
    let loaded = Weights::load(folder.path(), &config).unwrap();
    let infinite = refused(loaded.tensor(norm, &[64], DType::F32, &Device::Cpu));
    assert!(infinite.contains(norm) && infinite.contains("NaN"), "{infinite}");
    assert!(loaded.tensor("model.norm.weight", &[64], DType::F32, &Device::Cpu).is_ok());
}
