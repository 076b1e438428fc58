// SPDX-License-Identifier: Apache-2.0

//go:build fault

package outage

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/forebay-io/forebay/test/kill"
)

const builtEnv = "FOREBAY_KILL_BINARY"

func TestMain(m *testing.M) {
	if addresses := os.Getenv(childEnv); addresses != "" {
		if err := appendLarge(context.Background(), addresses, os.Getenv(childNoteEnv)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(mainWithBinary(m))
}

func mainWithBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "forebay-outage-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	binary, err := kill.Build(context.Background(), "github.com/forebay-io/forebay/cmd/forebay", dir)
	if err == nil {
		err = os.Setenv(builtEnv, binary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func binary() string { return os.Getenv(builtEnv) }
