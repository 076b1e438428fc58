// SPDX-License-Identifier: Apache-2.0

// Package tcpproxy stands between a client and a server in tests and does to their connections what networks do:
// it cuts, stalls, delays, half-opens, loses answers after requests, and delivers requests late.
//
//	proxy.go  Proxy: listening, and the faults     link.go  one connection, in both directions
package tcpproxy
