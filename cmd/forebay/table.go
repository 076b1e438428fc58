// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/config"
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

	DistributeBy string `help:"Columns that spread the rows of a log, instead of the split." placeholder:"A,B"`
	Retention    string `help:"Of the change log, such as 7d (default all, 7d of a key table)." placeholder:"TIME"`

	PartitionBy    string `help:"A partition for each day, hour (UTC) or value of a column." placeholder:"COLUMN:TEMPLATE"`
	PartitionLimit int    `help:"The most partitions (default 1000)." placeholder:"N"`
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
	spec, err := c.spec(schema)
	if err != nil {
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

// spec reads the flags about the table's columns and how they are kept.
func (c *tableCreate) spec(schema *forebay.Schema) (spec forebay.TableSpec, err error) {
	spec = forebay.TableSpec{Name: c.Name, Schema: schema, Tablets: c.Tablets, Version: c.Version}
	if spec.Key, err = columnList("--key", c.Key, schema); err != nil {
		return spec, err
	}
	if c.Version != "" && schema.Find(c.Version) < 0 {
		return spec, noColumn("--version", c.Version, schema)
	}
	if spec.DistributeBy, err = columnList("--distribute-by", c.DistributeBy, schema); err != nil {
		return spec, err
	}
	if len(spec.DistributeBy) > 0 && len(spec.Key) > 0 {
		return spec, wrong("leave --distribute-by out", "--distribute-by: rows of a table with a key are spread by the key")
	}
	if c.Retention != "" {
		if spec.Retention, err = config.ParseDuration(c.Retention); err != nil || spec.Retention <= 0 {
			return spec, wrong("write a time such as 7d or 12h", "--retention %q is no time to keep changes", c.Retention)
		}
	}
	spec.PartitionBy, err = c.partitionBy(schema)
	return spec, err
}

// columnList reads the names of columns with commas between them.
func columnList(flag, text string, schema *forebay.Schema) (names []string, err error) {
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if schema.Find(name) < 0 {
			return nil, noColumn(flag, name, schema)
		}
		names = append(names, name)
	}
	return names, nil
}

// partitionBy reads --partition-by and --partition-limit.
func (c *tableCreate) partitionBy(schema *forebay.Schema) (by forebay.PartitionBy, err error) {
	most := tablet.TabletsMax / max(c.Tablets, 1)
	switch {
	case c.PartitionLimit != 0 && c.PartitionBy == "":
		return by, wrong("say with --partition-by COLUMN:TEMPLATE how rows are parted, or leave it out",
			"--partition-limit is for a table with partitions")
	case c.PartitionBy == "":
		return by, nil
	case c.PartitionLimit < 0 || c.PartitionLimit > most:
		return by, wrong(fmt.Sprintf("write 1 to %d", most), "--partition-limit %d is out of range with %d tablets each",
			c.PartitionLimit, c.Tablets)
	}
	by.Limit = c.PartitionLimit
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
