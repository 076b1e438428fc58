// SPDX-License-Identifier: Apache-2.0

package table

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector"
	"github.com/forebay-io/forebay/internal/nearest"
)

// TabletsMax bounds the tablets of a table.
const TabletsMax = 1024

// The values of Sink.Order.
const (
	OrderSource = "source"
	OrderNone   = "none"
)

// Sink writes typed rows to a table.
type Sink struct {
	Name         string        `yaml:"name" doc:"the table" required:"true" example:"flights"`
	Key          []string      `yaml:"key" doc:"columns of the primary key; without it the table is a log" example:"[id]"`
	Tablets      int           `yaml:"tablets" doc:"fixed when the table is made" default:"4" min:"1" max:"1024"`
	Version      string        `yaml:"version" doc:"column of a key table: of two rows with one key the greater stays"`
	DistributeBy []string      `yaml:"distribute_by" doc:"columns that spread a log table, instead of the split"`
	PartitionBy  *PartitionBy  `yaml:"partition_by" doc:"divides the table into partitions, with tablets each"`
	Retention    time.Duration `yaml:"retention" doc:"of the change log; all for log tables, 7d for key tables"`
	Order        string        `yaml:"order" doc:"none: files may be read in ranges" default:"source" enum:"source|none"`
	Remote       `yaml:",inline"`
	// Conn is a tablet server to use instead of the embedded one.
	Conn forebay.Tables `yaml:"-"`
}

// Spec is the connector's entry in a registry.
func Spec() connector.Spec {
	return connector.Spec{
		Name: "table", Doc: "a table of the tablet server: typed rows, exactly once, and their changes",
		Source: func() any { return &Source{} },
		Sink:   func() any { return &Sink{} },
	}
}

func (s Sink) tablets() int {
	if s.Tablets == 0 {
		return forebay.TabletsDefault
	}
	return s.Tablets
}

// Info describes the sink.
//
// Errors: misconfigured, with everything that is wrong.
func (s Sink) Info() (forebay.SinkInfo, error) {
	info := forebay.SinkInfo{
		Connector: "table",
		Identity: []forebay.Setting{
			{Name: "name", Value: s.Name},
			{Name: "key", Value: strings.Join(s.Key, ", ")},
			{Name: "tablets", Value: strconv.Itoa(s.tablets())},
		},
		NeedsRows: true,
		Upserts:   len(s.Key) > 0 && s.Conn == nil && s.Address == "",
		Keyed:     len(s.Key) > 0 && s.Version == "" && s.Order != OrderNone,
		Way:       forebay.WayProgress,
		Name:      fmt.Sprintf("table %q%s", s.Name, s.place()),
		Schema:    s.checkSchema,
	}
	if by := s.PartitionBy; by != nil {
		info.Identity = append(info.Identity, forebay.Setting{
			Name: "partition_by", Value: fmt.Sprintf("%s by %s", by.Column, by.Template),
		})
	}
	if err := s.validate(); err != nil {
		return info, misconfigured(err)
	}
	return info, nil
}

func misconfigured(err error) error {
	return &forebay.Error{Op: "table", Class: forebay.ClassMisconfigured, Err: err}
}

