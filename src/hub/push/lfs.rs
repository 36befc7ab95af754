//! Git LFS as the hub speaks it: a batch request names the place, the file goes there in one piece or in parts. The
//! `hf-hub` crate has only the Xet protocol for this, and sends large files inline where a hub has none.

use super::{Content, Item};
use crate::hub::client::Client;
use crate::hub::failure::Failure;
use crate::{Error, Result};
use bytes::Bytes;
use futures::Stream;
use reqwest::Url;
use reqwest::header::ETAG;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// The media type of the batch request.
const MEDIA: &str = "application/vnd.git-lfs+json";
/// Pieces in which a file is read.
const PIECE: usize = 256 << 10;
/// How often a piece is sent again.
const TRIES: u32 = 4;

/// Uploads a file under its hash unless the hub has it. `told`: bytes that are sent.
pub async fn upload(
    client: &Client,
    id: &str,
    item: &Item,
    oid: &str,
    told: &(dyn Fn(u64) + Sync),
) -> Result<(), Failure> {
    let url = client.url(&format!("/{id}.git/info/lfs/objects/batch"))?;
    let asked = json!({
        "operation": "upload", "transfers": ["basic", "multipart"], "hash_algo": "sha256",
        "objects": [{"oid": oid, "size": item.size}],
    });
    let answer = client.post(&url, MEDIA, asked.to_string().into_bytes()).await?;
    let object = answer.get("objects").and_then(|all| all.get(0)).cloned().unwrap_or_default();
    if let Some(error) = object.get("error") {
        let said = error.get("message").and_then(Value::as_str).unwrap_or("no reason is given");
        return Err(Failure::Nonsense(format!("the file is refused: {}", crate::hub::failure::shown(said))));
    }
    // Without actions the hub has it.
    let Some(actions) = object.get("actions") else { return Ok(()) };
    if let Some(action) = actions.get("upload") {
        let (place, header) = action_of(action)?;
        match header.get("chunk_size").and_then(number) {
            Some(size) => parts(client, item, oid, &place, &header, size, told).await?,
            None => {
                put(client, item, 0, item.size, &place, told).await?;
            }
        }
    }
    if let Some(action) = actions.get("verify") {
        let (place, _) = action_of(action)?;
        client.post(&place, MEDIA, json!({"oid": oid, "size": item.size}).to_string().into_bytes()).await?;
    }
    Ok(())
}

/// Where an action of the batch's answer goes, and its headers.
fn action_of(action: &Value) -> Result<(Url, Map<String, Value>), Failure> {
    let place = action.get("href").and_then(Value::as_str).and_then(|href| Url::parse(href).ok());
    let place = place.filter(|url| ["http", "https"].contains(&url.scheme()));
    let place = place.ok_or_else(|| Failure::Nonsense("it names no place for the upload".into()))?;
    Ok((place, action.get("header").and_then(Value::as_object).cloned().unwrap_or_default()))
}

/// A number, or one in a string as the hub sends it.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|n| *n > 0)
}

async fn parts(
    client: &Client,
    item: &Item,
    oid: &str,
    done: &Url,
    header: &Map<String, Value>,
    size: u64,
    told: &(dyn Fn(u64) + Sync),
) -> Result<(), Failure> {
    let mut places: Vec<(u64, &str)> =
        header.iter().filter_map(|(key, value)| Some((key.parse().ok()?, value.as_str()?))).collect();
    places.sort_unstable();
    if places.len() as u64 != item.size.div_ceil(size) {
        return Err(Failure::Nonsense("it names another number of parts than the file has".into()));
    }
    let mut kept = Vec::new();
    for (i, (number, place)) in places.into_iter().enumerate() {
        let begin = i as u64 * size;
        let place = Url::parse(place).map_err(|_| Failure::Nonsense("it names no place for a part".into()))?;
        let etag = put(client, item, begin, (begin + size).min(item.size), &place, told).await?;
        kept.push(json!({"partNumber": number, "etag": etag}));
    }
    client.post(done, MEDIA, json!({"oid": oid, "parts": kept}).to_string().into_bytes()).await?;
    Ok(())
}

/// Sends bytes `begin..end` of a file and returns the tag that they get.
async fn put(
    client: &Client,
    item: &Item,
    begin: u64,
    end: u64,
    place: &Url,
    told: &(dyn Fn(u64) + Sync),
) -> Result<String, Failure> {
    let mut tries = 0;
    loop {
        told(begin);
        let body = reqwest::Body::wrap_stream(pieces(item, begin, end)?);
        let failure = match client.put(place, body, end - begin).await {
            Ok(response) => {
                told(end);
                let etag = response.headers().get(ETAG).and_then(|v| v.to_str().ok()).unwrap_or_default();
                return Ok(etag.to_owned());
            }
            Err(failure) => failure,
        };
        tries += 1;
        if !failure.may_pass() || tries == TRIES {
            return Err(failure);
        }
        tokio::time::sleep(std::time::Duration::from_millis(300) * 2u32.pow(tries)).await;
    }
}

/// A part of a file, piece by piece.
fn pieces(item: &Item, begin: u64, end: u64) -> Result<impl Stream<Item = std::io::Result<Bytes>> + use<>> {
    let source: Source = match &item.content {
        Content::Made(bytes) => Source::Made(Bytes::from(bytes.clone()).slice(begin as usize..end as usize)),
        Content::Disk(path) => {
            let open = || {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(begin))?;
                Ok(file)
            };
            Source::Disk(open().map_err(|e: std::io::Error| Error::io("read", path, &e))?, end - begin)
        }
    };
    Ok(futures::stream::try_unfold(source, |mut source| async move {
        let piece = source.next()?;
        Ok((!piece.is_empty()).then_some((piece, source)))
    }))
}

enum Source {
    Made(Bytes),
    Disk(File, u64),
}

impl Source {
    fn next(&mut self) -> std::io::Result<Bytes> {
        match self {
            Self::Made(bytes) => Ok(bytes.split_to(PIECE.min(bytes.len()))),
            Self::Disk(file, left) => {
                let mut buffer = vec![0; PIECE.min(*left as usize)];
                file.read_exact(&mut buffer)?;
                *left -= buffer.len() as u64;
                Ok(Bytes::from(buffer))
            }
        }
    }
}
