// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// Format reads and writes Parquet. A file says itself what it holds, so most fields are for writing.
type Format struct {
	Columns      []string      `yaml:"columns" doc:"columns to read; all if none are named"`
	Compression  string        `yaml:"compression" doc:"of pages written" enum:"snappy|zstd|gzip|none" default:"snappy"`
	RowGroup     forebay.Bytes `yaml:"row_group" doc:"size of a row group that is written" default:"16MiB"`
	RowGroupRows int           `yaml:"row_group_rows" doc:"rows of a row group that is written" default:"1000000"`
	Dictionary   *bool         `yaml:"dictionary" doc:"whether texts are written by a dictionary" default:"true"`
}

const (
	rowGroupDefault = 16 * forebay.MiB
	rowGroupMax     = forebay.GiB
	rowsDefault     = 1_000_000
)

// Info describes the format.
func (f Format) Info() (codec.Info, error) {
	info := codec.Info{
		Name: "parquet", Typed: true, Blocks: true,
		Note: "a parquet file is read by its row groups, each a split unless the order of records matters to the target",
	}
	if len(f.Columns) > 0 {
		info.Identity = []forebay.Setting{{Name: "columns", Value: strings.Join(f.Columns, ", ")}}
	}
	var problems []error
	if _, known := packings[f.compression()]; !known {
		problems = append(problems, fmt.Errorf("compression: %q is not one of snappy, zstd, gzip, none", f.Compression))
	}
	if f.RowGroup < 0 || f.RowGroup > rowGroupMax {
		problems = append(problems, fmt.Errorf("row_group: %s is not between 1B and %s", f.RowGroup, rowGroupMax))
	}
	if f.RowGroupRows < 0 {
		problems = append(problems, fmt.Errorf("row_group_rows: %d is negative", f.RowGroupRows))
	}
	return info, errors.Join(problems...)
}

func (f Format) compression() string {
	if f.Compression == "" {
		return "snappy"
	}
	return f.Compression
}

func (f Format) dictionary() bool { return f.Dictionary == nil || *f.Dictionary }

func (f Format) rowGroup() forebay.Bytes {
	if f.RowGroup == 0 {
		return rowGroupDefault
	}
	return f.RowGroup
}

func (f Format) rowGroupRows() int {
	if f.RowGroupRows == 0 {
		return rowsDefault
	}
	return f.RowGroupRows
}

// Start settles the schema: the stored one, or that of the first file.
func (f Format) Start(ctx context.Context, env codec.Env) (*codec.Decoding, error) {
	if _, err := f.Info(); err != nil {
		return nil, forebay.Errorf("read parquet", forebay.ClassMisconfigured, "%w", err)
	}
	d, err := codec.StartBlocks(env, func(first codec.Sample) (*forebay.Schema, error) { return f.learn(ctx, first) })
	if err != nil {
		return nil, err
	}
	layout := forebay.NewLayout(d.Schema)
	d.OpenBlocks = func(ctx context.Context, in codec.BlockInput) (codec.Blocks, error) {
		return f.open(ctx, in, layout)
	}
	return d, nil
}

func (f Format) learn(ctx context.Context, sample codec.Sample) (*forebay.Schema, error) {
	foot, err := readFooter(ctx, sample.Input)
	if err != nil {
		return nil, err
	}
	columns, err := foot.columns(f.Columns)
	if err != nil {
		return nil, unreadable(sample.Name, err, columns...)
	}
	s, err := schema(columns)
	for _, name := range f.Columns {
		if err == nil && s.Find(name) < 0 {
			err = fmt.Errorf("it has no column %q, which columns: names", name)
		}
	}
	if err != nil {
		return nil, unreadable(sample.Name, err)
	}
	return s, nil
}

// namedMax bounds the columns that a cure names.
const namedMax = 8

// unreadable is about columns that have no type; the plain ones beside them can be read.
func unreadable(name string, err error, plain ...column) error {
	e := forebay.Errorf("read "+name, forebay.ClassMisconfigured, "%w", err)
	e.Code, e.Cure = "columns-not-supported", "name the columns to read in columns:, or write the file with plain ones"
	if len(plain) > 0 {
		names := make([]string, min(len(plain), namedMax))
		for i := range names {
			names[i] = plain[i].name
		}
		more := ""
		if len(plain) > namedMax {
			more = ", ..."
		}
		e.Cure = fmt.Sprintf("name the columns to read, as in columns: [%s%s], or write the file with plain ones",
			strings.Join(names, ", "), more)
	}
	return e
}

var errElsewhere = errors.New("it is encrypted or lies in another file, and cannot be read")

// open reads the footer of a file and finds the columns of the schema in it.
func (f Format) open(ctx context.Context, in codec.BlockInput, layout *forebay.Layout) (*blocks, error) {
	foot, err := readFooter(ctx, in)
	if err != nil {
		return nil, err
	}
	columns, err := foot.columns(f.Columns)
	if err != nil {
		return nil, unreadable(in.Name, err, columns...)
	}
	bs := &blocks{name: in.Name, layout: layout, columns: columns, groups: foot.groups}
	return bs, bs.match(layout.Schema)
}

// match finds the place of each column in a row. All files must have the same columns, in any order, of types whose
// values the schema's can hold as they are.
func (bs *blocks) match(s *forebay.Schema) error {
	bs.cells = make([]int, len(bs.columns))
	var problems []string
	found := make([]bool, s.Len())
	for i := range bs.columns {
		c := &bs.columns[i]
		k := s.Find(c.name)
		if k < 0 || found[k] {
			problems = append(problems, fmt.Sprintf("it has %q, which the schema does not have, or twice", c.name))
			continue
		}
		found[k], bs.cells[i] = true, k
		if want := s.Column(k).Type; !c.widen(want) {
			problems = append(problems, fmt.Sprintf("its column %q is a %s and the schema's a %s", c.name, c.kind, want))
		}
	}
	for k, is := range found {
		if !is {
			problems = append(problems, "it lacks "+strconv.Quote(s.Column(k).Name)+", which the schema has")
		}
	}
	if len(problems) == 0 {
		return nil
	}
	e := forebay.Errorf("read "+bs.name, forebay.ClassMisconfigured, "%s", strings.Join(problems, "; "))
	e.Code, e.Cure = "schema-mismatch", "give files with other columns a pipeline of their own"
	return e
}

// widen makes cells of another type of the column's values, where every one of them fits.
func (c *column) widen(to forebay.Type) bool {
	if c.kind == to {
		return true
	}
	plain := []way{wayInt, wayFloat32, wayDecimalInt, wayDecimalBytes}
	if !slices.Contains(plain, c.way) || !c.kind.WidensTo(to) || c.kind.Scale != to.Scale {
		return false
	}
	if c.way == wayFloat32 {
		c.way = wayFloat64
	}
	c.kind = to
	return true
}