func (s Sink) validate() error {
	var problems []error
	if !regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`).MatchString(s.Name) {
		problems = append(problems, fmt.Errorf(
			"name: %q is no name of a table: use 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-'", s.Name))
	} else if s.Name[0] == '_' {
		problems = append(problems, fmt.Errorf(
			"name: %q begins with '_', which is kept for tables of forebay itself: try %q",
			s.Name, strings.TrimLeft(s.Name, "_")))
	}
	if s.Tablets < 0 || s.Tablets > TabletsMax {
		problems = append(problems, fmt.Errorf("tablets: %d is outside 1 to %d", s.Tablets, TabletsMax))
	}
	if s.Version != "" && len(s.Key) == 0 {
		problems = append(problems, fmt.Errorf(
			"version: %q needs a key: without one no two rows are the same; give key, or leave version out", s.Version))
	}
	if s.Version != "" && slices.Contains(s.Key, s.Version) {
		problems = append(problems, fmt.Errorf(
			"version: %q is part of the key, so two rows with one key cannot differ in it", s.Version))
	}
	if len(s.DistributeBy) > 0 && len(s.Key) > 0 {
		problems = append(problems, errors.New(
			"distribute_by: rows of a table with a key are spread by the key; leave distribute_by out"))
	}
	if s.Retention < 0 {
		problems = append(problems, fmt.Errorf("retention: %s is below 0", s.Retention))
	}
	if s.Order != "" && s.Order != OrderSource && s.Order != OrderNone {
		problems = append(problems, fmt.Errorf("order: %q is neither source nor none", s.Order))
	}
	problems = append(problems, twice("key", s.Key), twice("distribute_by", s.DistributeBy), s.PartitionBy.validate(s),
		s.Remote.validate())
	return errors.Join(problems...)
}

// twice finds a column that a list names twice.
func twice(setting string, columns []string) error {
	for i, name := range columns {
		if slices.Contains(columns[:i], name) {
			return fmt.Errorf("%s: column %q is given twice", setting, name)
		}
	}
	return nil
}

// checkSchema checks that the columns that the settings name are there and can be what they are to be.
func (s Sink) checkSchema(schema *forebay.Schema) error {
	if schema == nil {
		return misconfigured(errors.New("a table takes typed rows, and these records are bytes; give the source a schema"))
	}
	var problems []error
	for _, name := range s.Key {
		problems = append(problems, checkColumn(schema, "key", name, keyTypes))
	}
	for _, name := range s.DistributeBy {
		problems = append(problems, checkColumn(schema, "distribute_by", name, keyTypes))
	}
	problems = append(problems, s.PartitionBy.check(schema))
	if s.Version != "" {
		problems = append(problems, checkColumn(schema, "version", s.Version, versionTypes))
	}
	if err := errors.Join(problems...); err != nil {
		return misconfigured(err)
	}
	return nil
}

// usage says which kinds a use of a column allows, and in words which would be right.
type usage struct {
	refused []forebay.Kind
	allowed []forebay.Kind // nil: all that are not refused
	right   string
}

var (
	keyTypes = usage{
		refused: []forebay.Kind{forebay.KindFloat32, forebay.KindFloat64, forebay.KindJSON},
		right:   "bool, an integer, decimal, string, bytes, date or timestamp; cast it",
	}
	versionTypes = usage{
		refused: []forebay.Kind{
			forebay.KindBool, forebay.KindJSON, forebay.KindBytes, forebay.KindFloat32, forebay.KindFloat64,
		},
		right: "an integer, decimal, string, date or timestamp; cast it",
	}
)

func checkColumn(schema *forebay.Schema, setting, name string, use usage) error {
	i := schema.Find(name)
	if i < 0 {
		if near := nearest.Name(name, schema.Names()); near != "" {
			return fmt.Errorf("%s: there is no column %q; did you mean %q?", setting, name, near)
		}
		return fmt.Errorf("%s: there is no column %q; there are %s", setting, name, strings.Join(schema.Names(), ", "))
	}
	kind := schema.Column(i).Type.Kind
	if slices.Contains(use.refused, kind) || use.allowed != nil && !slices.Contains(use.allowed, kind) {
		return fmt.Errorf("%s: column %q is a %s and cannot be used here; right would be %s",
			setting, name, schema.Column(i).Type, use.right)
	}
	return nil
}

// Start makes the table if it is missing and opens it.
//
// Errors: misconfigured before anything is made, and those of the server.
func (s Sink) Start(ctx context.Context, env forebay.SinkContext) (forebay.Target, error) {
	if _, err := s.Info(); err != nil {
		return nil, err
	}
	if err := s.checkSchema(env.Schema); err != nil {
		return nil, err
	}
	spec := forebay.TableSpec{
		Name: s.Name, Schema: env.Schema, Key: s.Key, Tablets: s.tablets(), Version: s.Version,
		DistributeBy: s.DistributeBy, PartitionBy: s.partitionBy(), Retention: s.Retention,
	}
	if s.Address != "" && s.Conn == nil {
		return s.open(ctx, spec, env.Logger)
	}
	tables := s.Conn
	if tables == nil {
		tables = env.Tables
	}
	if tables == nil {
		return nil, misconfigured(errors.New("there is no tablet server: give a state directory, or Conn"))
	}
	return tables.OpenTable(ctx, spec)
}
