#![allow(clippy::unwrap_used)]
use super::*;

const LLAMA: &str = r#"{"model_type":"llama","hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,
    "num_attention_heads":4,"num_key_value_heads":2,"vocab_size":256,"rms_norm_eps":1e-5}"#;

/// LLAMA with `extra` keys in front (a JSON object's last value of a key counts).
fn with(extra: &str) -> String {
    LLAMA.replacen('}', &format!(",{extra}}}"), 1)
}

fn refused(extra: &str) -> String {
    Config::parse(&with(extra)).unwrap_err().to_string()
}

#[test]
fn a_plain_llama_gets_transformers_defaults() {
    let config = Config::parse(LLAMA).unwrap();
    assert_eq!((config.head_dim, config.kv_heads, config.max_position), (16, 2, 2048));
    assert!(!config.tie && !config.mlp_bias && !config.qk_norm);
    assert_eq!(config.attention_bias, AttentionBias::None);
    assert_eq!(config.window(0), None);
    assert_eq!(config.rope_scaling, Scaling::None);
    assert_eq!(config.linear_shape(Projection::KProj), (32, 64));
    assert_eq!(config.linear_shape(Projection::DownProj), (64, 96));
    assert_eq!(config.modules().count(), 14);
}

#[test]
fn old_and_new_rope_forms_are_the_same() {
    let old = Config::parse(&with(
        r#""rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
           "high_freq_factor":4.0,"original_max_position_embeddings":8192}"#,
    ))
    .unwrap();
    let new = Config::parse(&with(
        r#""rope_parameters":{"rope_theta":500000.0,"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
           "high_freq_factor":4.0,"original_max_position_embeddings":8192}"#,
    ))
    .unwrap();
    assert_eq!(old, new);
    assert_eq!(old.rope_theta, 500_000.0);
    let linear = Config::parse(&with(r#""rope_scaling":{"type":"linear","factor":2}"#)).unwrap();
    assert_eq!(linear.inv_freq()[0], 0.5);
}

#[test]
fn llama3_keeps_high_frequencies_and_divides_low_ones() {
    let config = Config::parse(&with(
        r#""head_dim":64,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
           "high_freq_factor":4.0,"original_max_position_embeddings":64}"#,
    ))
    .unwrap();
    let (scaled, plain) = (config.inv_freq(), rope::plain(10_000.0, 64));
    assert_eq!(scaled[0], plain[0]);
    assert!((scaled[31] - plain[31] / 8.0).abs() < 1e-9);
    assert!(scaled.iter().zip(&plain).all(|(s, p)| s <= p && *s >= p / 8.01));
}

#[test]
fn sliding_windows_follow_each_architectures_rule() {
    let mistral = LLAMA.replace("llama", "mistral");
    let of = |text: &str| Config::parse(text).unwrap();
    assert_eq!(of(&mistral).window(1), Some(4096));
    assert_eq!(of(&mistral.replacen('}', ",\"sliding_window\":null}", 1)).window(1), None);
    assert_eq!(of(&mistral.replacen('}', ",\"sliding_window\":8}", 1)).window(1), Some(8));
    let qwen = LLAMA.replace("llama", "qwen2");
    assert_eq!(of(&qwen.replacen('}', ",\"sliding_window\":8}", 1)).window(1), None);
    let used = of(&qwen.replacen('}', ",\"sliding_window\":8,\"use_sliding_window\":true,\"max_window_layers\":1}", 1));
    assert_eq!((used.window(0), used.window(1)), (None, Some(8)));
    let typed = of(&qwen.replacen(
        '}',
        ",\"sliding_window\":8,\"use_sliding_window\":true,\"layer_types\":[\"sliding_attention\",\"full_attention\"]}",
        1,
    ));
    assert_eq!((typed.window(0), typed.window(1)), (Some(8), None));
    assert_eq!(used.attention_bias, AttentionBias::Qkv);
    assert!(used.has_bias(Projection::VProj) && !used.has_bias(Projection::OProj));
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let unknown = Config::parse(&LLAMA.replace("llama", "gemma2")).unwrap_err().to_string();
    assert!(unknown.contains("gemma2") && unknown.contains("llama, mistral, qwen2, qwen3"), "{unknown}");
    assert!(refused(r#""hidden_act":"gelu""#).contains("gelu"));
    assert!(refused(r#""rope_scaling":{"rope_type":"yarn","factor":4}"#).contains("yarn"));
    assert!(refused(r#""rope_scaling":{"type":"longrope"}"#).contains("longrope"));
    assert!(refused(r#""quantization_config":{"quant_method":"gptq"}"#).contains("gptq"));
    assert!(refused(r#""partial_rotary_factor":0.5"#).contains("partial_rotary_factor"));
    assert!(refused(r#""layer_types":["linear_attention","full_attention"]"#).contains("linear_attention"));
}

#[test]
fn impossible_sizes_are_refused_with_key_and_value() {
    assert!(refused(r#""num_attention_heads":0"#).contains("num_attention_heads = 0"));
    assert!(refused(r#""num_key_value_heads":3"#).contains("num_key_value_heads = 3"));
    assert!(refused(r#""hidden_size":1e30"#).contains("hidden_size"));
    assert!(refused(r#""vocab_size":-5"#).contains("vocab_size = -5"));
    assert!(refused(r#""num_hidden_layers":100000000"#).contains("num_hidden_layers"));
    assert!(refused(r#""rms_norm_eps":"small""#).contains("rms_norm_eps"));
    assert!(refused(r#""head_dim":15"#).contains("head_dim = 15"));
    assert!(refused(r#""tie_word_embeddings":"yes""#).contains("tie_word_embeddings"));
    assert!(Config::parse("[]").is_err() && Config::parse("{").is_err());
    assert!(Config::parse("{}").unwrap_err().to_string().contains("model_type"));
}
