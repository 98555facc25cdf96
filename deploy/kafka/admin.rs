//! What an operator does to a broker's topics, for tests of the crates that have librdkafka (by `#[path]`).
#![allow(dead_code, reason = "each test uses its part of it")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::{Offset, TopicPartitionList};

const ANSWER: Duration = Duration::from_secs(30);

/// An open door to one broker.
pub(crate) struct Admin {
    client: AdminClient<DefaultClientContext>,
    options: AdminOptions,
}

impl Admin {
    pub(crate) fn of(bootstrap: &str) -> Self {
        let client = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
        Self { client, options: AdminOptions::new().operation_timeout(Some(ANSWER)) }
    }

    /// Makes a topic, one that was just deleted under its name included: that takes the broker a moment.
    pub(crate) fn make(&self, topic: &str, partitions: i32) {
        let until = Instant::now() + ANSWER;
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        while let Err((_, code)) = &wait(self.client.create_topics([&new], &self.options)).unwrap()[0] {
            assert!(Instant::now() < until, "{topic}: {code}");
        }
    }

    pub(crate) fn delete(&self, topic: &str) {
        wait(self.client.delete_topics(&[topic], &self.options)).unwrap().remove(0).unwrap();
    }

    /// Deletes all topics but Kafka's own, and waits until nobody sees them any more.
    pub(crate) fn clear(&self) {
        let until = Instant::now() + ANSWER;
        loop {
            let metadata = self.client.inner().fetch_metadata(None, ANSWER).unwrap();
            let names = metadata.topics().iter().map(|topic| topic.name());
            let names: Vec<_> = names.filter(|name| !name.starts_with("__")).collect();
            if names.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "{names:?} are still there");
            // One that is about to go may be refused: it is looked again.
            let _ = wait(self.client.delete_topics(&names, &self.options)).unwrap();
        }
    }

    /// Until a topic has so many partitions.
    pub(crate) fn widen(&self, topic: &str, partitions: usize) {
        let new = NewPartitions::new(topic, partitions);
        wait(self.client.create_partitions([&new], &self.options)).unwrap().remove(0).unwrap();
    }

    /// Sets options of a topic; all others get their defaults.
    pub(crate) fn configure(&self, topic: &str, pairs: &[(&str, &str)]) {
        let empty = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let config = pairs.iter().fold(empty, |config, (key, value)| config.set(key, value));
        wait(self.client.alter_configs([&config], &self.options)).unwrap().remove(0).unwrap();
    }

    /// An option of a topic, as it is in force.
    pub(crate) fn option(&self, topic: &str, name: &str) -> String {
        let asked = [&ResourceSpecifier::Topic(topic)];
        let resource = wait(self.client.describe_configs(asked, &self.options)).unwrap().remove(0).unwrap();
        let entry = resource.entries.into_iter().find(|entry| entry.name == name);
        entry.and_then(|entry| entry.value).unwrap()
    }

    pub(crate) fn partitions(&self, topic: &str) -> usize {
        let metadata = self.client.inner().fetch_metadata(Some(topic), ANSWER).unwrap();
        metadata.topics()[0].partitions().len()
    }

    /// What retention does: the first partition begins at this offset from now on.
    pub(crate) fn expire_below(&self, topic: &str, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
        let deleted = wait(self.client.delete_records(&list, &self.options)).unwrap();
        assert!(deleted.elements().iter().all(|element| element.error().is_ok()));
    }
}

/// librdkafka answers from a thread of its own.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
