// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// Limits of a table.
const (
	tableNameMax = 128
	tabletsMax   = 1024
	// schemasMax bounds the shapes of rows that a table has seen.
	schemasMax = 1000
	// keyTableRetention is how long the change log of a key table is kept where the table does not say.
	keyTableRetention = 7 * 24 * time.Hour

	descriptorFormat = 1
	deadLetterPrefix = "_dlq."
)

// descriptor is a table as the catalogue holds it. It is immutable: a change makes a new one.
type descriptor struct {
	id           uint32
	name         string
	key          []string
	tablets      int
	version      string
	distributeBy []string
	partitionBy  forebay.PartitionBy
	retention    time.Duration
	// current is the schema that readers see.
	current   *forebay.Schema
	currentID uint32
	// schemas are the shapes in which rows were written, the current one among them; the id is the index + 1.
	schemas []*forebay.Schema
}

// columnRecord and descriptorRecord are the catalogue's form on disk.
type columnRecord struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type partitionRecord struct {
	Column   string `json:"column"`
	Template string `json:"template"`
	Limit    int    `json:"limit,omitempty"`
}

type descriptorRecord struct {
	Format       int              `json:"format"`
	ID           uint32           `json:"id"`
	Name         string           `json:"name"`
	Key          []string         `json:"key,omitempty"`
	Tablets      int              `json:"tablets"`
	Version      string           `json:"version,omitempty"`
	DistributeBy []string         `json:"distribute_by,omitempty"`
	PartitionBy  *partitionRecord `json:"partition_by,omitempty"`
	Retention    string           `json:"retention,omitempty"`
	Current      uint32           `json:"schema"`
	Schemas      [][]columnRecord `json:"schemas"`
}

func (d *descriptor) encode() ([]byte, error) {
	r := descriptorRecord{
		Format: descriptorFormat, ID: d.id, Name: d.name, Key: d.key, Tablets: d.tablets, Version: d.version,
		DistributeBy: d.distributeBy, Current: d.currentID,
	}
	if by := d.partitionBy; by.Column != "" {
		r.PartitionBy = &partitionRecord{Column: by.Column, Template: by.Template, Limit: by.Limit}
	}
	if d.retention != 0 {
		r.Retention = d.retention.String()
	}
	for _, s := range d.schemas {
		columns := make([]columnRecord, s.Len())
		for i, c := range s.Columns() {
			columns[i] = columnRecord{Name: c.Name, Type: c.Type.String()}
		}
		r.Schemas = append(r.Schemas, columns)
	}
	return json.Marshal(r)
}

func decodeDescriptor(data []byte) (*descriptor, error) {
	var r descriptorRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, forebay.Errorf("read catalogue", forebay.ClassCorrupt, "table entry: %w", err)
	}
	if r.Format != descriptorFormat {
		return nil, forebay.Errorf("read catalogue", forebay.ClassMisconfigured,
			"table %q has format %d and this program reads format %d: use the version that wrote it",
			r.Name, r.Format, descriptorFormat)
	}
	d := &descriptor{
		id: r.ID, name: r.Name, key: r.Key, tablets: r.Tablets, version: r.Version, distributeBy: r.DistributeBy,
		currentID: r.Current,
	}
	if by := r.PartitionBy; by != nil {
		d.partitionBy = forebay.PartitionBy{Column: by.Column, Template: by.Template, Limit: by.Limit}
	}
	corrupt := func(err error) (*descriptor, error) {
		return nil, forebay.Errorf("read catalogue", forebay.ClassCorrupt, "table %q: %w", r.Name, err)
	}
	if r.Retention != "" {
		retention, err := time.ParseDuration(r.Retention)
		if err != nil {
			return corrupt(err)
		}
		d.retention = retention
	}
	for _, columns := range r.Schemas {
		schema, err := decodeColumns(columns)
		if err != nil {
			return corrupt(err)
		}
		d.schemas = append(d.schemas, schema)
	}
	if r.Current < 1 || int(r.Current) > len(d.schemas) || r.Tablets < 1 || r.Tablets > tabletsMax {
		return corrupt(fmt.Errorf("schema %d of %d, %d tablets", r.Current, len(d.schemas), r.Tablets))
	}
	d.current = d.schemas[r.Current-1]
	if err := d.check(); err != nil {
		return corrupt(err)
	}
	return d, nil
}

func decodeColumns(columns []columnRecord) (*forebay.Schema, error) {
	decoded := make([]forebay.Column, len(columns))
	for i, c := range columns {
		t, err := forebay.ParseType(c.Type)
		if err != nil {
			return nil, err
		}
		decoded[i] = forebay.Column{Name: c.Name, Type: t}
	}
	return forebay.NewSchema(decoded...)
}

