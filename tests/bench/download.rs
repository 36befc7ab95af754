//! How fast the hub's files arrive, against curl and Python's `huggingface_hub`, taking turns on one server on loopback.
//!
//! ```text
//! cargo bench --bench download -- --peer python3     # a Python with huggingface_hub; needs about 7 GB of disk
//! ```
//! One file of 2 GB (lopper against curl, which checks nothing, and against curl with a SHA-256 beside it) and 20 files of 100 MB (lopper against
//! `snapshot_download`), each into an empty cache; memory is the most that the process had in RAM.
//! The bytes come from a thread that leaves the copying to the kernel (`sendfile`): a hub is another machine, and what it
//! computes is not taken from the one that is measured.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../hub/server.rs"]
mod hub;

use clap::Parser;
use hub::{Hub, Repository};
use rand::RngCore;
use rand::SeedableRng;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Settings {
    /// Turns of each
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// A Python with `huggingface_hub`
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Bytes of the one large file
    #[arg(long, default_value_t = 2_000_000_000)]
    large: u64,
    /// Number and bytes of the smaller ones
    #[arg(long, default_value_t = 20)]
    files: usize,
    #[arg(long, default_value_t = 100_000_000)]
    small: u64,
    /// Where everything is written; the system's folder for temporary files if left out
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// The server of the bytes: LFS files by their hash, one thread a connection.
mod blobs {
    use super::hub::Hub;
    use std::collections::HashMap;
    use std::fs::File;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex};

    type Files = Arc<Mutex<HashMap<String, PathBuf>>>;

    pub struct Blobs {
        files: Files,
    }

    impl Blobs {
        /// Serves in the place of the second origin of `hub`.
        pub fn start(hub: &Hub) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            hub.blobs_from(&format!("http://{}", listener.local_addr().unwrap()));
            let files = Files::default();
            let known = Arc::clone(&files);
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let (stream, known) = (stream.unwrap(), Arc::clone(&known));
                    // A client that goes away ends its thread.
                    std::thread::spawn(move || answer(&stream, &known).ok());
                }
            });
            Self { files }
        }

        pub fn add(&self, path: &Path) {
            let hash = super::hub::sha256_of(path);
            self.files.lock().unwrap().insert(hash, path.to_path_buf());
        }
    }

    fn answer(mut stream: &TcpStream, known: &Files) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream);
        loop {
            let (mut first, mut from, mut line) = (String::new(), None, String::new());
            if lines.read_line(&mut first)? == 0 {
                return Ok(());
            }
            while lines.read_line(&mut line)? > 2 {
                let header = line.to_ascii_lowercase();
                let range = header.strip_prefix("range: bytes=").and_then(|r| r.trim().strip_suffix('-'));
                from = from.or(range.and_then(|start| start.parse::<u64>().ok()));
                line.clear();
            }
            let mut words = first.split([' ', '?']);
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let file = known.lock().unwrap().get(path.strip_prefix("/blobs/").unwrap_or_default()).cloned();
            let file = File::open(file.ok_or(std::io::ErrorKind::NotFound)?)?;
            let size = file.metadata()?.len();
            let mut at = from.unwrap_or(0);
            let status = if from.is_some() {
                format!("206 Partial Content\r\nContent-Range: bytes {at}-{}/{size}", size - 1)
            } else {
                "200 OK".into()
            };
            let length = size - at;
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\n\r\n")?;
            while method == "GET" && at < size {
                if rustix::fs::sendfile(stream, &file, Some(&mut at), 1 << 20)? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// A file that no disk and no network can make smaller.
fn noise(path: &Path, bytes: u64, seed: u64) {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut file = std::fs::File::create(path).unwrap();
    let (mut left, mut buffer) = (bytes, vec![0; 8 << 20]);
    while left > 0 {
        random.fill_bytes(&mut buffer);
        let n = left.min(buffer.len() as u64);
        file.write_all(&buffer[..n as usize]).unwrap();
        left -= n;
    }
}

/// What a command took.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    /// The most memory of the process, MB.
    memory: f64,
    /// What all processors did meanwhile, server and kernel included, seconds.
    busy: f64,
}

/// Seconds that the machine's processors have worked so far.
fn busy() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.lines().next().unwrap_or_default().split_whitespace().flat_map(str::parse).collect();
    // user, nice, system, idle, iowait, irq, softirq, in hundredths.
    fields.iter().enumerate().filter(|(i, _)| ![3, 4].contains(i) && *i < 7).map(|(_, t)| t / 100.0).sum()
}

/// What a command takes that has to go well.
fn timed(command: &mut Command) -> Cost {
    let (start, before) = (Instant::now(), busy());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0.0;
    loop {
        if let Some(line) = std::fs::read_to_string(&status)
            .ok()
            .and_then(|text| text.lines().find(|l| l.starts_with("VmHWM")).map(str::to_owned))
        {
            most = line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).map_or(most, |kb| kb / 1e3);
        }
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success(), "{command:?}: {ended}");
            return Cost { seconds: start.elapsed().as_secs_f64(), memory: most, busy: busy() - before };
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An empty home of the hub's cache, gone afterwards.
fn home(folder: &Path) -> tempfile::TempDir {
    tempfile::Builder::new().prefix("home-").tempdir_in(folder).unwrap()
}

