// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"fmt"
	"os"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/server"
)

func ExampleOpen() {
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
	schema := forebay.MustSchema(
		forebay.Column{Name: "id", Type: forebay.Int64}, forebay.Column{Name: "name", Type: forebay.String},
	)
	if err := s.Create(ctx, forebay.TableSpec{Name: "users", Schema: schema, Key: []string{"id"}}); err != nil {
		panic(err)
	}
	info, err := s.Describe(ctx, "users")
	if err != nil {
		panic(err)
	}
	fmt.Println(info.Name, info.Key, info.Tablets, info.Schema)
	if err := s.Close(); err != nil {
		panic(err)
	}
	// Output: users [id] 4 id int64, name string
}