// newDescriptor checks a spec and makes the descriptor of a new table.
func newDescriptor(spec forebay.TableSpec, id uint32) (*descriptor, error) {
	d := &descriptor{
		id: id, name: spec.Name, key: slices.Clone(spec.Key), tablets: spec.Tablets, version: spec.Version,
		distributeBy: slices.Clone(spec.DistributeBy), partitionBy: spec.PartitionBy, retention: spec.Retention,
		current: spec.Schema, currentID: 1, schemas: []*forebay.Schema{spec.Schema},
	}
	if d.tablets == 0 {
		d.tablets = forebay.TabletsDefault
	}
	if spec.Schema == nil {
		return nil, refuse(spec.Name, "it does not exist, and no schema is given to make it")
	}
	if spec.Schema.Len() == 0 {
		return nil, refuse(spec.Name, "its schema has no columns")
	}
	if d.tablets < 1 || d.tablets > tabletsMax {
		return nil, refuse(spec.Name, "%d tablets: allowed are 1 to %d", d.tablets, tabletsMax)
	}
	if spec.Retention < 0 {
		return nil, refuse(spec.Name, "a retention of %s: it must not be negative", spec.Retention)
	}
	if err := d.check(); err != nil {
		return nil, refuse(spec.Name, "%w", err)
	}
	return d, nil
}

// check holds what the columns of key, version and distribute_by must be.
func (d *descriptor) check() error {
	if len(d.key) > 0 && len(d.distributeBy) > 0 {
		return fmt.Errorf("distribute_by is for log tables: the rows of a key table are spread by their key")
	}
	for _, columns := range [][]string{d.key, d.distributeBy} {
		if len(columns) == 0 {
			continue
		}
		if _, err := indexes(d.current, columns); err != nil {
			return err
		}
		if _, err := forebay.NewKeyEncoder(forebay.NewLayout(d.current), d.columns(d.current, columns)); err != nil {
			return err
		}
	}
	if err := d.checkPartitions(); err != nil {
		return err
	}
	if d.version == "" {
		return nil
	}
	switch at := d.current.Find(d.version); {
	case len(d.key) == 0:
		return fmt.Errorf("version is for key tables, and the table has no key")
	case at < 0:
		return fmt.Errorf("the version column %q is not among its columns: %s", d.version, d.current)
	case slices.Contains(d.key, d.version):
		return fmt.Errorf("column %q cannot be part of the key and the version", d.version)
	case !canVersion(d.current.Column(at).Type.Kind):
		return fmt.Errorf("the version column %q is a %s: use an integer, decimal, string, date or timestamp",
			d.version, d.current.Column(at).Type)
	}
	return nil
}

// checkPartitions holds what the column of partition_by must be, and that the tablets of all partitions have numbers.
func (d *descriptor) checkPartitions() error {
	by := d.partitionBy
	if by == (forebay.PartitionBy{}) {
		return nil
	}
	if _, err := tablet.NewPartitioner(by, forebay.NewLayout(d.current)); err != nil {
		return err
	}
	if d.keyed() && !slices.Contains(d.key, by.Column) {
		return fmt.Errorf("column %q gives the partition, so it must be part of the key %s", by.Column, list(d.key))
	}
	if by.Limit < 0 || by.Limit > tablet.TabletsMax/d.tablets {
		return fmt.Errorf("%d partitions with %d tablets each: all partitions together may have %d tablets, so allowed are "+
			"1 to %d partitions", by.Limit, d.tablets, tablet.TabletsMax, tablet.TabletsMax/d.tablets)
	}
	return nil
}

// placedBy are the columns that rows are placed by.
func (d *descriptor) placedBy() []string {
	out := append(slices.Clone(d.key), d.distributeBy...)
	if column := d.partitionBy.Column; column != "" && !slices.Contains(out, column) {
		out = append(out, column)
	}
	return out
}

func indexes(schema *forebay.Schema, names []string) ([]int, error) {
	out := make([]int, len(names))
	for i, name := range names {
		if out[i] = schema.Find(name); out[i] < 0 {
			return nil, fmt.Errorf("column %q is not among its columns: %s", name, schema)
		}
	}
	return out, nil
}

// columns is indexes for names that are known to be there.
func (d *descriptor) columns(schema *forebay.Schema, names []string) []int {
	out, _ := indexes(schema, names)
	return out
}

func (d *descriptor) keyed() bool { return len(d.key) > 0 }

// values are the columns of a schema that are not part of the key: what the row bytes hold.
func (d *descriptor) values(schema *forebay.Schema) []int {
	out := make([]int, 0, schema.Len())
	for i, name := range schema.Names() {
		if !slices.Contains(d.key, name) {
			out = append(out, i)
		}
	}
	return out
}

// kept is how long the log is kept; 0 is for ever.
func (d *descriptor) kept() time.Duration {
	if d.retention == 0 && d.keyed() {
		return keyTableRetention
	}
	return d.retention
}

// spec describes the table as a spec does.
func (d *descriptor) spec() forebay.TableSpec {
	return forebay.TableSpec{
		Name: d.name, Schema: d.current, Key: slices.Clone(d.key), Tablets: d.tablets, Version: d.version,
		DistributeBy: slices.Clone(d.distributeBy), PartitionBy: d.partitionBy, Retention: d.retention,
	}
}

