// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/transform"
)

func TestBucketOfAnExpression(t *testing.T) {
	t.Parallel()
	at := time.Date(2013, 7, 4, 23, 5, 9, 0, time.UTC)
	for name, c := range map[string]struct {
		pattern string
		carrier any
		want    string
	}{
		"of text":               {"region={=upper(carrier)}/x", "ua", "region=UA/x"},
		"of numbers":            {"shard={=n % 4}", "", "shard=-3"},
		"several":               {"{=lower(carrier)}-{carrier}-{=n + 10}", "UA", "ua-UA-3"},
		"a column":              {"{=carrier}/{=n}", "UA", "UA/-7"},
		"a bool":                {"{=n > 0}", "", "false"},
		"a float":               {"{=n / 2}", "", "-3.5"},
		"a decision":            {`{=n < 0 ? "low" : "high"}`, "", "low"},
		"null":                  {"{=upper(carrier)}", nil, "__null__"},
		"a value for null":      {`{=carrier ?? "none"}`, nil, "none"},
		"empty":                 {"{=trim(carrier)}", "  ", "__empty__"},
		"a text that says null": {`{="__" + carrier + "__"}`, "null", "%5F_null__"},
		"a path":                {`{=carrier + "/x"}/y`, "../a", "%2E.%2Fa%2Fx/y"},
		"braces in texts":       {`{="}" + '{' + ` + "`}}`" + `}/{{{=n}}}`, "", "%7D%7B%7D%7D/{-7}"},
		"quotes in texts":       {`{="\"}" + '\'}' + ` + "`a``}`" + `}`, "", "%22%7D'%7Da`%7D"},
		"braces of maps":        {`{=string({"a": {"b": "x" + carrier}}.a.b)}`, "y", "xy"},
		"braces of predicates":  {"{=count([1, 2, 3], {# > 1})}", "", "2"},
		"comments":              {"{=n /* } ' */ + 1 // }\n}/z", "", "-6/z"},
		"a time with a format":  {`{=format(at, "2006-01")}/{at:%d}`, "", "2013-07/04"},
		"a date as text":        {"{=string(day)}", "", "2013-07-04"},
		"run by the machine":    {`{=let k = n * 2; "k" + string(k)}`, "", "k-14"},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !p.NeedsRows() {
			t.Errorf("%s needs no rows", name)
		}
		b := bucketRow(t, c.carrier, at)
		buckets, err := p.bucketer(b.Layout())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		before := string(b.Slab())
		for range 2 {
			got, err := buckets.append([]byte("+"), b, 0, at)
			if err != nil || string(got) != "+"+c.want {
				t.Errorf("%s: the bucket is %q (%v), want %q", name, got, err, "+"+c.want)
			}
		}
		if string(b.Slab()) != before {
			t.Errorf("%s left something in the batch", name)
		}
	}
}

func TestWrongExpressionsOfAPatternAreRefused(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"{=": "not closed", "{=n": "not closed", `{="}`: "not closed", "{=n // }": "not closed", "{=n /* }": "not closed",
		"{={}": "not closed", "{=}": "no expression", "{= }": "no expression", "{=at:%Y}": "takes no format",
		"{=n}}": "closes nothing", "{=n}/": "slash", "/{=n}": "slash", "_{=n}": "pass over",
	} {
		if _, err := ParsePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", pattern, err, want)
		}
	}
	schema := bucketRow(t, "", time.Unix(0, 0)).Layout().Schema
	for pattern, want := range map[string]struct{ message, place, nearest string }{
		"k={=uper(carrier)}":      {"no function", "uper", "upper"},
		"{n}/{=carier}":           {"no column", "carier", "carrier"},
		"{=n +}":                  {"ends too early", "", ""},
		"{=carrier + 1}":          {"cannot", "+", ""},
		"\u00e4/{=x\u00e4xy + n}": {"no column", "x\u00e4xy", ""},
		"x/{=now()}":              {"replay", "now()", ""},
		"x/{=string(now())}":      {"replay", "string(now())", ""},
		"{=at}":                   {"needs a format", "at", ""},
		"{=date(at)}":             {"needs a format", "date(at)", ""},
		"{=raw}":                  {"names no folder", "raw", ""},
		"{=json({})}":             {"names no folder", "json({})", ""},
		"{=nil}":                  {"names no folder", "nil", ""},
		"{=at - at}":              {"names no folder", "at - at", ""},
		"{=[1]}/{n}":              {"names no folder", "[1]", ""},
		"a={carrier}/{=n; n}/{n}": {"one value", "", ""},
	} {
		p, err := ParsePattern(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		e, ok := errors.AsType[*transform.ExprError](p.Check(schema))
		if !ok || !strings.Contains(e.Message, want.message) || e.Nearest != want.nearest || e.Expr != pattern {
			t.Errorf("%s: %+v, want %q", pattern, e, want)
			continue
		}
		if place := e.Expr[e.Offset : e.Offset+e.Length]; want.place != "" && place != want.place {
			t.Errorf("%s: it is placed at %q, want %q", pattern, place, want.place)
		}
		if err := p.Check(nil); err == nil || !strings.Contains(err.Error(), "typed rows") {
			t.Errorf("%s without rows: %v", pattern, err)
		}
	}
}

func TestEverythingWrongWithAPatternIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	p, err := ParsePattern("{=a + b}/{c}/{=d}")
	if err != nil {
		t.Fatal(err)
	}
	schema := bucketRow(t, "", time.Unix(0, 0)).Layout().Schema
	for _, name := range []string{`"a"`, `"b"`, `"c"`, `"d"`} {
		if err := p.Check(schema); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v says nothing of %s", err, name)
		}
	}
	if _, err := p.bucketer(forebay.NewLayout(schema)); forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("%v, want class misconfigured", err)
	}
}

// An expression's bucket is that of a column which set gave its value.
func TestExpressionGivesTheBucketOfASetColumn(t *testing.T) {
	t.Parallel()
	texts := rapid.SampledFrom([]string{
		"s", `"}"`, "'{'", "`a/b`", "upper(s)", "trim(s)", `s + "_" + s`, `(s ?? "none")`, `(i > 2 ? s : "x")`,
		"string(i)", "s[0:2]", `string({"k": {"}": s}}.k["}"])`, `format(at, "2006-01-02")`, "(let t = s; t + t)",
	})
	numbers := rapid.SampledFrom([]string{
		"i", "i % j", "i / j", "i // a comment }\n + j", "i * 9223372036854775807", "int(s)", "len(s)", "d", "max(i, 2)",
		"f", "f ** 2", "count([i, j], {# > 1})", "i in [1, 2]", "not (i > j)", "b", "i - j /* } */", "min(i, j)",
	})
	expressions := rapid.OneOf(texts, numbers, rapid.Custom(func(t *rapid.T) string {
		return texts.Draw(t, "left") + " + " + texts.Draw(t, "right")
	}))
	schema := forebay.MustSchema(
		forebay.Column{Name: "s", Type: forebay.String}, forebay.Column{Name: "i", Type: forebay.Int64},
		forebay.Column{Name: "j", Type: forebay.Int32}, forebay.Column{Name: "d", Type: forebay.DecimalOf(10, 2)},
		forebay.Column{Name: "f", Type: forebay.Float64}, forebay.Column{Name: "b", Type: forebay.Bool},
		forebay.Column{Name: "at", Type: forebay.Timestamp})
	layout := forebay.NewLayout(schema)
	var reached, failed int
	rapid.Check(t, func(t *rapid.T) {
		expr := expressions.Draw(t, "expr")
		step, err := transform.Set(transform.Assignment{Name: "made", Expr: expr}).
			Compile(forebay.Shape{Layout: layout, Width: layout.Width()})
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		b := forebay.NewBatch()
		b.Reset(forebay.Split{ID: "s"}, step.Out.Width)
		b.SetLayout(layout)
		for i := range 4 {
			drawRow(t, b, b.Append(int64(i), nil))
		}
		direct := bucketsOf(t, "a/x{="+expr+"}/{=  "+expr+"  }", layout, b)
		b.SetLayout(step.Out.Layout)
		if _, err := step.Apply(b); err != nil {
			t.Fatal(err)
		}
		through := bucketsOf(t, "a/x{made}/{made}", step.Out.Layout, b)
		for _, r := range b.Rejects() {
			through[r.Offset] = "rejected: " + r.Code
			failed++
		}
		if diff := cmp.Diff(through, direct); diff != "" {
			t.Fatalf("%s (-set +bucket)\n%s", expr, diff)
		}
		reached += len(direct)
	})
	if reached == failed || failed == 0 {
		t.Errorf("%d of %d records failed", failed, reached)
	}
}

