// SPDX-License-Identifier: Apache-2.0

// Command forebay runs pipelines and looks into their state.
//
//	main.go        the process: signals and exit codes
//	command.go     the command line; error.go how errors are shown
//	run.go         forebay run; progress.go and log.go what it shows meanwhile
//	check.go       forebay check
//	state.go       a state directory, opened or asked for through its owner's socket
//	serve.go       forebay serve, and its standby; servehttp.go its metrics and health
//	table.go       forebay table; scan.go, follow.go and rows.go what scan prints; address.go tables at a server
//	checkpoint.go  forebay checkpoint; reset.go its reset, which also asks the target; deadletter.go forebay dlq
//	audit.go       forebay bench audit
//
// Standard output carries results only; progress and logs go to standard error. Exit codes: 0 done, or stopped
// and drained; 1 failed while running; 2 the command line or a file is wrong and nothing was touched; 130
// interrupted twice.
package main