fn lopper(hub: &Hub, folder: &Path, id: &str) -> Cost {
    let home = home(folder);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lopper"));
    timed(command.args(["hub", "fetch", id]).env("HF_ENDPOINT", hub.url()).env("HF_HOME", home.path()))
}

fn curl(hub: &Hub, folder: &Path, id: &str) -> Cost {
    let home = home(folder);
    let url = format!("{}/{id}/resolve/main/model.safetensors", hub.url());
    timed(Command::new("curl").args(["-sfL", "-o"]).arg(home.path().join("file")).arg(url))
}

/// The same work as lopper's: what arrives is written and hashed, by a program each.
fn curl_and_hash(hub: &Hub, folder: &Path, id: &str) -> Cost {
    let home = home(folder);
    let url = format!("{}/{id}/resolve/main/model.safetensors", hub.url());
    let work = "set -o pipefail; curl -sfL \"$1\" | tee \"$2\" | openssl dgst -sha256";
    timed(Command::new("bash").args(["-c", work, "bash", &url]).arg(home.path().join("file")))
}

fn python(hub: &Hub, folder: &Path, id: &str, python: &Path) -> Cost {
    let home = home(folder);
    let program = format!("import huggingface_hub as h; h.snapshot_download({id:?})");
    let mut command = Command::new(python);
    command.args(["-c", &program]).env("HF_ENDPOINT", hub.url()).env("HF_HOME", home.path());
    timed(command.env("HF_HUB_DISABLE_XET", "1").env("HF_HUB_DISABLE_PROGRESS_BARS", "1"))
}

/// Of an even number of values the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[half - 1], sorted[half]) } else { sorted[half] }
}

/// Turns of both, the first of each left out.
fn compare(name: &str, bytes: u64, turns: usize, ours: impl Fn() -> Cost, theirs: impl Fn() -> Cost) {
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for turn in 0..=turns {
        let pair = if turn % 2 == 0 {
            (ours(), theirs())
        } else {
            let t = theirs();
            (ours(), t)
        };
        if turn > 0 {
            us.push(pair.0);
            them.push(pair.1);
        }
    }
    let seconds = |of: &[Cost]| median(&of.iter().map(|t| t.seconds).collect::<Vec<_>>());
    let busy = |of: &[Cost]| median(&of.iter().map(|t| t.busy).collect::<Vec<_>>());
    let ratios: Vec<f64> = us.iter().zip(&them).map(|(u, t)| t.seconds / u.seconds).collect();
    let memory = |of: &[Cost]| of.iter().map(|t| t.memory).fold(0.0, f64::max);
    let (low, high) = ratios.iter().fold((f64::MAX, 0.0f64), |(l, h), r| (l.min(*r), h.max(*r)));
    println!(
        "{name}: lopper {:.2} s ({:.0} MB/s, {:.0} MB of memory), peer {:.2} s ({:.0} MB), ratio {:.2} ({low:.2} to \
         {high:.2}); all processors worked {:.2} s and {:.2} s",
        seconds(&us),
        bytes as f64 / 1e6 / seconds(&us),
        memory(&us),
        seconds(&them),
        memory(&them),
        median(&ratios),
        busy(&us),
        busy(&them),
    );
}

fn main() {
    let settings = Settings::parse();
    let folder = settings.folder.clone().unwrap_or_else(std::env::temp_dir);
    let source = tempfile::Builder::new().prefix("source-").tempdir_in(&folder).unwrap();
    let hub = Hub::start();
    let blobs = blobs::Blobs::start(&hub);
    let large = source.path().join("large");
    noise(&large, settings.large, 1);
    blobs.add(&large);
    let config = r#"{"model_type":"llama"}"#;
    hub.add(Repository::model("bench/large").file("config.json", config).lfs_from("model.safetensors", &large));
    let id = "bench/large";
    compare(
        "one large file, peer curl",
        settings.large,
        settings.turns,
        || lopper(&hub, &folder, id),
        || curl(&hub, &folder, id),
    );
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        compare(
            "one large file, peer curl | tee | openssl dgst -sha256",
            settings.large,
            settings.turns,
            || lopper(&hub, &folder, id),
            || curl_and_hash(&hub, &folder, id),
        );
    }
    let Some(peer) = settings.peer else {
        println!("no --peer: huggingface_hub was not measured");
        return;
    };
    std::fs::remove_file(&large).unwrap();
    let id = "bench/shards";
    let mut map = serde_json::Map::new();
    let mut shards = Repository::model(id).file("config.json", config);
    for i in 0..settings.files {
        let path = source.path().join(format!("shard-{i}"));
        noise(&path, settings.small, 2 + i as u64);
        blobs.add(&path);
        let name = format!("model-{i:05}-of-{:05}.safetensors", settings.files);
        map.insert(format!("tensor.{i}"), name.clone().into());
        shards = shards.lfs_from(&name, &path);
    }
    let index = serde_json::json!({ "weight_map": map }).to_string();
    hub.add(shards.file("model.safetensors.index.json", index));
    compare(
        "several files, peer huggingface_hub",
        settings.files as u64 * settings.small,
        settings.turns,
        || lopper(&hub, &folder, id),
        || python(&hub, &folder, id, &peer),
    );
}
