//! What a request through the gateway costs, and how large the gateway is.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use modelet_protocol::rest::encode_request;

use crate::client::{Connection, Server};
use crate::golden::{ALL, cases, repository};
use crate::host::{Host, Offer, RUNTIME};
use crate::shelf::Shelf;

const REQUESTS: usize = 400;

#[test]
fn the_gateway_without_models_is_small() {
    let bytes = fs::metadata(ALL.folder.join("gateway.wasm")).unwrap().len();
    println!("gateway without models: {bytes} bytes (at most 1500000)");
    assert!(bytes <= 1_500_000, "{bytes}");
}

/// The median over one connection.
fn median(address: SocketAddr) -> Duration {
    let case = cases("iris").remove(0);
    let request = encode_request("", 60_000_000, &case.inputs, &[]).unwrap();
    let mut times = RUNTIME.block_on(async {
        let mut connection = Connection::open(address).await;
        let mut times = Vec::new();
        for turn in 0..REQUESTS + 50 {
            let start = Instant::now();
            let path = "/v2/models/iris/infer";
            let reply = connection.send("POST", path, &[], &request.body).await;
            assert_eq!(reply.status, 200);
            if turn >= 50 {
                times.push(start.elapsed());
            }
        }
        times
    });
    times.sort();
    times[times.len() / 2]
}

#[test]
fn what_a_request_costs_is_told() {
    let component = ALL.composed_by_spin();
    let offer = |reuse| Offer {
        shelf: Some(Arc::new(Shelf::default())),
        reuse,
        ..Offer::default()
    };
    let server = Server::start(&repository());
    let fresh = Host::start(&component, offer(1));
    let kept = Host::start(&component, offer(usize::MAX));
    println!(
        "iris over one connection, p50 of {REQUESTS}: server {:?}, gateway {:?}, \
         gateway with a fresh instance for each request {:?}",
        median(server.address),
        median(kept.address),
        median(fresh.address),
    );
}