// evolve is the descriptor after a spec's compatible changes; the same one where it changes nothing.
//
// Errors: misconfigured, with what the table has and what the spec says.
func (d *descriptor) evolve(spec forebay.TableSpec) (*descriptor, error) {
	if spec.Schema == nil {
		return d, nil
	}
	fixed := []struct{ what, have, want string }{
		{"key", list(d.key), list(spec.Key)},
		{"version column", quoted(d.version), quoted(spec.Version)},
		{"distribute_by", list(d.distributeBy), list(spec.DistributeBy)},
		{"partition_by", partitionText(d.partitionBy), partitionText(spec.PartitionBy)},
	}
	if spec.Tablets != 0 && spec.Tablets != d.tablets {
		return nil, refuse(d.name, "it has %d tablets, and %d are asked for: their number is fixed at creation",
			d.tablets, spec.Tablets)
	}
	for _, f := range fixed {
		if f.have != f.want {
			return nil, refuse(d.name, "its %s is %s, and %s is asked for: it is fixed at creation", f.what, f.have, f.want)
		}
	}
	schema, err := d.merge(spec.Schema)
	if err != nil {
		return nil, err
	}
	next := *d
	if spec.Retention != 0 {
		next.retention = spec.Retention
	}
	if spec.PartitionBy.Limit != 0 {
		next.partitionBy.Limit = spec.PartitionBy.Limit
	}
	if err := next.checkPartitions(); err != nil {
		return nil, refuse(d.name, "%w", err)
	}
	if schema == d.current {
		if next.retention == d.retention && next.partitionBy == d.partitionBy {
			return d, nil
		}
		return &next, nil
	}
	return next.withSchema(schema, true)
}

// merge is the current schema with the compatible changes of another one.
func (d *descriptor) merge(other *forebay.Schema) (*forebay.Schema, error) {
	columns := d.current.Columns()
	changed := false
	var problems []string
	for _, c := range other.Columns() {
		at := d.current.Find(c.Name)
		switch {
		case at < 0:
			columns = append(columns, c)
			changed = true
		case columns[at].Type == c.Type:
		case slices.Contains(d.placedBy(), c.Name) || !columns[at].Type.WidensTo(c.Type):
			problems = append(problems, fmt.Sprintf("column %q is a %s there and a %s here", c.Name, columns[at].Type, c.Type))
		default:
			columns[at].Type = c.Type
			changed = true
		}
	}
	for _, name := range d.placedBy() {
		if other.Find(name) < 0 {
			problems = append(problems, fmt.Sprintf("column %q, which its rows are placed by, is missing here", name))
		}
	}
	if len(problems) > 0 {
		return nil, refuse(d.name, "its schema is %s, and %s is asked for, which is not a compatible change: %s",
			d.current, other, strings.Join(problems, "; "))
	}
	if !changed {
		return d.current, nil
	}
	schema, err := forebay.NewSchema(columns...)
	if err != nil {
		return nil, refuse(d.name, "%w", err)
	}
	return schema, nil
}

// withSchema is the descriptor with one more shape of rows; current makes it what readers see.
func (d *descriptor) withSchema(schema *forebay.Schema, current bool) (*descriptor, error) {
	if len(d.schemas) >= schemasMax {
		return nil, refuse(d.name, "rows of %d different shapes were written to it, which is the limit: make a new table",
			len(d.schemas))
	}
	next := *d
	next.schemas = append(slices.Clone(d.schemas), schema)
	if current {
		next.current, next.currentID = schema, uint32(len(next.schemas))
	}
	return &next, nil
}

// shape is the id under which rows with exactly these columns were written before; 0 if none were.
func (d *descriptor) shape(schema *forebay.Schema) uint32 {
	for i, s := range d.schemas {
		if s.Equal(schema) {
			return uint32(i + 1)
		}
	}
	return 0
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return "[" + strings.Join(names, ", ") + "]"
}

func partitionText(by forebay.PartitionBy) string {
	if by.Column == "" {
		return "none"
	}
	return by.Column + " by " + by.Template
}

func quoted(name string) string {
	if name == "" {
		return "none"
	}
	return fmt.Sprintf("%q", name)
}

func refuse(table, format string, args ...any) *forebay.Error {
	return forebay.Errorf(fmt.Sprintf("table %q", table), forebay.ClassMisconfigured, format, args...)
}

// checkUserName refuses names that users cannot create.
func checkUserName(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if name[0] == '_' {
		return refuse(name, "names with a leading _ are Forebay's own: choose another name")
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > tableNameMax {
		return refuse(name, "the name has %d characters: allowed are 1 to %d", len(name), tableNameMax)
	}
	for i := range len(name) {
		c := name[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
		if !ok {
			return refuse(name, "the name holds %q: allowed are letters, digits, _ . and -", rune(c))
		}
	}
	return nil
}
