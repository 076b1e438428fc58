// SPDX-License-Identifier: Apache-2.0

package transform_test

import (
	"fmt"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/transform"
)

// departures is a batch of two flights with room for more columns.
func departures() (forebay.Shape, *forebay.Batch) {
	schema := forebay.MustSchema(
		forebay.Column{Name: "dep_time", Type: forebay.Int64}, forebay.Column{Name: "origin", Type: forebay.String},
		forebay.Column{Name: "dest", Type: forebay.String},
	)
	in := forebay.Shape{Layout: forebay.NewLayout(schema), Width: schema.Len()}
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: "flights.csv"}, in.Width+4)
	b.SetLayout(in.Layout)
	for i, departure := range []any{517, nil} {
		b.Append(int64(i), nil)
		row := b.Row(i)
		for name, value := range map[string]any{"dep_time": departure, "origin": "EWR", "dest": "IAH"} {
			if err := row.Set(name, value); err != nil {
				panic(err)
			}
		}
	}
	return in, b
}

// apply runs steps over the departures and shows what is left.
func apply(steps ...forebay.Transform) string {
	var out []byte
	shape, b := departures()
	for _, t := range steps {
		step, err := t.Compile(shape)
		if err != nil {
			return err.Error()
		}
		if step.Apply != nil {
			if _, err := step.Apply(b); err != nil {
				return err.Error()
			}
		}
		shape = step.Out
		b.SetLayout(shape.Layout)
	}
	out = append(out, shape.Layout.Schema.String()...)
	for i := range b.Len() {
		for k, slot := range shape.Layout.Slots {
			out = append(out, "\n "[min(k, 1)])
			out = forebay.AppendCellJSON(out, shape.Layout.Schema.Column(k).Type, b.Cells(i)[slot], b.Slab())
		}
	}
	for _, r := range b.Rejects() {
		out = append(out, "\nrejected: "+r.Reason...)
	}
	return string(out)
}

func ExampleFilter() {
	fmt.Println(apply(transform.Filter("dep_time != nil")))
	// Output:
	// dep_time int64, origin string, dest string
	// 517 "EWR" "IAH"
}

func ExampleSet() {
	fmt.Println(apply(
		transform.Set(
			transform.Assignment{Name: "route", Expr: `origin + "-" + dest`},
			transform.Assignment{Name: "dep_time", Expr: "dep_time / 100"},
		),
	))
	// Output:
	// dep_time float64, origin string, dest string, route string
	// 5.17 "EWR" "IAH" "EWR-IAH"
	// null "EWR" "IAH" "EWR-IAH"
}

func ExampleDrop() {
	fmt.Println(apply(transform.Drop("origin", "dest")))
	// Output:
	// dep_time int64
	// 517
	// null
}

func ExampleKeep() {
	fmt.Println(apply(transform.Keep("dest", "dep_time")))
	// Output:
	// dest string, dep_time int64
	// "IAH" 517
	// "IAH" null
}

func ExampleRename() {
	fmt.Println(apply(transform.Rename(transform.Renaming{From: "dep_time", To: "departure"})))
	// Output:
	// departure int64, origin string, dest string
	// 517 "EWR" "IAH"
	// null "EWR" "IAH"
}

func ExampleCast() {
	fmt.Println(apply(transform.Cast(
		transform.CastColumn{Column: "dep_time", Type: "string"}, transform.CastColumn{Column: "origin", Type: "int64"},
	)))
	// Output:
	// dep_time string, origin int64, dest string
	// rejected: column "origin": "EWR" (string) cannot become an int64
	// rejected: column "origin": "EWR" (string) cannot become an int64
}

func ExampleMap() {
	fmt.Println(apply(transform.Map(func(row forebay.Row) error {
		if row.IsNull("dep_time") {
			return transform.ErrDrop
		}
		return row.SetText("route", row.Text("origin")+"-"+row.Text("dest"))
	}, forebay.Column{Name: "route", Type: forebay.String})))
	// Output:
	// dep_time int64, origin string, dest string, route string
	// 517 "EWR" "IAH" "EWR-IAH"
}

func ExampleCompile() {
	in, b := departures()
	program, err := transform.Compile(in, "dep_time > 500")
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range b.Len() {
		fmt.Println(program.EvalBool(b, i))
	}
	_, err = transform.Compile(in, "dep_tme > 500")
	fmt.Println(err)
	// Output:
	// true <nil>
	// false <nil>
	// no column is called "dep_tme", at character 1 of `dep_tme > 500`; did you mean dep_time?
}
