// SPDX-License-Identifier: Apache-2.0

// Package net holds the tests of the client of tablet/ against the server of tablet/rpc, over real connections that are
// cut, stalled and refused.
//
//	world_test.go        a server that can be restarted, behind a proxy that breaks connections
//	append_test.go       rows that arrive once and in order, whatever breaks
//	pipeline_test.go     a pipeline that delivers over connections that break
//	partition_test.go    partitions that many make at once
//	read_test.go         scans, look-ups and logs
//	tls_test.go          TLS and tokens
//	conformance_test.go  a remote table as connectortest sees it
package net
