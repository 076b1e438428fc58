// SPDX-License-Identifier: Apache-2.0

// Package tablet is what a tablet server and those who talk to it share, and the client of one on the network.
//
//	conn.go         Conn: what a program sees of a server, and Log
//	rows.go         scans, the catalogue and readers
//	table.go        what a server says about a table
//	encoder.go      Encoder: records to the data of requests, and their tablets
//	partition.go    Partitioner: the partition of a row; Partitions: the numbers of tablets in partitions
//	client.go       Dial, Client: connections, calls, streams by lane
//	cluster.go      who leads: one search for however many ask
//	stream.go       a Write or Commit stream: requests in order, an answer for each
//	call.go         one request of a stream
//	link.go         a network connection that knows when nothing reads what was lent to it
//	clienttable.go  a remote table: target, backend, committer, progress
//	clientscan.go   catalogue, scans and look-ups over the network
//	clientlog.go    logs over the network
//	convert.go      a table as it travels
//	writers.go      Writers: opens writers and sessions, here and over the network
//	control.go      Control: the client of the socket in a state directory
//	logstream.go    logs over that socket
//	wire.go         the shapes that travel over that socket
//
// Invariants of the client:
//
//	TC1  requests leave in the order of Send, and commits of a lane in the order of Commit
//	TC2  a request gets one answer; one that may have left is never answered as one that did not leave
//	TC3  a request's rows are not read any more when its answer is given
package tablet
