//! Every metric's name, help, labels and buckets; tracing set-up
