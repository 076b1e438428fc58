// SPDX-License-Identifier: Apache-2.0

package table_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector"
	"github.com/forebay-io/forebay/connector/table"
)

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sink table.Sink
		want []string
	}{
		"no name":        {table.Sink{}, []string{`name: "" is no name`}},
		"wrong letters":  {table.Sink{Name: "a b"}, []string{`name: "a b" is no name`}},
		"too long":       {table.Sink{Name: strings.Repeat("x", 129)}, []string{"is no name"}},
		"newline":        {table.Sink{Name: "a\n"}, []string{"is no name"}},
		"ours":           {table.Sink{Name: "_dlq"}, []string{`begins with '_'`, `try "dlq"`}},
		"tablets":        {table.Sink{Name: "a", Tablets: 2000}, []string{"tablets: 2000 is outside"}},
		"version alone":  {table.Sink{Name: "a", Version: "v"}, []string{`version: "v" needs a key`}},
		"version in key": {table.Sink{Name: "a", Version: "v", Key: []string{"v"}}, []string{"part of the key"}},
		"spread twice": {
			table.Sink{Name: "a", Key: []string{"k", "k"}, DistributeBy: []string{"k"}},
			[]string{"distribute_by: rows of a table with a key", `key: column "k" is given twice`},
		},
		"retention": {table.Sink{Name: "a", Retention: -time.Second}, []string{"retention"}},
		"partitions": {
			table.Sink{Name: "a", PartitionBy: &table.PartitionBy{Template: "week", Limit: -1}},
			[]string{"partition_by.column: it is missing", `"week" is none of day, hour and value`, "limit: -1 is outside 1 to"},
		},
		"too many partitions": {
			table.Sink{
				Name: "a", Tablets: 64, PartitionBy: &table.PartitionBy{Column: "d", Template: "day", Limit: 1025},
			},
			[]string{"partition_by.limit: 1025 is outside 1 to 1024, with 64 tablets"},
		},
		"partition beside the key": {
			table.Sink{Name: "a", Key: []string{"k"}, PartitionBy: &table.PartitionBy{Column: "d", Template: "day"}},
			[]string{`partition_by.column: "d" is not part of the key`, "add it to key"},
		},
		"tls and auth without an address": {
			table.Sink{Name: "a", Remote: table.Remote{TLS: &connector.TLS{}, Auth: &connector.Auth{Token: "t"}}},
			[]string{
				"tls: tls is for a server elsewhere, and no address is given; add address: HOST:PORT, or leave tls out",
				"auth: auth is for a server elsewhere, and no address is given; add address: HOST:PORT, or leave auth out",
			},
		},
		"no token": {
			table.Sink{Name: "a", Remote: table.Remote{Address: "db1:7879", Auth: &connector.Auth{}}},
			[]string{"auth.token: the token is empty; write the one", "or leave auth out"},
		},
		"order": {table.Sink{Name: "a", Order: "any"}, []string{`order: "any"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.sink.Info()
			if forebay.ClassOf(err) != forebay.ClassMisconfigured {
				t.Fatalf("error %v, want class misconfigured", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if _, err := c.sink.Start(t.Context(), forebay.SinkContext{}); err == nil {
				t.Error("it starts")
			}
		})
	}
}

func TestInfoSaysWhatThePipelineRestsOn(t *testing.T) {
	t.Parallel()
	info, err := table.Sink{Name: "a.B-1_", Key: []string{"x", "y"}}.Info()
	if err != nil {
		t.Fatal(err)
	}
	if !info.NeedsRows || !info.Keyed || info.Way != forebay.WayProgress || info.Name != `table "a.B-1_"` {
		t.Errorf("info %+v", info)
	}
	want := []forebay.Setting{{Name: "name", Value: "a.B-1_"}, {Name: "key", Value: "x, y"}, {Name: "tablets", Value: "4"}}
	if diff := cmp.Diff(want, info.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	parted, err := table.Sink{
		Name: "a", PartitionBy: &table.PartitionBy{Column: "at", Template: "day", Limit: 5},
	}.Info()
	if last := parted.Identity[len(parted.Identity)-1]; err != nil || last.Value != "at by day" {
		t.Errorf("identity with partitions: %+v, %v", last, err)
	}
	for name, sink := range map[string]table.Sink{
		"log":     {Name: "a"},
		"version": {Name: "a", Key: []string{"x"}, Version: "y"},
		"order":   {Name: "a", Key: []string{"x"}, Order: table.OrderNone},
	} {
		if info, err := sink.Info(); err != nil || info.Keyed {
			t.Errorf("%s: keyed %v (%v), want false", name, info.Keyed, err)
		}
	}
}

func TestSchemaIsCheckedBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	schema := forebay.MustSchema(
		forebay.Column{Name: "carrier", Type: forebay.String}, forebay.Column{Name: "delay", Type: forebay.Float64},
		forebay.Column{Name: "doc", Type: forebay.JSON}, forebay.Column{Name: "seen", Type: forebay.Timestamp},
	)
	for name, c := range map[string]struct {
		sink table.Sink
		want []string
	}{
		"right":              {table.Sink{Key: []string{"carrier"}, Version: "seen"}, nil},
		"near":               {table.Sink{Key: []string{"carier"}}, []string{`no column "carier"; did you mean "carrier"?`}},
		"far":                {table.Sink{Key: []string{"zzz"}}, []string{`there are carrier, delay, doc, seen`}},
		"float key":          {table.Sink{Key: []string{"delay"}}, []string{`"delay" is a float64`, "right would be"}},
		"json spread":        {table.Sink{DistributeBy: []string{"doc"}}, []string{`distribute_by: column "doc" is a json`}},
		"float version":      {table.Sink{Key: []string{"carrier"}, Version: "delay"}, []string{`version: column "delay"`}},
		"all at once":        {table.Sink{Key: []string{"delay", "Seen"}}, []string{"delay", `did you mean "seen"`}},
		"partition by day":   {table.Sink{PartitionBy: &table.PartitionBy{Column: "seen", Template: "day"}}, nil},
		"partition by value": {table.Sink{PartitionBy: &table.PartitionBy{Column: "carrier", Template: "value"}}, nil},
		"partition by hour": {
			table.Sink{PartitionBy: &table.PartitionBy{Column: "carrier", Template: "hour"}},
			[]string{`partition_by.column: column "carrier" is a string`, "right would be a timestamp"},
		},
		"partition by instant": {
			table.Sink{PartitionBy: &table.PartitionBy{Column: "seen", Template: "value"}},
			[]string{`column "seen" is a timestamp`, "take the template day or hour"},
		},
		"partition near": {
			table.Sink{PartitionBy: &table.PartitionBy{Column: "sen", Template: "day"}},
			[]string{`partition_by.column: there is no column "sen"; did you mean "seen"?`},
		},
		"missing version": {table.Sink{Key: []string{"carrier"}, Version: "sen"}, []string{`did you mean "seen"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.sink.Name = "t"
			info, err := c.sink.Info()
			if err != nil {
				t.Fatal(err)
			}
			err = info.Schema(schema)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			tables := &recordingTables{}
			c.sink.Conn = tables
			if _, err := c.sink.Start(t.Context(), forebay.SinkContext{Schema: schema}); (err == nil) != (c.want == nil) {
				t.Errorf("start: %v", err)
			}
			if (len(tables.opened) == 0) != (c.want != nil) {
				t.Errorf("tables opened: %v", tables.opened)
			}
		})
	}
}

