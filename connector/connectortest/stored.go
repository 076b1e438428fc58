// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/forebay-io/forebay"
)

// TabletRows are rows as scans of tables give them: splits are called by the numbers of their tablets, and those of a
// key table have no split.
type TabletRows interface {
	Next(ctx context.Context, b *forebay.Batch) error
	Close() error
}

// ReadTablets lists the rows of each of so many tablets, those of a key table as one, and closes them.
func ReadTablets(ctx context.Context, rows TabletRows, tablets int) ([][]Stored, error) {
	out := make([][]Stored, tablets)
	b := forebay.NewBatch()
	for {
		err := rows.Next(ctx, b)
		if errors.Is(err, io.EOF) {
			return out, rows.Close()
		}
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		tablet, split := 0, b.Split().ID
		if split != "" {
			if tablet, err = strconv.Atoi(split); err != nil || tablet < 0 || tablet >= tablets {
				return nil, errors.Join(fmt.Errorf("split %q is no tablet of %d", split, tablets), rows.Close())
			}
		}
		for i := range b.Len() {
			row := b.Row(i)
			out[tablet] = append(out[tablet], Stored{ID: row.Int("id"), Text: row.Text("text")})
		}
	}
}
