// SPDX-License-Identifier: Apache-2.0

// Package admin is the HTTP side of a process: what it does, how it is doing, and the knobs that can be turned
// while it works.
//
//	server.go   Server: the address, the routes, its life
//	health.go   /healthz and /readyz
//	tuning.go   /tuning: reading and changing knobs
//	knob.go     Knob: one value with its kind and range
//	writer.go   the knobs of a writer
//
// Invariants:
//
//	H1  a change is applied to everything that it names, or to nothing
//	H2  an address without a host is loopback
//	H3  no request of a page from elsewhere changes anything
package admin