// drawRow fills the seven columns of a row.
func drawRow(t *rapid.T, b *forebay.Batch, i int) {
	cells := b.Cells(i)
	null := rapid.SampledFrom([]bool{false, false, false, true})
	for k, draw := range []func() forebay.Cell{
		func() forebay.Cell {
			s := rapid.OneOf(rapid.String(), rapid.StringMatching(`[-_. 0-9/={}%]{0,6}`)).Draw(t, "s")
			return forebay.SpanCell(forebay.KindString, b.AppendText(s), len(s))
		},
		func() forebay.Cell { return forebay.Int64Cell(rapid.Int64Range(-3, 3).Draw(t, "i")) },
		func() forebay.Cell { return forebay.Int32Cell(rapid.Int32Range(-1, 2).Draw(t, "j")) },
		func() forebay.Cell {
			v, err := forebay.ParseDecimal(forebay.DecimalOf(10, 2), []byte(rapid.StringMatching(`-?[0-9]{1,3}`).Draw(t, "d")))
			if err != nil {
				t.Fatal(err)
			}
			return b.AppendDecimal(v)
		},
		func() forebay.Cell { return forebay.Float64Cell(rapid.Float64().Draw(t, "f")) },
		func() forebay.Cell { return forebay.BoolCell(rapid.Bool().Draw(t, "b")) },
		func() forebay.Cell { return forebay.TimestampCell(rapid.Int64Range(0, 1<<50).Draw(t, "at")) },
	} {
		if !null.Draw(t, "null") {
			cells[k] = draw()
		}
	}
}

