// SPDX-License-Identifier: Apache-2.0

// Package tidy holds the style of this repository as one test: what a reader would otherwise have to
// point out again and again is refused here, with the place and the cure.
//
//	imports     who may import whom: the table in ARCHITECTURE.md, and what no table can allow
//	sizes       lines of functions, files and text lines; files of a package; methods; parameters
//	calls       time.Sleep, clocks and locks in the cores, fmt.Print, os.Getenv, init, go statements
//	sources     SPDX line, package doc, ASCII
//	links       links and `file:function` references in Markdown
//	words       paths of one machine, hosts of package registries, marks of unfinished work
//	invariants  each number in ARCHITECTURE.md stands in code and in a test
//
// allow.txt lists the exceptions, each with its measure and its reason. It can only shrink: an entry that
// nothing needs fails, and so does one that allows more than there is.
//
// The checker is test code only: it reads the tree through an fs.FS, so that its own tests give it small
// trees in memory, one for each thing that it must catch.
package tidy
