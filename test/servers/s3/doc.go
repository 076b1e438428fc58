// SPDX-License-Identifier: Apache-2.0

// Package s3 runs a real S3 server for tests: versitygw over a folder, on loopback.
//
//	build.go    the program, built once for all test packages     server.go   one server: start, kill, restart
//
// The program is built by the Go tool from its module, of a fixed version, into test/servers/cache, which takes about
// 90 s on two cores with an empty module cache, and nothing afterwards. A lock file makes test packages that run at the
// same time wait for one build.
//
// A server that was killed with SIGKILL has its data still when it is started again, also open multipart uploads.
package s3
