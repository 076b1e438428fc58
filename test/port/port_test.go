// SPDX-License-Identifier: Apache-2.0

package port_test

import (
	"net"
	"testing"

	"github.com/forebay-io/forebay/test/port"
)

func TestAFreePortCanBeListenedAtAgainAndAgain(t *testing.T) {
	t.Parallel()
	address, err := port.Free(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var config net.ListenConfig
		l, err := config.Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