// bucketsOf gives the bucket of each record, or the code of its reject, by offset.
func bucketsOf(t *rapid.T, pattern string, layout *forebay.Layout, b *forebay.Batch) map[int64]string {
	p, err := ParsePattern(pattern)
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	buckets, err := p.bucketer(layout)
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	out := map[int64]string{}
	for i := range b.Len() {
		bucket, err := buckets.append(nil, b, i, time.Time{})
		out[b.Record(i).Offset] = string(bucket)
		if e, ok := errors.AsType[*forebay.Error](err); ok && e.Class == forebay.ClassRejected {
			out[b.Record(i).Offset] = "rejected: " + e.Code
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// rowsOf is a batch of rows k from 0 up to count.
func rowsOf(layout *forebay.Layout, count int) *forebay.Batch {
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: "s"}, 2)
	b.SetLayout(layout)
	at := b.AppendText("ua")
	for k := range count {
		cells := b.Cells(b.Append(int64(k), nil))
		cells[0], cells[1] = forebay.Int64Cell(int64(k)), forebay.SpanCell(forebay.KindString, at, 2)
	}
	return b
}

func keyed() *forebay.Layout {
	return forebay.NewLayout(forebay.MustSchema(
		forebay.Column{Name: "k", Type: forebay.Int64}, forebay.Column{Name: "c", Type: forebay.String}))
}

func expressionFixture(t *testing.T, on disk, bucket, late string) *fixture {
	t.Helper()
	config := Config{Format: csv.Format{}, Roll: never(forebay.Unlimited)}
	var err error
	if config.Bucket, err = ParsePattern(bucket); err != nil {
		t.Fatal(err)
	}
	if config.Late, err = ParsePattern(late); err != nil {
		t.Fatal(err)
	}
	return openFixture(t, config, on, forebay.LaneContext{Layout: keyed()})
}

func TestRecordWhoseExpressionFailsIsRejectedWithoutATrace(t *testing.T) {
	t.Parallel()
	sim := newSimDisk()
	f := expressionFixture(t, sim, "{=upper(c)}/k={=100 % (k - 2)}", "late/{=100 % (k - 5)}")
	b := rowsOf(keyed(), 6)
	for i := 3; i < 6; i++ {
		b.Record(i).Late = true
	}
	before := string(b.Slab())
	err := f.lane.Write(t.Context(), b)
	e, ok := errors.AsType[*forebay.Error](err)
	if !ok || e.Class != forebay.ClassRejected || len(e.Records) != 2 {
		t.Fatalf("%v, want two rejected records", err)
	}
	for k, index := range []int{2, 5} {
		if r := e.Records[k]; r.Index != index || r.Code != transform.CodeDivision {
			t.Errorf("record %d has the code %s: %v", r.Index, r.Code, r.Err)
		}
	}
	if string(b.Slab()) != before {
		t.Error("the batch was changed")
	}
	f.barrier(t, true)
	want := []string{"UA/k=0", "UA/k=0", "late/0", "late/0"}
	got := []string{}
	for path, text := range visible(sim) {
		for range strings.Count(text, "\n") - 1 { // the header
			got = append(got, path[:strings.LastIndexByte(path, '/')])
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the records lie in %q, want %q", got, want)
	}
}

func TestExpressionAllocatesNothingForARecord(t *testing.T) {
	f := expressionFixture(t, osDisk{}, `c={=upper(c) + "-x"}/{=k % 10}`, "late")
	b := rowsOf(keyed(), 1000)
	write := func() {
		if err := f.lane.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		write()
	}
	if n := testing.AllocsPerRun(50, write); n > 20 {
		t.Errorf("%v allocations for 1,000 records", n)
	}
}

// Lanes compile programs of their own from one pattern.
func TestPatternWithExpressionsServesSeveralLanes(t *testing.T) {
	t.Parallel()
	p, err := ParsePattern(`{=upper(c) + "-" + string(k % 7)}`)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			layout := keyed()
			buckets, err := p.bucketer(layout)
			if err != nil {
				t.Error(err)
				return
			}
			b := rowsOf(layout, 500)
			for i := range b.Len() {
				got, err := buckets.append(nil, b, i, time.Time{})
				if want := fmt.Sprintf("UA-%d", i%7); err != nil || string(got) != want {
					t.Errorf("the bucket is %q (%v), want %q", got, err, want)
				}
			}
		})
	}
	wait.Wait()
}

// Whatever stands in a pattern, its expressions are found as they are printed, and lead nowhere outside.
func FuzzPatternWithExpressions(f *testing.F) {
	for _, seed := range []string{
		"{=upper(carrier)}/x={=n % 16}", `{="}" + '{'}`, "{=`}``{`}", `{={"a": {"b": n}}.a.b}`, "{=n /* } */}{=n // }\n}",
		"{=count([1], {# > 0})}/{{{=n}}}", "{=at:%Y}", "{=n", `{="\"}"}`, "{=}", `{=".." + "/" + carrier}`, "{=\xff}",
	} {
		f.Add(seed, "../x")
	}
	f.Fuzz(func(t *testing.T, text, carrier string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		for _, piece := range p.pieces {
			if piece.expr == "" {
				continue
			}
			if end := piece.at + len(piece.expr); text[piece.at:end] != piece.expr || text[piece.at-2:piece.at] != "{=" ||
				text[end] != '}' {
				t.Fatalf("%q: the expression %q is not at %d", text, piece.expr, piece.at)
			}
		}
		b := bucketRow(t, strings.ToValidUTF8(carrier, "?"), time.Unix(0, 0))
		buckets, err := p.bucketer(b.Layout())
		if err != nil {
			return
		}
		size := len(b.Slab())
		bucket, err := buckets.append(nil, b, 0, time.Unix(0, 0))
		if len(b.Slab()) != size {
			t.Fatalf("%q left something in the batch", text)
		}
		if err != nil || len(bucket) == 0 {
			return
		}
		for folder := range strings.SplitSeq(string(bucket), "/") {
			if folder == "" || folder[0] == '.' || folder == homeFolder {
				t.Fatalf("%q leads to %q", text, bucket)
			}
		}
	})
}
