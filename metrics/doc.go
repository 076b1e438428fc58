// SPDX-License-Identifier: Apache-2.0

// Package metrics counts what pipelines and writers do, for Prometheus: it fills their hooks and reads their
// figures when it is scraped.
//
//	metrics.go   Metrics: the registry's part; hooks of pipelines and writers
//	figures.go   gauges that are read at a scrape
//	server.go    figures of a tablet server
//	buckets.go   the borders of histograms, and the words of labels
//
// docs/metrics.md lists every metric; a test holds it, and the dashboard in docs/grafana, against the registry.
//
// Invariants:
//
//	M1  labels are names of pipelines and tables and words of closed lists: nothing that grows with the data
//	M2  a hook waits for nothing
package metrics
