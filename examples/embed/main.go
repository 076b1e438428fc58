// SPDX-License-Identifier: Apache-2.0

// Command embed runs the quickstart from Go: a month of flights from a csv file into a table, each once.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/connector/file"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/transform"
)

// addRoute is a transform in Go: it fills in a column from two others.
func addRoute(row forebay.Row) error {
	return row.SetText("route", row.Text("origin")+"-"+row.Text("dest"))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := pipeline.New(pipeline.Config{
		Name:   "flights",
		State:  "./forebay-data",
		Source: file.Source{Path: "examples/quickstart/flights-2013-01.csv.gz", Format: csv.Format{}},
		Transform: []forebay.Transform{
			transform.Filter("dep_time != nil"),
			transform.Map(addRoute, forebay.Column{Name: "route", Type: forebay.String}),
		},
		Sink: table.Sink{Name: "flights", Key: []string{"time_hour", "carrier", "flight", "origin"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	summary, err := p.Run(ctx) // the end of ctx drains
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: read %d, filtered %d, delivered %d, %s\n",
		summary.Status, summary.Read, summary.Filtered, summary.Delivered, summary.Guarantee)
}
