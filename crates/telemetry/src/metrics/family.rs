//! Metrics with labels from closed lists: exported whole from the start, and asked for by what
//! they are, never by a text.

use std::marker::PhantomData;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use crate::labels::{Label, Pair};

pub type Counters<L> = Family<IntCounterVec, L>;
pub type Gauges<L> = Family<IntGaugeVec, L>;
pub type Floats<L> = Family<GaugeVec, L>;
pub type Histograms<L> = Family<HistogramVec, L>;

/// One metric for each value of its labels `L`.
pub struct Family<V, L> {
    metrics: V,
    labels: PhantomData<L>,
}

/// The labels of one metric: one, or a pair.
pub trait Labels: Copy {
    /// Every combination.
    fn all() -> impl Iterator<Item = Self>;

    fn with<T>(self, then: impl FnOnce(&[&str]) -> T) -> T;
}

impl<L: Label> Labels for L {
    fn all() -> impl Iterator<Item = Self> {
        L::VARIANTS.iter().copied()
    }

    fn with<T>(self, then: impl FnOnce(&[&str]) -> T) -> T {
        then(&[self.as_str()])
    }
}

impl<A: Label, B: Label> Labels for Pair<A, B> {
    fn all() -> impl Iterator<Item = Self> {
        A::VARIANTS.iter().flat_map(|a| B::VARIANTS.iter().map(|b| Pair(*a, *b)))
    }

    fn with<T>(self, then: impl FnOnce(&[&str]) -> T) -> T {
        then(&[self.0.as_str(), self.1.as_str()])
    }
}

impl<B: MetricVecBuilder, L: Labels> Family<MetricVec<B>, L> {
    /// Registers the metric and exports zeros for `of` these labels.
    fn begin(
        registry: &Registry,
        metrics: prometheus::Result<MetricVec<B>>,
        of: impl Iterator<Item = L>,
    ) -> Self
    where
        MetricVec<B>: Collector + 'static,
    {
        let family = Family { metrics: register(registry, metrics), labels: PhantomData };
        of.for_each(|labels| drop(family.of(labels)));
        family
    }

    /// The metric of these labels.
    pub fn of(&self, labels: L) -> B::M {
        labels.with(|values| self.metrics.with_label_values(values))
    }
}

/// Makes metrics of one registry. Names, helps and labels stand where each is made.
pub struct Maker<'a>(pub &'a Registry);

impl Maker<'_> {
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        register(self.0, IntCounter::new(name, help))
    }

    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        register(self.0, IntGauge::new(name, help))
    }

    pub fn float(&self, name: &str, help: &str) -> Gauge {
        register(self.0, Gauge::new(name, help))
    }

    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        register(self.0, Histogram::with_opts(buckets_of(name, help, buckets)))
    }

    pub fn counters<L: Labels>(&self, name: &str, help: &str, labels: &[&str]) -> Counters<L> {
        Family::begin(self.0, IntCounterVec::new(Opts::new(name, help), labels), L::all())
    }

    pub fn gauges<L: Labels>(&self, name: &str, help: &str, labels: &[&str]) -> Gauges<L> {
        Family::begin(self.0, IntGaugeVec::new(Opts::new(name, help), labels), L::all())
    }

    /// Of these labels only, until another is asked for.
    pub fn floats_of<L: Labels>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        of: &[L],
    ) -> Floats<L> {
        let metrics = GaugeVec::new(Opts::new(name, help), labels);
        Family::begin(self.0, metrics, of.iter().copied())
    }

    pub fn histograms<L: Labels>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Histograms<L> {
        let metrics = HistogramVec::new(buckets_of(name, help, buckets), labels);
        Family::begin(self.0, metrics, L::all())
    }

    /// Whose labels come from the configuration.
    pub fn configured_gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        register(self.0, IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub fn configured_floats(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        register(self.0, GaugeVec::new(Opts::new(name, help), labels))
    }
}

fn buckets_of(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(buckets.to_vec())
}

fn register<M: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> M {
    let metric = metric.expect("names and labels in these files are valid");
    registry.register(Box::new(metric.clone())).expect("each name is registered once");
    metric
}
