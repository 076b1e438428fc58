// SPDX-License-Identifier: Apache-2.0

package server

import (
	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// RowBytesMax bounds one row.
const RowBytesMax = tablet.RowBytesMax

// newEncoder fits an encoder to a layout, whose columns must be columns of the table.
func (s *Server) newEncoder(t *table, layout *forebay.Layout) (forebay.Encoder, error) {
	schemaID, err := s.shape(t, layout.Schema)
	if err != nil {
		return nil, err
	}
	return tablet.NewEncoder(tablet.EncoderConfig{
		Table: tablet.TableInfo{TableSpec: t.descriptor.Load().spec(), ID: t.id}, Layout: layout, SchemaID: schemaID,
		Now: s.now, Next: func() uint32 { return t.nextTablet.Add(1) - 1 },
	})
}
