//! The hub's faults, as they are on the wire.

use super::hub::{Fault, READ};
use super::{Client, ask, client as client_of, filled, get, header, location, weights};
use reqwest::Response;
use reqwest::header::{CONTENT_LENGTH, ETAG, RANGE, RETRY_AFTER};
use serde_json::Value;
use std::time::Duration;

#[tokio::test]
async fn a_status_comes_as_ordered_and_as_often() {
    let hub = filled();
    let url = format!("{}/lab/tiny/resolve/main/config.json", hub.url());
    hub.fault(Fault::status(429).header("Retry-After", "2").on("GET", "config.json").times(1));
    hub.fault(Fault::status(503).body("<h1>\u{1b}[31mdown").on("GET", "config.json").after(1).times(1));
    let first = get(&url).await;
    assert_eq!((first.status().as_u16(), header(&first, RETRY_AFTER).as_str()), (429, "2"));
    // The second fault had its first pass with the first request.
    let second = get(&url).await;
    assert_eq!(second.status(), 503);
    assert_eq!(second.text().await.unwrap(), "<h1>\u{1b}[31mdown");
    assert_eq!(get(&url).await.status(), 200);
    assert_eq!(ask("HEAD", &url, &[]).await.status(), 200);
    hub.fault(Fault::rate_limited(55).times(1));
    let limited = get(&url).await;
    assert_eq!((limited.status().as_u16(), header(&limited, "ratelimit").as_str()), (429, "\"api\";r=0;t=55"));
    hub.fault(Fault::html().path("/api/models"));
    let page = get(&format!("{}/api/models", hub.url())).await;
    assert_eq!(page.status(), 200);
    assert!(page.json::<Value>().await.is_err());
    hub.calm();
    assert!(get(&format!("{}/api/models", hub.url())).await.json::<Value>().await.is_ok());
}

#[tokio::test]
async fn a_forbidden_blob_answers_its_head_well() {
    let hub = filled();
    hub.fault(Fault::forbidden_blob());
    let url = format!("{}/lab/tiny/resolve/main/model.safetensors", hub.url());
    let client = reqwest::Client::new();
    assert_eq!(client.head(&url).send().await.unwrap().status(), 200);
    let refused = client.get(&url).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("AccessDenied"));
    // What hf-hub makes of it, and why the workbench downloads by itself: it calls the error's text the file.
    let Client { client, cache: _cache } = client_of(&hub, READ);
    let path = client.model("lab", "tiny").download_file().filename("model.safetensors").send().await.unwrap();
    assert!(std::fs::read_to_string(path).unwrap().contains("AccessDenied"));
}

/// The body as far as it came, and whether it came to an orderly end.
async fn body(mut response: Response) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => out.extend_from_slice(&chunk),
            Ok(None) => return (out, true),
            Err(_) => return (out, false),
        }
    }
}

#[tokio::test]
async fn a_connection_is_cut_after_exactly_so_many_bytes() {
    let hub = filled();
    let blob = location(&hub).await;
    for bytes in [0, 1, 100, 500] {
        hub.fault(Fault::cut(bytes).on("GET", "model.safetensors").times(1));
        let response = get(&blob).await;
        assert_eq!(header(&response, CONTENT_LENGTH), weights().len().to_string());
        assert_eq!(body(response).await, (weights()[..bytes as usize].to_vec(), false));
        assert_eq!(hub.log().last().unwrap().sent, bytes);
    }
    assert_eq!(body(get(&blob).await).await, (weights(), true));
    // By its name, the file is meant and not the redirect to it.
    hub.fault(Fault::cut(7).on("GET", "model.safetensors").times(1));
    let response = reqwest::get(format!("{}/lab/tiny/resolve/main/model.safetensors", hub.url())).await.unwrap();
    assert_eq!(body(response).await, (weights()[..7].to_vec(), false));
    // A part of a file is cut within the part.
    hub.fault(Fault::cut(10).path("/blobs/").times(1));
    let part = ask("GET", &blob, &[(RANGE.as_str(), "bytes=20-99")]).await;
    assert_eq!(body(part).await, (weights()[20..30].to_vec(), false));
    // An upload is cut while it is sent.
    hub.fault(Fault::cut(1000).on("PUT", "/upload/").times(1));
    let put = reqwest::Client::new().put(format!("{}/upload/{}", hub.blobs(), "0".repeat(64))).body(vec![0; 8 << 20]);
    assert!(put.send().await.is_err());
}

