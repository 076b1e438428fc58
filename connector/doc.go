// SPDX-License-Identifier: Apache-2.0

// Package connector holds what the connectors share with the parts that find them by name: the registry,
// the check sum that ends of a pipeline agree on, and the wording of unknown names.
//
//	registry.go   Spec and Registry: what there is, by name
//	sum.go        Sum: a check sum with a closed form; Expect joins a source that knows it to a sink that checks it
//	nearest.go    the known name that an unknown one was meant to be
//
// A connector is a folder below this one. It imports the root package, this one, codec and its own client
// library; it does not batch, retry or checkpoint. It becomes known by one line in connector/all.
package connector
