// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

type tableCommands struct {
	Ls       tableLs       `cmd:"" help:"List the tables."`
	Describe tableDescribe `cmd:"" help:"Show columns, key and tablets."`
	Scan     tableScan     `cmd:"" help:"Print the rows."`
	Get      tableGet      `cmd:"" help:"Print the row with a key."`
	Create   tableCreate   `cmd:"" help:"Make a table."`
	Drop     tableDrop     `cmd:"" help:"Remove a table with its rows."`
}

type tableLs struct {
	tableFlags
}

// Run lists the tables.
func (c *tableLs) Run(ctx context.Context, a *app) error {
	return a.at(ctx, c.tableFlags, func(s *access) error {
		tables, err := s.Tables(ctx)
		if err != nil {
			return err
		}
		g := grid{head: []string{"TABLE", "KIND", "KEY", "TABLETS", "COLUMNS"}}
		for _, t := range tables {
			kind, key := "log", "-"
			if len(t.Key) > 0 {
				kind, key = "key", strings.Join(t.Key, ",")
			}
			g.add(t.Name, kind, key, fmt.Sprint(t.Tablets), fmt.Sprint(t.Schema.Len()))
		}
		return g.write(a.out)
	}, "table", "ls")
}

type tableDescribe struct {
	Name string `arg:"" help:"The table."`
	tableFlags
}

// Run describes a table.
func (c *tableDescribe) Run(ctx context.Context, a *app) error {
	return a.at(ctx, c.tableFlags, func(s *access) error {
		info, err := s.Describe(ctx, c.Name)
		if err != nil {
			return withNames(ctx, s, c.Name, err)
		}
		rows, err := s.Count(ctx, c.Name)
		if err != nil {
			return err
		}
		return describe(a, info, rows)
	}, "table", "describe", c.Name)
}

func describe(a *app, info tablet.TableInfo, rows int64) error {
	facts := grid{}
	facts.add("table", info.Name)
	if len(info.Key) > 0 {
		facts.add("key", words(info.Key))
	} else {
		facts.add("key", "none: a log table")
	}
	if info.Version != "" {
		facts.add("version", info.Version)
	}
	if len(info.DistributeBy) > 0 {
		facts.add("distribute_by", words(info.DistributeBy))
	}
	if by := info.PartitionBy; by.Column != "" {
		limit := tablet.PartitionLimit(by, info.Tablets)
		facts.add("partition_by", fmt.Sprintf("%s, by %s", by.Column, by.Template))
		facts.add("partitions", fmt.Sprintf("%d of at most %d, with %d tablets each",
			len(info.Partitions), limit, info.Tablets))
	}
	if info.Retention > 0 {
		facts.add("retention", info.Retention.String())
	}
	facts.add("rows", grouped(rows))
	columns := grid{head: []string{"COLUMN", "TYPE"}}
	for _, column := range info.Schema.Columns() {
		columns.add(column.Name, column.Type.String())
	}
	tablets := grid{head: []string{"TABLET", "LOG FROM", "LOG END"}}
	if len(info.Partitions) > 0 {
		tablets.head = append(tablets.head, "PARTITION")
	}
	for i, l := range info.Logs {
		cells := []string{fmt.Sprint(i), fmt.Sprint(l.First), fmt.Sprint(l.End)}
		if len(info.Partitions) > 0 {
			cells = append(cells, info.Partitions[i/info.Tablets].Name)
		}
		tablets.add(cells...)
	}
	if err := facts.write(a.out); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	if err := columns.write(a.out); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	return tablets.write(a.out)
}

type tableGet struct {
	Name   string   `arg:"" help:"The table."`
	Key    []string `arg:"" name:"value" help:"A value for each key column, in the key's order."`
	Format string   `help:"${format}" enum:",csv,ndjson,table" default:"" placeholder:"FORMAT"`
	tableFlags
}

// Run prints the row with a key.
func (c *tableGet) Run(ctx context.Context, a *app) error {
	return a.at(ctx, c.tableFlags, func(s *access) error {
		info, err := s.Describe(ctx, c.Name)
		if err != nil {
			return withNames(ctx, s, c.Name, err)
		}
		key, err := c.key(info)
		if err != nil {
			return err
		}
		b := forebay.NewBatch()
		found, err := s.Get(ctx, c.Name, key, b)
		if err != nil {
			return err
		}
		if !found {
			return &exitError{exitFailed, fmt.Errorf("table %q has no row with the key %s", c.Name, words(c.Key))}
		}
		printer, err := newRowPrinter(a.format(c.Format), a.out, b.Layout())
		if err != nil {
			return err
		}
		if err := printer.rows(b); err != nil {
			return err
		}
		return printer.end()
	}, "table", "get", c.Name)
}

