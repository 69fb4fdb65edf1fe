//! How a body leaves: Cloud API, or what a simulation puts in its place.

use async_trait::async_trait;
use cloud_api::{CloudApi, Outcome};
use domain::NumberId;

#[async_trait]
pub trait Transport: Send + Sync {
    /// Posts one message body. Never fails: every way it can go is an [`Outcome`].
    async fn send(&self, number: &NumberId, body: Vec<u8>) -> Outcome;
}

#[async_trait]
impl Transport for CloudApi {
    async fn send(&self, number: &NumberId, body: Vec<u8>) -> Outcome {
        CloudApi::send(self, number, body).await
    }
}
