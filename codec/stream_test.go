// SPDX-License-Identifier: Apache-2.0

package codec_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/raw"
)

// steps is an input that gives one answer after the other.
type steps []any

func (s *steps) Read(p []byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	step := (*s)[0]
	*s = (*s)[1:]
	switch step := step.(type) {
	case string:
		return copy(p, step), nil
	case error:
		return 0, step
	default:
		return 0, nil
	}
}

func lines(t *testing.T, in io.Reader, config codec.StreamConfig) *codec.Stream {
	t.Helper()
	dec, err := raw.Format{}.Start(t.Context(), codec.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return codec.NewStream(in, dec.NewDecoder(), config)
}

func values(b *forebay.Batch) (out []string) {
	for _, v := range b.All() {
		out = append(out, string(v))
	}
	return out
}

func TestAnErrorComesBehindTheRecordsBeforeItAndCanPass(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	s := lines(t, &steps{"a\nb\nc", broken, "d\n", broken, broken}, codec.StreamConfig{})
	if err := s.Begin(t.Context(), forebay.Position{}); err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	read := func(wantErr error, want ...string) {
		t.Helper()
		b.Reset(forebay.Split{}, 0)
		if err := s.Read(t.Context(), b); !errors.Is(err, wantErr) || !slices.Equal(values(b), want) {
			t.Fatalf("got %v, %q, want %v, %q", err, values(b), wantErr, want)
		}
	}
	read(nil, "a", "b")
	if p := b.Position(); p.Offset != 4 || p.Detail != "3" || p.Finished {
		t.Errorf("position %+v", p)
	}
	read(broken)
	read(nil, "cd")
	read(broken)
	read(broken)
	read(io.EOF)
	if p := b.Position(); p.Offset != 7 || !p.Finished {
		t.Errorf("position %+v at the end", p)
	}
}

func TestEagerHandsOnWhatOneReadGave(t *testing.T) {
	t.Parallel()
	s := lines(t, &steps{"a\nb\n", "c", "d\ne\n"}, codec.StreamConfig{Eager: true})
	if err := s.Begin(t.Context(), forebay.Position{}); err != nil {
		t.Fatal(err)
	}
	var got [][]string
	b := forebay.NewBatch()
	for {
		b.Reset(forebay.Split{}, 0)
		if err := s.Read(t.Context(), b); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, values(b))
	}
	if len(got) != 2 || !slices.Equal(got[0], []string{"a", "b"}) || !slices.Equal(got[1], []string{"cd", "e"}) {
		t.Errorf("got %q", got)
	}
}

func TestAnInputThatCannotBeSoughtIsReadToItsPosition(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456\n", 200_000)
	s := lines(t, io.MultiReader(strings.NewReader(text)), codec.StreamConfig{})
	if err := s.Begin(t.Context(), forebay.Position{Offset: 8 * 199_999, Detail: "200000"}); err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	if err := s.Read(t.Context(), b); err != nil || b.Len() != 1 || b.Record(0).Offset != 8*199_999 {
		t.Fatal(err, b.Len())
	}
	if p := b.Position(); p.Detail != "200001" || p.Offset != int64(len(text)) {
		t.Errorf("position %+v", p)
	}
	s = lines(t, io.MultiReader(strings.NewReader(text)), codec.StreamConfig{})
	err := s.Begin(t.Context(), forebay.Position{Offset: 8*200_000 + 1})
	if forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("behind the end: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s = lines(t, io.MultiReader(strings.NewReader(text)), codec.StreamConfig{})
	if err := s.Begin(ctx, forebay.Position{Offset: 8 * 100_000}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestAnInputThatGivesNothingIsNotReadForEver(t *testing.T) {
	t.Parallel()
	s := lines(t, endless{}, codec.StreamConfig{})
	if err := s.Begin(t.Context(), forebay.Position{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Read(t.Context(), forebay.NewBatch()); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type endless struct{}

func (endless) Read([]byte) (int, error) { return 0, nil }

func TestPlaceCountsLinesAndCharacters(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text         string
		at           int
		line, column int
	}{
		{"abc", 0, 7, 1},
		{"abc", 2, 7, 3},
		{"a\nb\ncd", 5, 9, 2},
		{"\u00e4\u00f6x", 4, 7, 3},
		{"\xff\xffx", 2, 7, 3},
		{"ab", 9, 7, 3},
	} {
		if line, column := codec.Place([]byte(test.text), 7, test.at); int(line) != test.line || column != test.column {
			t.Errorf("%q at %d: %d:%d, want %d:%d", test.text, test.at, line, column, test.line, test.column)
		}
	}
}

func TestRecallRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]forebay.Class{
		"nonsense": forebay.ClassCorrupt, `{"version":2}`: forebay.ClassMisconfigured,
		`{"version":1,"schema":[{"name":"a","type":"x"}]}`: forebay.ClassCorrupt,
	} {
		if _, err := codec.Recall([]byte(data)); forebay.ClassOf(err) != want {
			t.Errorf("%s: %v", data, err)
		}
	}
	schema := forebay.MustSchema(forebay.Column{Name: "a", Type: forebay.DecimalOf(10, 2)},
		forebay.Column{Name: "b", Type: forebay.JSON})
	if got, err := codec.Recall(codec.Remember(schema)); err != nil || !got.Equal(schema) {
		t.Errorf("got %v, %v", got, err)
	}
}
