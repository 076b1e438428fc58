// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command run is what `make bench` runs: it measures forebay beside the shortest honest program for the same
// job (bench/floor) or beside a peer (bench/peers), and says of each goal whether it is met. It is started in
// the root of the repository and runs on Linux.
//
//	job.go       what is run, and the goals      judge.go    rounds, intervals, verdicts
//	measure.go   one round of a job              process.go  one process: CPU, wall time, memory, I/O
//	trace.go     system calls and fsyncs         audit.go    what must have arrived
//	latency.go   start and idle jobs             input.go    the files that jobs read
//	machine.go   what it ran on                  report.go   the text
//	network.go   a client and a server           network_jobs.go  the jobs of the writer
//	file_jobs.go  the jobs of the file sink     flink.go     the one beside Flink
//	records.go   their input, and its audit
//
// A round runs the sides of a job one after the other, each as a process of its own with GOMAXPROCS fixed, in
// a fresh state directory below bench/cache. Ratios are taken within a round, so what slows the machine down
// for longer than a round cancels out. Before the rounds, each side runs once under ptrace for the counts that
// do not drift; that run is not timed, and warms the page cache.
package main
