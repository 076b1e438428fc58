// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/tablet/wire"
)

// call is what a call that concerns one table, or none, needs.
type call struct {
	op    string
	right Right
	table string
}

// begin checks the rights of a call and takes it in. end lets go of it.
func (f *Front) begin(ctx context.Context, c call) (s *server.Server, end func(), err error) {
	who := f.caller(ctx)
	switch {
	case c.table == "":
		err = who.allowed(c.op)
	case c.right == "":
		err = who.allowAny(c.op, c.table)
	default:
		err = who.allow(c.op, c.right, c.table)
	}
	if err != nil {
		return nil, nil, wire.StatusError(err)
	}
	s, refused := f.gate.enter(0)
	if refused != nil {
		return nil, nil, wire.StatusError(refused.err(c.op))
	}
	return s, func() { f.gate.leave(0) }, nil
}

// InitWriter implements wire.TabletsServer: 128 random bits, so nothing has to be stored.
func (f *Front) InitWriter(ctx context.Context, _ *wire.InitWriterRequest) (*wire.InitWriterAnswer, error) {
	_, end, err := f.begin(ctx, call{op: "init writer"})
	if err != nil {
		return nil, err
	}
	defer end()
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, wire.StatusError(forebay.Errorf("init writer", forebay.ClassTransient, "%w", err))
	}
	return &wire.InitWriterAnswer{WriterId: hex.EncodeToString(id[:])}, nil
}

// ListTables implements wire.TabletsServer. Tables that the caller may neither read nor write are left out.
func (f *Front) ListTables(ctx context.Context, _ *wire.ListTablesRequest) (*wire.ListTablesAnswer, error) {
	s, end, err := f.begin(ctx, call{op: "list tables"})
	if err != nil {
		return nil, err
	}
	defer end()
	list, err := s.Tables(ctx)
	if err != nil {
		return nil, wire.StatusError(err)
	}
	who := f.caller(ctx)
	out := &wire.ListTablesAnswer{}
	for i := range list {
		if who.allowAny("list tables", list[i].Name) == nil {
			out.Tables = append(out.Tables, tablet.TableMessage(&list[i]))
		}
	}
	return out, nil
}

// DescribeTable implements wire.TabletsServer.
func (f *Front) DescribeTable(ctx context.Context, m *wire.DescribeTableRequest) (*wire.Table, error) {
	s, end, err := f.begin(ctx, call{op: "describe table", table: m.GetName()})
	if err != nil {
		return nil, err
	}
	defer end()
	return describe(ctx, s, m.GetName())
}

func describe(ctx context.Context, s *server.Server, name string) (*wire.Table, error) {
	info, err := s.Describe(ctx, name)
	if err != nil {
		return nil, wire.StatusError(err)
	}
	return tablet.TableMessage(&info), nil
}

// CreateTable implements wire.TabletsServer.
func (f *Front) CreateTable(ctx context.Context, m *wire.CreateTableRequest) (*wire.Table, error) {
	name := m.GetTable().GetName()
	s, end, err := f.begin(ctx, call{op: "create table", right: RightWrite, table: named(name)})
	if err != nil {
		return nil, err
	}
	defer end()
	if m.GetTable() == nil {
		return nil, wire.StatusError(forebay.Errorf("create table", forebay.ClassMisconfigured, "no table is described"))
	}
	spec, err := m.GetTable().Spec()
	if err != nil {
		return nil, wire.StatusError(err)
	}
	switch {
	case m.GetOpen():
		var target forebay.Target
		if target, err = s.OpenTable(ctx, spec); err == nil {
			err = target.Close()
		}
	case spec.Schema == nil:
		err = forebay.Errorf("create table", forebay.ClassMisconfigured, "table %q has no columns", name)
	default:
		err = s.Create(ctx, spec)
	}
	if err != nil {
		return nil, wire.StatusError(err)
	}
	return describe(ctx, s, name)
}

// named is a name for which rights are asked: an empty one is refused by the catalogue, and until then needs a right
// like any other.
func named(name string) string {
	if name == "" {
		return "-"
	}
	return name
}

// DropTable implements wire.TabletsServer.
func (f *Front) DropTable(ctx context.Context, m *wire.DropTableRequest) (*wire.DropTableAnswer, error) {
	s, end, err := f.begin(ctx, call{op: "drop table", right: RightWrite, table: named(m.GetName())})
	if err != nil {
		return nil, err
	}
	defer end()
	if err := s.Drop(ctx, m.GetName()); err != nil {
		return nil, wire.StatusError(err)
	}
	return &wire.DropTableAnswer{}, nil
}

