// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"net"
	"testing"

	"github.com/forebay-io/forebay/test/servers/s3"
)

func TestServerComesBackAtTheSameAddress(t *testing.T) {
	t.Parallel()
	s := s3.Start(t)
	dial := func() error {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Address())
		if err == nil {
			err = c.Close()
		}
		return err
	}
	if err := dial(); err != nil {
		t.Fatalf("after the start: %v", err)
	}
	s.Kill()
	if err := dial(); err == nil {
		t.Fatal("a killed server takes connections")
	}
	s.Restart(t)
	if err := dial(); err != nil {
		t.Fatalf("after the restart: %v", err)
	}
}
