// SPDX-License-Identifier: Apache-2.0

// Package config reads a pipeline file: YAML text becomes a tree in which every key and value knows its
// place, and the tree decodes into plain Go structs by their tags.
//
// The way of a file, each step in the file of that name:
//
//	parse.go      YAML to nodes; syntax.go turns what the YAML library says into problems and goes on behind them
//	override.go   --set a.b.0.c=VALUE and --state
//	reference.go  ${NAME}, ${NAME:default}, ${file:PATH}
//	decode.go     nodes into structs; field.go reads the tags, key.go the dotted keys, scalar.go the values,
//	              choice.go fields of an interface type
//	value.go      what a type with its own UnmarshalConfig sees; text.go finds a place inside a string
//	pipeline*.go  a whole pipeline file: steps, plan, what a problem of a run is about, keys without effect, and a
//	              source that reads what its sink writes (pipeline_loop.go)
//	problem.go    what is wrong and where; render.go shows it, suggest.go names the nearest known name
//	describe.go   the fields of a struct for the reference; print.go a struct as a commented file
//
// Struct tags, all but yaml optional:
//
//	yaml:"batch.size"       the key, dots for nesting; ",inline" takes the fields of a struct in; a field
//	                        without this tag is not part of the file
//	doc:"..."               one sentence for the reference
//	default:"2MB"           as the file would say it, without quotes
//	example:"data.csv"      shown in errors
//	enum:"a|b|c"            the only values of a string
//	min:"1" max:"64"        limits of a number, size or duration; of a string's characters, of a list's items
//	pattern:"[a-z]+"        a regular expression that the whole string matches
//	required:"true"         must be given; inside a pointer to a struct only where the struct is given
//	unlimited:"true"        the word unlimited is forebay.Unlimited
//	secret:"true"           never shown
//
// Invariants:
//
//	K1: a value from outside (environment, file) is never part of a problem, a printed file or a panic; nor is a secret,
//	    also one that a --set has replaced or removed.
//	K2: every key of the file is decoded or is a problem.
//	K3: a problem names the character that it is about: line and column count from 1, columns count characters.
package config