// byID finds a table by its id for a call that needs a right to it.
func (f *Front) byID(ctx context.Context, op string, id uint32) (s *server.Server, name string, end func(), err error) {
	s, end, err = f.begin(ctx, call{op: op})
	if err != nil {
		return nil, "", nil, err
	}
	name, found := s.TableByID(id)
	if found {
		err = f.caller(ctx).allow(op, RightWrite, name)
	} else {
		err = noSuchTable(id)
	}
	if err != nil {
		end()
		return nil, "", nil, wire.StatusError(err)
	}
	return s, name, end, nil
}

// Shape implements wire.TabletsServer.
func (f *Front) Shape(ctx context.Context, m *wire.ShapeRequest) (*wire.ShapeAnswer, error) {
	s, table, end, err := f.byID(ctx, "open writer", m.GetTableId())
	if err != nil {
		return nil, err
	}
	defer end()
	schema, err := wire.Schema(m.GetColumns())
	if err == nil && schema == nil {
		err = errors.New("no columns are named")
	}
	if err != nil {
		return nil, wire.StatusError(forebay.Errorf("open writer", forebay.ClassMisconfigured, "table %q: %w", table, err))
	}
	id, err := s.Shape(ctx, table, m.GetTableId(), schema)
	if err != nil {
		return nil, wire.StatusError(err)
	}
	return &wire.ShapeAnswer{SchemaId: id}, nil
}

// CreatePartition implements wire.TabletsServer.
func (f *Front) CreatePartition(ctx context.Context, m *wire.CreatePartitionRequest) (*wire.Partition, error) {
	s, table, end, err := f.byID(ctx, "create partition", m.GetTableId())
	if err != nil {
		return nil, err
	}
	defer end()
	p, created, err := s.CreatePartition(ctx, table, m.GetName())
	if err != nil {
		return nil, wire.StatusError(err)
	}
	return &wire.Partition{Name: p.Name, FirstTablet: uint32(p.FirstTablet), Created: created}, nil
}

// Count implements wire.TabletsServer.
func (f *Front) Count(ctx context.Context, m *wire.CountRequest) (*wire.CountAnswer, error) {
	s, end, err := f.begin(ctx, call{op: "count", right: RightRead, table: named(m.GetTable())})
	if err != nil {
		return nil, err
	}
	defer end()
	n, err := s.Count(ctx, m.GetTable())
	if err != nil {
		return nil, wire.StatusError(err)
	}
	return &wire.CountAnswer{Count: n}, nil
}

// State implements wire.TabletsServer.
func (f *Front) State(ctx context.Context, m *wire.StateRequest) (*wire.StateAnswer, error) {
	s, end, err := f.begin(ctx, call{op: "read progress", table: server.DeadLetterTable(m.GetPipeline())})
	if err != nil {
		return nil, err
	}
	defer end()
	state, err := s.State(ctx, m.GetPipeline())
	if err != nil {
		return nil, wire.StatusError(err)
	}
	return wire.NewStateAnswer(state), nil
}

// Fence implements wire.TabletsServer.
func (f *Front) Fence(ctx context.Context, m *wire.FenceRequest) (*wire.FenceAnswer, error) {
	fence := m.Forebay()
	s, end, err := f.begin(ctx, call{op: "fence", right: RightWrite, table: server.DeadLetterTable(fence.Pipeline)})
	if err != nil {
		return nil, err
	}
	defer end()
	if err := s.Fence(ctx, fence); err != nil {
		return nil, wire.StatusError(err)
	}
	return &wire.FenceAnswer{}, nil
}

// Forget implements wire.TabletsServer.
func (f *Front) Forget(ctx context.Context, m *wire.ForgetRequest) (*wire.ForgetAnswer, error) {
	s, end, err := f.begin(ctx, call{
		op: "forget progress", right: RightWrite, table: server.DeadLetterTable(m.GetPipeline()),
	})
	if err != nil {
		return nil, err
	}
	defer end()
	if err := s.Forget(ctx, m.GetPipeline()); err != nil {
		return nil, wire.StatusError(err)
	}
	return &wire.ForgetAnswer{}, nil
}
