// SPDX-License-Identifier: Apache-2.0

package writer_test

import (
	"context"
	"fmt"
	"os"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/writer"
)

func ExampleSession() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "forebay-example")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := server.Open(ctx, dir, server.Config{})
	if err != nil {
		panic(err)
	}
	defer func() { _ = s.Close() }()
	schema := forebay.MustSchema(
		forebay.Column{Name: "id", Type: forebay.Int64}, forebay.Column{Name: "name", Type: forebay.String},
	)
	if err := s.Create(ctx, forebay.TableSpec{Name: "users", Schema: schema, Key: []string{"id"}}); err != nil {
		panic(err)
	}

	session, err := s.Session(writer.SessionConfig{Mode: writer.ManualFlush})
	if err != nil {
		panic(err)
	}
	users, err := session.Table(ctx, "users")
	if err != nil {
		panic(err)
	}
	row := users.NewRow() // one row serves for all operations
	for id, name := range []string{"ada", "bob", "cyd"} {
		row.Clear()
		if err := row.Set("id", id%2); err != nil {
			panic(err)
		}
		if err := row.Set("name", name); err != nil {
			panic(err)
		}
		if _, err := users.Insert(ctx, row); err != nil { // it was not taken
			panic(err)
		}
	}
	responses, err := session.Flush(ctx) // one response for each operation, in order
	fmt.Println("failed:", err != nil)
	for _, r := range responses {
		if r.Err == nil {
			fmt.Println(r.Op, r.Number, r.Applied)
			continue
		}
		if err := r.CopyRow(row); err != nil {
			panic(err)
		}
		fmt.Println(r.Op, r.Number, r.Err.Code, row.Text("name"))
	}
	if err := session.Shutdown(ctx); err != nil { // with what nobody has seen
		panic(err)
	}
	// Output:
	// failed: true
	// insert 0 applied
	// insert 1 applied
	// insert 2 already-present cyd
}
