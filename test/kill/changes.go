// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"context"
	"errors"
	"fmt"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet/server"
)

// Changes reads the change log of every tablet of the campaign's table, from its beginning to its end, and
// returns how many changes they hold: one for each delivery, also where it changed nothing.
func (c *Campaign) Changes() int64 {
	c.t.Helper()
	n, err := countChanges(c.t.Context(), c.state, c.config.Table)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

func countChanges(ctx context.Context, dir, table string) (total int64, err error) {
	state, err := pipeline.OpenState(ctx, pipeline.StateConfig{Dir: dir})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	info, err := state.Tables().Describe(ctx, table)
	if err != nil {
		return 0, err
	}
	for tablet, log := range info.Logs {
		if err := followLog(ctx, state.Tables(), LogPlace{Table: table, Tablet: tablet, End: log.End}); err != nil {
			return 0, err
		}
		total += log.End
	}
	return total, nil
}

// LogPlace is the log of one tablet up to an end.
type LogPlace struct {
	Table  string
	Tablet int
	End    int64
	// Read is called with the number of rows that were read; it may be nil.
	Read func(rows int)
}

// followLog reads a log from its beginning to the end, which may be still to come: the offsets must follow each
// other.
//
// Errors: a gap, and those of the reader, also the end of ctx.
func followLog(ctx context.Context, srv *server.Server, at LogPlace) (err error) {
	reader, err := srv.ReadLog(at.Table, at.Tablet, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	b := forebay.NewBatch()
	for due := int64(0); due < at.End; {
		if err := reader.Next(ctx, b); err != nil {
			return fmt.Errorf("tablet %d: after %d rows: %w", at.Tablet, due, err)
		}
		for i := range b.Len() {
			if offset := b.Record(i).Offset; offset != due {
				return fmt.Errorf("tablet %d: offset %d comes where %d is due", at.Tablet, offset, due)
			}
			due++
		}
		if at.Read != nil {
			at.Read(b.Len())
		}
	}
	return nil
}
