// SPDX-License-Identifier: Apache-2.0

package tablet_test

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/writer"
)

// serve serves a new directory, as forebay serve does.
func serve(ctx context.Context) (address string, end func(), err error) {
	dir, err := os.MkdirTemp("", "forebay-example-")
	if err != nil {
		return "", nil, err
	}
	tables, err := server.Open(ctx, dir, server.Config{})
	if err != nil {
		return "", nil, err
	}
	listener, err := rpc.Listen(ctx, "127.0.0.1:0", rpc.Guard{})
	if err != nil {
		return "", nil, err
	}
	address = listener.Addr().String()
	front, err := rpc.New(rpc.Config{Address: address})
	if err != nil {
		return "", nil, err
	}
	front.Serve(tables)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = front.Run(ctx, listener) })
	return address, func() {
		cancel()
		running.Wait()
		_ = tables.Close()
		_ = os.RemoveAll(dir)
	}, nil
}

func ExampleDial() {
	ctx := context.Background()
	address, end, err := serve(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer end()

	conn, err := tablet.Dial(ctx, address, tablet.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }()
	columns := forebay.MustSchema(forebay.Column{Name: "page", Type: forebay.String})
	if err := conn.Create(ctx, forebay.TableSpec{Name: "clicks", Schema: columns}); err != nil {
		fmt.Println(err)
		return
	}
	w, err := conn.Append(ctx, "clicks", writer.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	row := forebay.NewRow(w.Layout().Schema)
	if err := row.SetText("page", "welcome"); err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := w.Append(ctx, row)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Shutdown(ctx); err != nil {
		fmt.Println(err)
		return
	}
	result, err := receipt.Wait(ctx)
	fmt.Println(result.Applied, result.Offset, err)
	rows, err := conn.Count(ctx, "clicks")
	fmt.Println(rows, err)
	// Output:
	// applied 0 <nil>
	// 1 <nil>
}
