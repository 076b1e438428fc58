// SPDX-License-Identifier: Apache-2.0

// Package part makes parts of files that are published whole, once, and never in place of another file.
//
//	medium.go   Medium, Place and Part: what local files and object stores have in common; parts as committables
//	s3.go       S3, the medium of a bucket     s3part.go  its parts     s3owner.go  which run may publish
package part
