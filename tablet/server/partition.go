// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/tablet"
)

// CreatePartition makes a partition of a table unless it is there; created says whether this call did. However many
// callers race for one, it is made once, and durable before anybody is told of it.
//
// Errors: misconfigured with the code no-such-table, no-such-partition for a name that no row has, or
// too-many-partitions.
// Blocking: on the disk where it is made.
func (s *Server) CreatePartition(ctx context.Context, table, name string) (
	p tablet.Partition, created bool, err error,
) {
	t, err := s.lookup(table)
	if err != nil {
		return p, false, err
	}
	d := t.descriptor.Load()
	if d.partitionBy.Column == "" {
		err := refuse(table, "it has no partitions")
		err.Code = "no-such-partition"
		return p, false, err
	}
	if first, found := t.firstTablet(name); found {
		return tablet.Partition{Name: name, FirstTablet: first}, false, nil
	}
	partitioner, err := tablet.NewPartitioner(d.partitionBy, forebay.NewLayout(d.current))
	if err != nil {
		return p, false, err
	}
	if err := partitioner.Check(name); err != nil {
		return p, false, err
	}
	s.catalogueMu.Lock()
	defer s.catalogueMu.Unlock()
	if s.find(table) != t {
		_, err := s.lookup(table)
		return p, false, errors.Join(err, ctx.Err())
	}
	if first, found := t.firstTablet(name); found {
		return tablet.Partition{Name: name, FirstTablet: first}, false, nil
	}
	if err := s.addPartitionLocked(ctx, t, name); err != nil {
		return p, false, err
	}
	first, _ := t.firstTablet(name)
	s.logger.Info("partition created", "table", table, "partition", name)
	return tablet.Partition{Name: name, FirstTablet: first}, true, nil
}

// addPartitionLocked makes a partition. Until its entry is durable nobody sees it; one whose sync failed is written
// over by the next one.
func (s *Server) addPartitionLocked(ctx context.Context, t *table, name string) error {
	d := t.descriptor.Load()
	count, limit := len(t.partitions()), tablet.PartitionLimit(d.partitionBy, d.tablets)
	if count >= limit {
		err := refuse(t.name, "it has %d partitions, which is its limit, and partition %q would be one more", count, name)
		err.Code = "too-many-partitions"
		err.Cure = "raise the limit of partition_by, or choose a coarser template"
		return err
	}
	b := s.store.NewBatch(0)
	defer closeQuietly(b)
	if err := b.Set(partitionKey(t.id, uint32(count)), []byte(name)); err != nil {
		return classified("create partition", err)
	}
	if err := s.store.Commit(ctx, b, store.SyncNow); err != nil {
		return classified("create partition", err)
	}
	t.addPartition(name, true)
	s.partitionsCreated.Add(1)
	return nil
}

// TableByID is the name of the table with an id.
func (s *Server) TableByID(id uint32) (name string, found bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.ids[id]
	if t == nil {
		return "", false
	}
	return t.name, true
}

// ResolveTablet finds the table with an id, and the number in it of a tablet of a partition, which is empty for a table
// without partitions: what a request from elsewhere names, as Send takes it.
//
// Errors: misconfigured with the code no-such-table, no-such-partition or no-such-tablet.
func (s *Server) ResolveTablet(tableID uint32, partition string, number int) (table string, at int, err error) {
	s.mu.RLock()
	t := s.ids[tableID]
	s.mu.RUnlock()
	refused := func(code, format string, args ...any) (string, int, error) {
		err := forebay.Errorf("find tablet", forebay.ClassMisconfigured, format, args...)
		err.Code = code
		return "", 0, err
	}
	if t == nil {
		return refused("no-such-table", "there is no table with the id %d: it was dropped", tableID)
	}
	d := t.descriptor.Load()
	if number < 0 || number >= d.tablets {
		return refused("no-such-tablet", "table %q has %d tablets and none with the number %d", t.name, d.tablets, number)
	}
	if d.partitionBy.Column == "" {
		if partition != "" {
			return refused("no-such-partition", "table %q has no partitions", t.name)
		}
		return t.name, number, nil
	}
	first, found := t.firstTablet(partition)
	if !found {
		return refused("no-such-partition", "table %q has no partition %q", t.name, partition)
	}
	return t.name, first + number, nil
}

// addPartition gives a partition its tablets.
func (t *table) addPartition(name string, fresh bool) {
	t.grow(t.descriptor.Load().tablets, fresh)
	t.partitionsMu.Lock()
	defer t.partitionsMu.Unlock()
	t.partitionIndex[name] = len(t.partitionNames)
	t.partitionNames = append(t.partitionNames, name)
}

// firstTablet is the number of the first tablet of a partition.
func (t *table) firstTablet(partition string) (number int, found bool) {
	t.partitionsMu.RLock()
	defer t.partitionsMu.RUnlock()
	n, found := t.partitionIndex[partition]
	return n * t.descriptor.Load().tablets, found
}

// partitions are all partitions, in the order in which they were made.
func (t *table) partitions() []tablet.Partition {
	t.partitionsMu.RLock()
	defer t.partitionsMu.RUnlock()
	if len(t.partitionNames) == 0 {
		return nil
	}
	out, tablets := make([]tablet.Partition, len(t.partitionNames)), t.descriptor.Load().tablets
	for i, name := range t.partitionNames {
		out[i] = tablet.Partition{Name: name, FirstTablet: i * tablets}
	}
	return out
}

func (t *table) partitionCount() int {
	t.partitionsMu.RLock()
	defer t.partitionsMu.RUnlock()
	return len(t.partitionNames)
}

// readPartitions reads the partitions of a table, which have no gaps.
func readPartitions(from store.Reader, table uint32) ([]string, error) {
	lower := partitionPrefix(table)
	it, err := from.NewIter(lower, store.PrefixEnd(lower))
	if err != nil {
		return nil, err
	}
	var names []string
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err != nil {
			break
		}
		key := it.Key()[len(lower):]
		if len(key) != 4 || int(binary.BigEndian.Uint32(key)) != len(names) {
			err = forebay.Errorf("read catalogue", forebay.ClassCorrupt, "table %d: partition %x follows %d of them", table,
				key, len(names))
			break
		}
		names = append(names, string(value))
	}
	return names, errors.Join(err, it.Close())
}
