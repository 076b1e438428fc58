// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/tablet"
)

// loadCatalogue reads all tables.
func (s *Server) loadCatalogue() error {
	id, err := s.store.Get(nil, catalogueNextIDKey())
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case len(id) != 4:
		return forebay.Errorf("read catalogue", forebay.ClassCorrupt, "%d bytes are no table id", len(id))
	default:
		s.nextID = binary.BigEndian.Uint32(id)
	}
	lower := catalogueTableKey("")
	it, err := s.store.NewIter(lower, store.PrefixEnd(lower))
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err != nil {
			break
		}
		var d *descriptor
		if d, err = decodeDescriptor(value); err == nil {
			err = s.loadTable(d)
			s.nextID = max(s.nextID, d.id+1)
		}
	}
	return errors.Join(err, it.Close())
}

// loadTable reads the partitions of a table.
func (s *Server) loadTable(d *descriptor) error {
	names, err := readPartitions(s.store, d.id)
	if err != nil {
		return err
	}
	t := newTable(d)
	for _, name := range names {
		t.addPartition(name, false)
	}
	s.tables[d.name], s.ids[d.id] = t, t
	return nil
}

// OpenTable makes the table if it is missing, applies compatible changes of its schema and returns the target that
// writes to it: a Sequencer and a ProgressHolder whose backend is a Committer. Without a schema the table must exist.
//
// Errors: misconfigured, with what the table has and what the spec says; then nothing was written.
// Blocking: on the disk where something changes.
func (s *Server) OpenTable(ctx context.Context, spec forebay.TableSpec) (forebay.Target, error) {
	if err := checkUserName(spec.Name); err != nil && !isDeadLetterTable(spec.Name) {
		return nil, err
	}
	s.catalogueMu.Lock()
	defer s.catalogueMu.Unlock()
	t := s.find(spec.Name)
	if t == nil {
		if isDeadLetterTable(spec.Name) && spec.Schema != nil {
			return nil, checkUserName(spec.Name)
		}
		var err error
		if t, err = s.createLocked(ctx, spec); err != nil {
			return nil, err
		}
	} else if err := s.evolveLocked(ctx, t, spec); err != nil {
		return nil, err
	}
	t.handles++
	return newHandle(s, t), nil
}

// Create makes a table that must not exist.
func (s *Server) Create(ctx context.Context, spec forebay.TableSpec) error {
	if err := checkUserName(spec.Name); err != nil {
		return err
	}
	s.catalogueMu.Lock()
	defer s.catalogueMu.Unlock()
	if t := s.find(spec.Name); t != nil {
		err := refuse(spec.Name, "it exists, with the columns %s", t.descriptor.Load().current)
		err.Code = "exists"
		return err
	}
	_, err := s.createLocked(ctx, spec)
	return err
}

// createLocked makes a table, durably.
func (s *Server) createLocked(ctx context.Context, spec forebay.TableSpec) (*table, error) {
	t, err := s.addLocked(spec)
	if err != nil {
		return nil, err
	}
	if err := s.store.Sync(ctx, store.SyncNow); err != nil {
		return nil, classified("create table", err)
	}
	fault.Hit(fault.TableCreated)
	s.logger.Info("table created", "table", t.name, "tablets", len(t.list()))
	return t, nil
}

// addLocked makes a table, which is durable once anything applied later is.
func (s *Server) addLocked(spec forebay.TableSpec) (*table, error) {
	d, err := newDescriptor(spec, s.nextID)
	if err != nil {
		return nil, err
	}
	b := s.store.NewBatch(0)
	defer closeQuietly(b)
	if err := b.Set(catalogueNextIDKey(), store.AppendUint32(nil, s.nextID+1)); err != nil {
		return nil, classified("create table", err)
	}
	if err := s.applyDescriptor(b, d); err != nil {
		return nil, err
	}
	s.nextID++
	t := newTable(d)
	for _, tb := range t.list() {
		tb.loaded, tb.writersLoaded = true, true // ids are never given again, so there is nothing to find
	}
	s.mu.Lock()
	s.tables[d.name], s.ids[d.id] = t, t
	s.mu.Unlock()
	return t, nil
}

