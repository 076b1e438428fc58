// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"io"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

// The dead letters of a pipeline are the key table _dlq.<pipeline>: the same record rejected again overwrites.

// letterColumns are the columns of a dead-letter table; the first four are its key.
const (
	letterSplit = iota
	letterOffset
	letterSub
	letterStage
	letterCode
	letterReason
	letterPlace
	letterTime
	letterValue
	letterKeySize = letterStage + 1
)

func letterSchema() *forebay.Schema {
	return forebay.MustSchema(
		forebay.Column{Name: "split", Type: forebay.String},
		forebay.Column{Name: "offset", Type: forebay.Int64},
		forebay.Column{Name: "sub", Type: forebay.Int64},
		forebay.Column{Name: "stage", Type: forebay.String},
		forebay.Column{Name: "code", Type: forebay.String},
		forebay.Column{Name: "reason", Type: forebay.String},
		forebay.Column{Name: "place", Type: forebay.String},
		forebay.Column{Name: "time", Type: forebay.Timestamp},
		forebay.Column{Name: "value", Type: forebay.Binary},
	)
}

// DeadLetterTable is the name of a pipeline's dead-letter table.
func DeadLetterTable(pipeline string) string { return deadLetterPrefix + pipeline }

// letterTable finds the dead-letter table of a pipeline; where it is missing it is made, durable with whatever is
// applied next.
func (s *Server) letterTable(pipeline string) (*table, error) {
	name := DeadLetterTable(pipeline)
	if t := s.find(name); t != nil {
		return t, nil
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	s.catalogueMu.Lock()
	defer s.catalogueMu.Unlock()
	if t := s.find(name); t != nil {
		return t, nil
	}
	schema := letterSchema()
	// One tablet: letters are few, and so they lie in the order of their keys.
	return s.addLocked(forebay.TableSpec{Name: name, Schema: schema, Key: schema.Names()[:letterKeySize], Tablets: 1})
}

// letterRequest encodes dead letters as a request for their table.
func (s *Server) letterRequest(pipeline string, letters []forebay.DeadLetter) (*forebay.Request, error) {
	t, err := s.letterTable(pipeline)
	if err != nil {
		return nil, err
	}
	schema := letterSchema()
	layout := forebay.NewLayout(schema)
	e, err := s.newEncoder(t, layout, nil)
	if err != nil {
		return nil, err
	}
	b := forebay.NewBatch()
	data := e.Open(nil)
	for i := range letters {
		b.Reset(forebay.Split{}, schema.Len())
		b.SetLayout(layout)
		b.AppendSpan(letters[i].Offset, 0, 0)
		b.Record(0).Op = forebay.OpUpsert
		fillLetter(b, &letters[i])
		if _, err := e.Route(b, 0); err != nil {
			return nil, err
		}
		data = e.Append(data)
	}
	data = e.Seal(data, len(letters))
	return &forebay.Request{Table: t.name, Records: len(letters), Data: data}, nil
}

// letterValueMax leaves room beside the value; what a larger record has beyond it is cut off.
const letterValueMax = int(RowBytesMax - forebay.MiB)

func fillLetter(b *forebay.Batch, l *forebay.DeadLetter) {
	cells := b.Cells(0)
	text := func(v string) forebay.Cell {
		return forebay.SpanCell(forebay.KindString, b.AppendText(v), len(v))
	}
	cells[letterSplit] = text(l.Split)
	cells[letterOffset] = forebay.Int64Cell(l.Offset)
	cells[letterSub] = forebay.Int64Cell(int64(l.Sub))
	cells[letterStage] = text(string(l.Stage))
	cells[letterCode] = text(l.Code)
	cells[letterReason] = text(l.Reason)
	cells[letterPlace] = text(l.Place)
	cells[letterTime] = forebay.TimestampCell(l.Time)
	if l.Value != nil {
		value := l.Value[:min(len(l.Value), letterValueMax)]
		cells[letterValue] = forebay.SpanCell(forebay.KindBytes, b.AppendBytes(value), len(value))
	}
}

// AppendDeadLetters implements forebay.DeadLetterHolder.
func (s *Server) AppendDeadLetters(ctx context.Context, pipeline string, letters []forebay.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	r, err := s.letterRequest(pipeline, letters)
	if err != nil {
		return classified("write dead letters", err)
	}
	return forebay.Await(ctx, s, r).Err("write dead letters")
}

// TrimDeadLetters implements forebay.DeadLetterHolder: it removes the letters at or above the positions, and those
// of splits that are not listed, which have not delivered anything.
func (s *Server) TrimDeadLetters(ctx context.Context, pipeline string, from map[string]forebay.Position) (int, error) {
	name := DeadLetterTable(pipeline)
	t := s.find(name)
	if t == nil {
		return 0, nil
	}
	gone, err := s.lettersFrom(ctx, name, from)
	if err != nil || gone.count == 0 {
		return 0, err
	}
	r := forebay.Request{
		Table: name, Records: gone.count,
		Data: forebay.SealRowBatch(gone.data, t.descriptor.Load().currentID, gone.count, s.now()),
	}
	d := s.spare.take(1)
	defer s.spare.give(d)
	if refusal := s.add(d, &r, 0); refusal != nil {
		return 0, refusal.Err("trim dead letters")
	}
	answer, batch := s.commitPieces(d, func(b *store.Batch) error {
		b.UseReserve()
		return nil
	})
	if answer.Code == forebay.CodeOK {
		answer = s.settled(ctx, answer, batch, store.SyncNow)
	}
	return gone.count, answer.Err("trim dead letters")
}

// deletes is a row batch of deletes in the making.
type deletes struct {
	data  []byte
	count int
}

// lettersFrom collects the keys of the letters that the positions have not passed.
func (s *Server) lettersFrom(ctx context.Context, name string, from map[string]forebay.Position) (deletes, error) {
	out := deletes{data: forebay.AppendRowBatchHeader(nil, true)}
	scanner, err := s.Scan(ctx, ScanRequest{Table: name})
	if err != nil {
		return out, err
	}
	keys, err := forebay.NewKeyEncoder(scanner.Layout(), []int{letterSplit, letterOffset, letterSub, letterStage})
	if err != nil {
		return out, errors.Join(err, scanner.Close())
	}
	b := forebay.NewBatch()
	var key []byte
	for {
		if err = scanner.Next(ctx, b); err != nil {
			break
		}
		for i := range b.Len() {
			cells := b.Cells(i)
			at := from[string(cells[letterSplit].Bytes(b.Slab()))]
			if at.Finished || cells[letterOffset].Int() < at.Offset {
				continue
			}
			if key, err = keys.Append(key[:0], b, i); err != nil {
				return out, errors.Join(err, scanner.Close())
			}
			out.data = forebay.AppendSizedRow(forebay.AppendRowKey(out.data, forebay.OpDelete, key), nil)
			out.count++
		}
	}
	if !errors.Is(err, io.EOF) {
		return out, errors.Join(err, scanner.Close())
	}
	return out, scanner.Close()
}