#[tokio::test]
async fn lengths_lie_in_both_directions() {
    let hub = filled();
    let blob = location(&hub).await;
    let size = weights().len();
    hub.fault(Fault::longer(10).times(1).path("/blobs/"));
    let response = get(&blob).await;
    assert_eq!(header(&response, CONTENT_LENGTH), (size + 10).to_string());
    assert_eq!(body(response).await, (weights(), false));
    hub.fault(Fault::shorter(10).times(1).path("/blobs/"));
    let response = get(&blob).await;
    assert_eq!(header(&response, CONTENT_LENGTH), (size - 10).to_string());
    assert_eq!(body(response).await, (weights()[..size - 10].to_vec(), true));
    hub.fault(Fault::claim(5 << 30).path("model.safetensors"));
    let url = format!("{}/lab/tiny/resolve/main/model.safetensors", hub.url());
    let head = ask("HEAD", &url, &[]).await;
    assert_eq!(header(&head, "x-linked-size"), (5u64 << 30).to_string());
    assert_eq!(header(&get(&blob).await, CONTENT_LENGTH), (5u64 << 30).to_string());
    assert_eq!(header(&ask("HEAD", &blob, &[]).await, CONTENT_LENGTH), (5u64 << 30).to_string());
}

#[tokio::test]
async fn wrong_bytes_have_the_right_length() {
    let hub = filled();
    hub.fault(Fault::wrong_bytes().path("model.safetensors"));
    let (got, whole) = body(get(&location(&hub).await).await).await;
    assert!(whole && got.len() == weights().len());
    assert_eq!(got.iter().zip(&weights()).filter(|(a, b)| a != b).count(), 1);
}

#[tokio::test]
async fn ranges_can_be_ignored_and_etags_change() {
    let hub = filled();
    let blob = location(&hub).await;
    hub.fault(Fault::no_range().path("/blobs/").times(1));
    let response = ask("GET", &blob, &[("Range", "bytes=5-9")]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(body(response).await, (weights(), true));
    assert_eq!(hub.log().last().unwrap().range.as_deref(), Some("bytes=5-9"));
    hub.fault(Fault::changing_etag().after(1).times(2));
    let mut tags = Vec::new();
    for _ in 0..4 {
        tags.push(header(&ask("HEAD", &blob, &[]).await, ETAG));
    }
    assert!(tags.iter().all(|tag| tag.len() == 66), "{tags:?}");
    assert!(tags[0] == tags[3] && tags[1] != tags[0] && tags[2] != tags[0] && tags[1] != tags[2], "{tags:?}");
}

#[tokio::test]
async fn redirects_can_go_round_in_a_circle() {
    let hub = filled();
    hub.fault(Fault::redirect_loop().path("config.json"));
    let url = format!("{}/lab/tiny/resolve/main/config.json", hub.url());
    let error = reqwest::get(&url).await.unwrap_err();
    assert!(error.is_redirect(), "{error:?}");
}

#[tokio::test]
async fn a_slow_body_comes_in_small_pieces() {
    let hub = filled();
    let blob = location(&hub).await;
    hub.fault(Fault::drip(100, Duration::from_secs(3600)).path("/blobs/").times(1));
    let mut response = get(&blob).await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), weights()[..100]);
    // The next piece comes in an hour.
    assert!(tokio::time::timeout(Duration::from_millis(30), response.chunk()).await.is_err());
    hub.fault(Fault::drip(100, Duration::from_millis(1)).path("/blobs/"));
    assert_eq!(body(get(&blob).await).await, (weights(), true));
}

#[tokio::test]
async fn a_silent_hub_never_answers_and_still_stops() {
    let hub = filled();
    hub.fault(Fault::silence().path("config.json"));
    hub.fault(Fault::delay(Duration::from_millis(20)).path("/api/models"));
    let url = format!("{}/lab/tiny/resolve/main/config.json", hub.url());
    let waiting = tokio::spawn(async move { reqwest::get(&url).await.is_err() });
    // Others are served meanwhile, late as ordered.
    assert_eq!(get(&format!("{}/api/models", hub.url())).await.status(), 200);
    while !hub.log().iter().any(|a| a.target.contains("config.json")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(hub.log().iter().find(|a| a.target.contains("config.json")).unwrap().status, 0);
    assert!(!waiting.is_finished());
    drop(hub);
    assert!(waiting.await.unwrap(), "the connection ends with the hub");
}