// applyDescriptor puts the descriptor into the batch and applies it.
func (s *Server) applyDescriptor(b *store.Batch, d *descriptor) error {
	value, err := d.encode()
	if err != nil {
		return err
	}
	if err := b.Set(catalogueTableKey(d.name), value); err != nil {
		return classified("write catalogue", err)
	}
	if err := s.store.Apply(b); err != nil {
		return classified("write catalogue", err)
	}
	return nil
}

// evolveLocked applies the compatible changes of a spec, durably.
func (s *Server) evolveLocked(ctx context.Context, t *table, spec forebay.TableSpec) error {
	was := t.descriptor.Load()
	d, err := was.evolve(spec)
	if err != nil || d == was {
		return err
	}
	if err := s.replaceLocked(t, d); err != nil {
		return err
	}
	if err := s.store.Sync(ctx, store.SyncNow); err != nil {
		return classified("change schema", err)
	}
	fault.Hit(fault.SchemaChanged)
	s.logger.Info("schema changed", "table", t.name, "schema", d.current.String())
	return nil
}

// replaceLocked gives a table another descriptor, which is durable once anything applied later is.
func (s *Server) replaceLocked(t *table, d *descriptor) error {
	b := s.store.NewBatch(0)
	defer closeQuietly(b)
	if err := s.applyDescriptor(b, d); err != nil {
		return err
	}
	t.descriptor.Store(d)
	return nil
}

// shape is the id under which rows with the columns of a schema are written; one that is new is added to the
// catalogue where the table can take it as it is.
func (s *Server) shape(t *table, schema *forebay.Schema) (uint32, error) {
	if id := t.descriptor.Load().shape(schema); id != 0 {
		return id, nil
	}
	s.catalogueMu.Lock()
	defer s.catalogueMu.Unlock()
	d := t.descriptor.Load()
	if id := d.shape(schema); id != 0 {
		return id, nil
	}
	if err := d.accepts(schema); err != nil {
		return 0, err
	}
	next, err := d.withSchema(schema, false)
	if err != nil {
		return 0, err
	}
	if err := s.replaceLocked(t, next); err != nil {
		return 0, err
	}
	return uint32(len(next.schemas)), nil
}

// Shape is the id under which rows with the columns of a schema are written to a table, which must have the id given.
// One that is new is durable on return, so that no other columns get it after a crash.
//
// Errors: misconfigured where the table has another id (no-such-table), or cannot take such rows as it is.
func (s *Server) Shape(ctx context.Context, table string, id uint32, schema *forebay.Schema) (uint32, error) {
	t, err := s.lookup(table)
	if err != nil {
		return 0, err
	}
	if t.id != id {
		err := refuse(table, "it was made again and is another one")
		err.Code = "no-such-table"
		return 0, err
	}
	shape, err := s.shape(t, schema)
	if err != nil {
		return 0, err
	}
	if err := s.store.Sync(ctx, store.SyncSoon); err != nil {
		return 0, classified("add shape", err)
	}
	return shape, nil
}

// accepts says whether rows of a schema can be written without a change of the table.
func (d *descriptor) accepts(schema *forebay.Schema) error {
	for _, c := range schema.Columns() {
		at := d.current.Find(c.Name)
		switch {
		case at < 0:
			return refuse(d.name, "it has no column %q; it has %s", c.Name, d.current)
		case slices.Contains(d.placedBy(), c.Name) &&
			c.Type != d.current.Column(at).Type,
			!c.Type.WidensTo(d.current.Column(at).Type):
			return refuse(d.name, "column %q is a %s there and a %s here", c.Name, d.current.Column(at).Type, c.Type)
		}
	}
	for _, name := range d.placedBy() {
		if schema.Find(name) < 0 {
			return refuse(d.name, "column %q, which its rows are placed by, is missing here", name)
		}
	}
	return nil
}

