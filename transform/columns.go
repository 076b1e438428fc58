// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"slices"

	"github.com/forebay-io/forebay"
)

// DropStep removes columns. No cell moves.
type DropStep struct {
	Columns []string `yaml:"drop" doc:"The columns to remove."`
}

// Drop removes columns.
func Drop(columns ...string) forebay.Transform { return DropStep{Columns: columns} }

// Name is drop.
func (s DropStep) Name() string { return "drop" }

// Compile checks the names.
//
// Errors: *ColumnError, joined.
func (s DropStep) Compile(in forebay.Shape) (forebay.Step, error) {
	if in.JSON {
		return editOnly(s)
	}
	wrong := checkNames(in, s.Name(), s.Columns)
	if err := wrong.err(); err != nil {
		return forebay.Step{}, err
	}
	c := columnsOf(in)
	for _, name := range s.Columns {
		i := c.find(name)
		c.list, c.slots = slices.Delete(c.list, i, i+1), slices.Delete(c.slots, i, i+1)
	}
	if len(c.list) == 0 {
		return forebay.Step{}, &ColumnError{Message: "drop removes every column", Cure: "leave at least one"}
	}
	return layoutStep(c)
}

// checkNames finds columns that are not there or given twice.
func checkNames(in forebay.Shape, step string, names []string) (wrong problems) {
	if in.Layout == nil {
		return problems{errUntyped()}
	}
	if len(names) == 0 {
		return problems{&ColumnError{Message: step + " names no column", Cure: columnsHint(in.Layout.Schema)}}
	}
	for i, name := range names {
		switch {
		case in.Layout.Schema.Find(name) < 0:
			wrong.add(unknownColumn(i, name, in.Layout.Schema))
		case slices.Contains(names[:i], name):
			wrong.add(&ColumnError{
				Index: i, Column: name, Message: fmt.Sprintf("column %q is named twice", name), Cure: "name it once",
			})
		}
	}
	return wrong
}

// KeepStep removes all columns but the named ones, which come out in the order that they are named in. Fields of
// records that are JSON stay where they are.
type KeepStep struct {
	Columns []string `yaml:"keep" doc:"The columns to keep, in their new order."`
}

// Keep removes all columns but the named ones, which come out in the order that they are named in.
func Keep(columns ...string) forebay.Transform { return KeepStep{Columns: columns} }

// Name is keep.
func (s KeepStep) Name() string { return "keep" }

// Compile checks the names.
//
// Errors: *ColumnError, joined.
func (s KeepStep) Compile(in forebay.Shape) (forebay.Step, error) {
	if in.JSON {
		return editOnly(s)
	}
	wrong := checkNames(in, s.Name(), s.Columns)
	if err := wrong.err(); err != nil {
		return forebay.Step{}, err
	}
	all, kept := columnsOf(in), &columns{width: in.Width}
	for _, name := range s.Columns {
		i := all.find(name)
		kept.list, kept.slots = append(kept.list, all.list[i]), append(kept.slots, all.slots[i])
	}
	return layoutStep(kept)
}

// Renaming gives a column another name.
type Renaming struct {
	From string `yaml:",key" doc:"The column's name."`
	To   string `yaml:",value" doc:"Its new name."`
}

// RenameStep gives columns other names. All renamings happen at once, so that two names can be exchanged.
type RenameStep struct {
	Renamings []Renaming `yaml:"rename" doc:"Old and new names."`
}

// Rename gives columns other names, all at once.
func Rename(renamings ...Renaming) forebay.Transform { return RenameStep{Renamings: renamings} }

// Name is rename.
func (s RenameStep) Name() string { return "rename" }

// Compile checks the names.
//
// Errors: *ColumnError, joined.
func (s RenameStep) Compile(in forebay.Shape) (forebay.Step, error) {
	if in.JSON {
		return editOnly(s)
	}
	names := make([]string, len(s.Renamings))
	for i, r := range s.Renamings {
		names[i] = r.From
	}
	wrong := checkNames(in, s.Name(), names)
	if in.Layout == nil {
		return forebay.Step{}, wrong.err()
	}
	c := columnsOf(in)
	for i, r := range s.Renamings {
		if r.To == "" {
			wrong.add(&ColumnError{Index: i, Column: r.From, Message: fmt.Sprintf("column %q has no new name", r.From)})
		}
		if k := in.Layout.Schema.Find(r.From); k >= 0 {
			c.list[k].Name = r.To
		}
	}
	for i, r := range s.Renamings {
		if r.To != "" && c.count(r.To) > 1 {
			wrong.add(&ColumnError{
				Index: i, Column: r.From, Message: fmt.Sprintf("another column is called %q already", r.To),
				Cure: "rename or drop that one first",
			})
		}
	}
	if err := wrong.err(); err != nil {
		return forebay.Step{}, err
	}
	return layoutStep(c)
}
