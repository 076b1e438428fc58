// SPDX-License-Identifier: Apache-2.0

// Package part makes parts of files that are published whole, once, and never in place of another file.
//
//	target.go   Target: what a sink starts           lane.go    Write, Prepare, Flush of one lane
//	bucket.go   in which folder a record goes        memory.go  which part gives its memory up
//	bucketexpr.go, timeformat.go, compress.go, ring.go   parts of those
//	medium.go   Medium, Place and Part: what local files and object stores have in common
//	record.go   parts as committables
//	local.go    Local, the medium of local files     localpart.go  its parts
//	publish.go  from a finished part to a file       owner.go      which run may publish
//	s3.go       S3, the medium of a bucket     s3part.go  its parts     s3owner.go  which run may publish
//	disk.go     what is needed of a file system      osdisk.go, osfile_*.go  the operating system's
//	disk_*.go   with the build tag fault, one that loses on SIGKILL what was not synced
//
// A part is in progress, then held (a checkpoint knows how far it was written, and a later run cuts it back to there
// and goes on) or finished (complete and synced), then published: renamed to where readers see it. Compressed parts
// are written in pieces that are members of gzip or frames of zstd by themselves, so that each barrier is at the end
// of one and no state of a compressor has to be kept.
//
// Invariants:
//
//	FP1: whoever takes an epoch makes its folder before its owner file, and removes older folders after it.
//	FP2: a folder of an epoch is made by the fence alone.
//	FP3: the folders of a target survive a crash before its part is moved there, and the part survives there before
//	     the name that it had is given up for good.
//	FP4: a part that is gone counts as published only where its target has the same size and checksum.
//	FP5: no name of a part is used twice, also where the state was lost.
//	FP6: a part begins with its first record, so none is empty.
//
// Limits: buffers share the lane's memory (16 MiB unless given); 256 open files and 16,384 open parts of a lane, more
// where the memory is larger: at the limit the part whose last record is longest ago is closed, or completed.
package part