// recordingTables notes what is opened.
type recordingTables struct{ opened []forebay.TableSpec }

func (r *recordingTables) OpenTable(_ context.Context, spec forebay.TableSpec) (forebay.Target, error) {
	r.opened = append(r.opened, spec)
	return nil, nil
}

func TestStartPassesEverySettingOn(t *testing.T) {
	t.Parallel()
	schema := forebay.MustSchema(
		forebay.Column{Name: "id", Type: forebay.Int64}, forebay.Column{Name: "v", Type: forebay.Int64})
	embedded, elsewhere := &recordingTables{}, &recordingTables{}
	sink := table.Sink{
		Name: "t", Key: []string{"id"}, Version: "v", Tablets: 7, Retention: time.Hour,
		PartitionBy: &table.PartitionBy{Column: "id", Template: "value", Limit: 9},
	}
	if _, err := sink.Start(t.Context(), forebay.SinkContext{Schema: schema, Tables: embedded}); err != nil {
		t.Fatal(err)
	}
	want := []forebay.TableSpec{{
		Name: "t", Schema: schema, Key: []string{"id"}, Version: "v", Tablets: 7, Retention: time.Hour,
		PartitionBy: forebay.PartitionBy{Column: "id", Template: "value", Limit: 9},
	}}
	if diff := cmp.Diff(want, embedded.opened, cmp.Comparer((*forebay.Schema).Equal)); diff != "" {
		t.Errorf("opened (-want +got):\n%s", diff)
	}
	sink.Conn = elsewhere
	if _, err := sink.Start(t.Context(), forebay.SinkContext{Schema: schema, Tables: embedded}); err != nil {
		t.Fatal(err)
	}
	if len(embedded.opened) != 1 || len(elsewhere.opened) != 1 {
		t.Errorf("opened %d here and %d elsewhere, want 1 and 1", len(embedded.opened), len(elsewhere.opened))
	}
	if _, err := (table.Sink{Name: "t"}).Start(t.Context(), forebay.SinkContext{Schema: schema}); err == nil {
		t.Error("it starts without a server")
	}
}