// key reads the values of the key columns.
func (c *tableGet) key(info tablet.TableInfo) (forebay.Row, error) {
	if len(info.Key) == 0 {
		return forebay.Row{}, wrong("use table scan "+c.Name+" --where EXPR", "table %q has no key", c.Name)
	}
	if len(c.Key) != len(info.Key) {
		example := strings.ToUpper(strings.Join(info.Key, " "))
		return forebay.Row{}, wrong(fmt.Sprintf("write table get %s %s", c.Name, example),
			"the key of %q is %s, and %d values are given", c.Name, words(info.Key), len(c.Key))
	}
	columns := make([]forebay.Column, len(info.Key))
	for i, name := range info.Key {
		columns[i] = info.Schema.Column(info.Schema.Find(name))
	}
	schema, err := forebay.NewSchema(columns...)
	if err != nil {
		return forebay.Row{}, err
	}
	row := forebay.NewRow(schema)
	for i, column := range columns {
		b, _ := row.Batch()
		before := len(b.Slab())
		cell, grown, err := forebay.ParseCell(slices.Clone(b.Slab()), column.Type, []byte(c.Key[i]))
		if err != nil {
			return forebay.Row{}, wrong("", "key column %q is a %s: %w", column.Name, column.Type, err)
		}
		b.AppendBytes(grown[before:])
		row.SetCell(i, cell)
	}
	return row, nil
}

type tableCreate struct {
	Name    string   `arg:"" help:"The table."`
	Column  []string `help:"A column, such as id:int64; repeatable." sep:"none" placeholder:"NAME:TYPE" required:""`
	Key     string   `help:"Columns of the primary key; without it the table is a log." placeholder:"A,B"`
	Tablets int      `help:"How many tablets; fixed from then on (default ${default})." default:"4" placeholder:"N"`
	Version string   `help:"Of two rows with one key, the one with the greater value here stays." placeholder:"COLUMN"`

	PartitionBy string `help:"A partition for each day, hour (UTC) or value of a column." placeholder:"COLUMN:TEMPLATE"`
	tableFlags
}

// Run makes a table.
func (c *tableCreate) Run(ctx context.Context, a *app) error {
	var columns []forebay.Column
	for _, text := range c.Column {
		name, typ, found := strings.Cut(text, ":")
		if !found {
			return wrong("write for example --column id:int64", "--column %q has no type", text)
		}
		t, err := forebay.ParseType(typ)
		if err != nil {
			return wrong("", "--column %q: %w", text, err)
		}
		columns = append(columns, forebay.Column{Name: name, Type: t})
	}
	schema, err := forebay.NewSchema(columns...)
	if err != nil {
		return wrong("", "--column: %w", err)
	}
	spec := forebay.TableSpec{Name: c.Name, Schema: schema, Tablets: c.Tablets, Version: c.Version}
	for name := range strings.SplitSeq(c.Key, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if schema.Find(name) < 0 {
			return noColumn("--key", name, schema)
		}
		spec.Key = append(spec.Key, name)
	}
	if c.Version != "" && schema.Find(c.Version) < 0 {
		return noColumn("--version", c.Version, schema)
	}
	if spec.PartitionBy, err = c.partitionBy(schema); err != nil {
		return err
	}
	c.make = true
	return a.at(ctx, c.tableFlags, func(s *access) error {
		if err := s.Create(ctx, spec); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "table %s created\n", c.Name)
		return nil
	}, "table", "create", c.Name)
}

// partitionBy reads --partition-by.
func (c *tableCreate) partitionBy(schema *forebay.Schema) (by forebay.PartitionBy, err error) {
	if c.PartitionBy == "" {
		return by, nil
	}
	at := strings.LastIndexByte(c.PartitionBy, ':')
	if at < 0 {
		return by, wrong("write for example --partition-by at:day; there are day, hour and value",
			"--partition-by %q has no template", c.PartitionBy)
	}
	by.Column, by.Template = c.PartitionBy[:at], c.PartitionBy[at+1:]
	if schema.Find(by.Column) < 0 {
		return by, noColumn("--partition-by", by.Column, schema)
	}
	if _, err := tablet.NewPartitioner(by, forebay.NewLayout(schema)); err != nil {
		return by, wrong("write COLUMN:day, COLUMN:hour or COLUMN:value", "--partition-by %q: %w", c.PartitionBy, err)
	}
	return by, nil
}

type tableDrop struct {
	Name string `arg:"" help:"The table."`
	Yes  bool   `help:"Do it."`
	tableFlags
}

// Run removes a table.
func (c *tableDrop) Run(ctx context.Context, a *app) error {
	return a.at(ctx, c.tableFlags, func(s *access) error {
		if !c.Yes {
			rows, err := s.Count(ctx, c.Name)
			if err != nil {
				return withNames(ctx, s, c.Name, err)
			}
			return wrong("say so with --yes", "this removes table %q with its %s rows", c.Name, grouped(rows))
		}
		if err := s.Drop(ctx, c.Name); err != nil {
			return withNames(ctx, s, c.Name, err)
		}
		fmt.Fprintf(a.out, "table %s dropped\n", c.Name)
		return nil
	}, "table", "drop", c.Name)
}
