// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"
	"errors"
	"fmt"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

// Writers opens writers and sessions over the tables of a server, wherever that is.
type Writers struct {
	// Describe says what a table is.
	Describe func(ctx context.Context, table string) (TableInfo, error)
	// Open opens a table that was described; a writer closes it at its end.
	Open func(ctx context.Context, info TableInfo) (forebay.Target, error)
	// Memory is that of writers and sessions which bring none; with nil each has its own.
	Memory *writer.Memory
}

// Append is that of Opener.
func (o Writers) Append(ctx context.Context, table string, config writer.Config) (*writer.Writer, error) {
	info, err := o.Describe(ctx, table)
	if err != nil {
		return nil, err
	}
	if len(info.Key) > 0 {
		e := forebay.Errorf("open writer", forebay.ClassMisconfigured, "table %q has the key %v", table, info.Key)
		e.Cure = "use Upsert"
		return nil, e
	}
	return o.open(ctx, info, config)
}

// Upsert is that of Opener.
func (o Writers) Upsert(ctx context.Context, table string, config writer.Config) (*writer.Writer, error) {
	info, err := o.Describe(ctx, table)
	if err != nil {
		return nil, err
	}
	if len(info.Key) == 0 {
		e := forebay.Errorf("open writer", forebay.ClassMisconfigured, "table %q has no key", table)
		e.Cure = "use Append"
		return nil, e
	}
	return o.open(ctx, info, config)
}

// Session is that of Opener.
func (o Writers) Session(config writer.SessionConfig) (*writer.Session, error) {
	if config.Memory == nil && config.Writer.BufferMemory == 0 {
		config.Memory = o.Memory
	}
	return writer.NewSession(func(ctx context.Context, table string, config writer.Config) (*writer.Writer, error) {
		info, err := o.Describe(ctx, table)
		if err != nil {
			return nil, err
		}
		return o.open(ctx, info, config)
	}, config)
}

// open makes a writer, which closes its target at its end.
func (o Writers) open(ctx context.Context, info TableInfo, config writer.Config) (*writer.Writer, error) {
	target, err := o.Open(ctx, info)
	if err != nil {
		return nil, err
	}
	sequencer, ok := target.(forebay.Sequencer)
	if !ok {
		return nil, errors.Join(fmt.Errorf("open writer: a %T takes no requests", target), target.Close())
	}
	if config.Memory == nil && config.BufferMemory == 0 {
		config.Memory = o.Memory
	}
	config.Release = target.Close
	w, err := writer.New(sequencer.Backend(), forebay.NewLayout(info.Schema), config)
	if err != nil {
		return nil, errors.Join(err, target.Close())
	}
	return w, nil
}