// Tables describes all tables, in the order of their names.
func (s *Server) Tables(ctx context.Context) ([]tablet.TableInfo, error) {
	s.mu.RLock()
	names := slices.Sorted(maps.Keys(s.tables))
	s.mu.RUnlock()
	out := make([]tablet.TableInfo, 0, len(names))
	for _, name := range names {
		info, err := s.Describe(ctx, name)
		switch {
		case isNoSuchTable(err): // it was dropped meanwhile
		case err != nil:
			return nil, err
		default:
			out = append(out, info)
		}
	}
	return out, nil
}

// Describe describes one table.
//
// Errors: misconfigured with the code no-such-table.
func (s *Server) Describe(_ context.Context, name string) (tablet.TableInfo, error) {
	t, err := s.lookup(name)
	if err != nil {
		return tablet.TableInfo{}, err
	}
	d := t.descriptor.Load()
	info := tablet.TableInfo{TableSpec: d.spec(), ID: t.id, SchemaID: d.currentID, Partitions: t.partitions()}
	for _, tb := range t.list() {
		if err := tb.load(s.store); err != nil {
			return tablet.TableInfo{}, classified("describe table", err)
		}
		info.Logs = append(info.Logs, tablet.LogRange{First: tb.first.Load(), End: tb.synced.Load()})
	}
	return info, nil
}

func isNoSuchTable(err error) bool {
	e, ok := errors.AsType[*forebay.Error](err)
	return ok && e.Code == "no-such-table"
}

// lookup finds a table or says which ones there are.
func (s *Server) lookup(name string) (*table, error) {
	if t := s.find(name); t != nil {
		return t, nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := slices.Sorted(maps.Keys(s.tables))
	err := refuse(name, "it does not exist; there is %s", list(names[:min(len(names), 20)]))
	err.Code = "no-such-table"
	return nil, err
}

// Drop removes a table with its rows and its log, durably.
//
// Errors: misconfigured where it does not exist (no-such-table), or a target of it is open (in-use).
func (s *Server) Drop(ctx context.Context, name string) error {
	s.catalogueMu.Lock()
	defer s.catalogueMu.Unlock()
	t, err := s.lookup(name)
	if err != nil {
		return err
	}
	if t.handles > 0 {
		err := refuse(name, "a pipeline or a writer of this process has it open: stop it first")
		err.Code = "in-use"
		return err
	}
	for _, tb := range t.list() {
		tb.mu.Lock()
	}
	err = s.removeTable(t)
	for _, tb := range t.list() {
		tb.dropped = err == nil
		tb.mu.Unlock()
	}
	if err != nil {
		return classified("drop table", err)
	}
	s.mu.Lock()
	delete(s.tables, name)
	delete(s.ids, t.id)
	s.mu.Unlock()
	if err := s.store.Sync(ctx, store.SyncNow); err != nil {
		return classified("drop table", err)
	}
	s.logger.Info("table dropped", "table", name)
	return nil
}

// removeTable deletes everything of a table. It may use the reserve of the disk, since it gives space back.
func (s *Server) removeTable(t *table) error {
	b := s.store.NewBatch(0)
	defer closeQuietly(b)
	b.UseReserve()
	partitions := partitionPrefix(t.id)
	err := errors.Join(
		b.Delete(catalogueTableKey(t.name)), b.DeleteRange(partitions, store.PrefixEnd(partitions)))
	for _, space := range []byte{store.SpaceRows, store.SpaceLog, store.SpaceDedup, store.SpaceTabletMeta} {
		lower, upper := tableRange(space, t.id)
		err = errors.Join(err, b.DeleteRange(lower, upper))
	}
	if err != nil {
		return err
	}
	return s.store.Apply(b)
}

func isDeadLetterTable(name string) bool {
	return strings.HasPrefix(name, deadLetterPrefix) && checkName(name) == nil
}

// closeQuietly gives the memory of a batch back; a failure poisons the store, which says so itself.
func closeQuietly(b *store.Batch) { _ = b.Close() }
