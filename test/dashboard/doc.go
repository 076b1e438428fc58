// SPDX-License-Identifier: Apache-2.0

// Command dashboard puts every panel of docs/grafana/forebay.json before a real Prometheus: it starts two tablet
// servers of one directory, a process with two pipelines and two sets of writers as Go programs have them, disturbs
// their connections, and asks each query of the dashboard, as Grafana would fill it in.
//
//	go run ./test/dashboard             # fails where a query is wrong or shows nothing
//	go run ./test/dashboard -hold       # keeps everything running, to look at it or to draw it
//
//	main.go    flags, and the order of things
//	stage.go   the processes: servers, pipelines, Prometheus
//	writers.go writers with metrics, as a Go program has them, and what disturbs them
//	panels.go  the dashboard's queries and what they must show
//	draw/      a script that checks the file against Grafana's schema and draws it with Grafana's components
//
// Prometheus is not part of this module: its binary must be on the machine.
package main
