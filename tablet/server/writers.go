// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

// Append makes a writer for a log table: rows of one writer go to one tablet, in order.
//
// Errors: misconfigured where there is no such table, it has a key, or the configuration is wrong.
func (s *Server) Append(ctx context.Context, table string, config writer.Config) (*writer.Writer, error) {
	return s.openWriter(ctx, openWriter{table: table, config: config, keyed: false})
}

// Upsert makes a writer for a table with a key: a row replaces the one with its key, and Delete removes it.
//
// Errors: misconfigured where there is no such table, it has no key, or the configuration is wrong.
func (s *Server) Upsert(ctx context.Context, table string, config writer.Config) (*writer.Writer, error) {
	return s.openWriter(ctx, openWriter{table: table, config: config, keyed: true})
}

type openWriter struct {
	table  string
	config writer.Config
	keyed  bool
}

func (s *Server) openWriter(ctx context.Context, o openWriter) (*writer.Writer, error) {
	d, err := s.Describe(ctx, o.table)
	if err != nil {
		return nil, err
	}
	if keyed := len(d.Key) > 0; keyed != o.keyed {
		use := "Append"
		if keyed {
			use = "Upsert"
		}
		e := forebay.Errorf("open writer", forebay.ClassMisconfigured, "table %q is of the other kind", o.table)
		e.Cure = "use " + use
		return nil, e
	}
	target, err := s.OpenTable(ctx, d.TableSpec)
	if err != nil {
		return nil, err
	}
	sequencer, ok := target.(forebay.Sequencer)
	if !ok {
		return nil, errors.Join(forebay.Errorf("open writer", forebay.ClassMisconfigured, "no backend"), target.Close())
	}
	o.config.Release = target.Close
	w, err := writer.New(sequencer.Backend(), forebay.NewLayout(d.Schema), o.config)
	if err != nil {
		return nil, errors.Join(err, target.Close())
	}
	return w, nil
}
