// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/tablet/wire"
)

// requestOf is a request in the words of the server. RP5: it carries the id that its table must have when it is
// applied.
func requestOf(s *server.Server, m *wire.WriteRequest) (forebay.Request, *forebay.Answer) {
	r := m.Forebay(time.Now())
	var err error
	if r.Table, r.Tablet, err = s.ResolveTablet(m.GetTableId(), m.GetPartition(), int(m.GetTablet())); err != nil {
		return r, &forebay.Answer{Code: forebay.CodeNotFound, Message: err.Error()}
	}
	r.TableID = m.GetTableId()
	return r, nil
}

func noSuchTable(id uint32) error {
	e := forebay.Errorf("find table", forebay.ClassMisconfigured, "there is no table with the id %d", id)
	e.Code = "no-such-table"
	return e
}
