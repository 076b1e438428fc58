// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"github.com/forebay-io/forebay/tablet/wire"
)

// TableMessage is what a server says about a table, as it travels.
func TableMessage(t *TableInfo) *wire.Table {
	m := wire.NewTable(t.TableSpec)
	m.Id, m.SchemaId = t.ID, t.SchemaID
	for _, p := range t.Partitions {
		m.Partitions = append(m.Partitions, &wire.Partition{Name: p.Name, FirstTablet: uint32(p.FirstTablet)})
	}
	for _, l := range t.Logs {
		m.Logs = append(m.Logs, &wire.LogRange{First: l.First, End: l.End})
	}
	return m
}

// TableOf is what a server said about a table.
//
// Errors: misconfigured where a column has a type that is not known here.
func TableOf(m *wire.Table) (TableInfo, error) {
	spec, err := m.Spec()
	if err != nil {
		return TableInfo{}, err
	}
	t := TableInfo{TableSpec: spec, ID: m.GetId(), SchemaID: m.GetSchemaId()}
	for _, p := range m.GetPartitions() {
		t.Partitions = append(t.Partitions, Partition{Name: p.GetName(), FirstTablet: int(p.GetFirstTablet())})
	}
	for _, l := range m.GetLogs() {
		t.Logs = append(t.Logs, LogRange{First: l.GetFirst(), End: l.GetEnd()})
	}
	return t, nil
}
