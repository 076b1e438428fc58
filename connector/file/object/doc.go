// SPDX-License-Identifier: Apache-2.0

// Package object talks to buckets of S3 and of what speaks like it: what the file connector needs of them, with the
// error classes of the rest of the product.
//
//	config.go   Config, Open and addresses        errors.go   what answers mean
//	object.go   list, head, small objects         read.go     reading in windows, resumed where it breaks
//	at.go       reading anywhere                  upload.go   multipart uploads
//
// An object is read only while it has the ETag that it was opened with: one that changed is an error, never a mixture.
//
// What can be repeated without harm is repeated by the client library, three times. Completing an upload and
// conditional writes are sent once, and what became of them is looked up.
package object
