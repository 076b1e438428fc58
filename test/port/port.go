// SPDX-License-Identifier: Apache-2.0

// Package port finds ports for servers of tests that end and come back at the same address.
package port

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

const (
	// lowest is above what services of a machine usually have.
	lowest = 12000
	// outgoing is where ports of outgoing connections begin on Linux, unless the machine says otherwise.
	outgoing = 32768
	attempts = 100
)

// Free is an address of the loopback interface at which nobody listens. Its port is none that the operating system
// gives to connections, which would take it while a server is away.
func Free(ctx context.Context) (string, error) {
	var config net.ListenConfig
	var failed error
	for range attempts {
		l, err := config.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(limit()-lowest)))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
		failed = err
	}
	return "", errors.Join(errors.New("no port is free"), failed)
}

// limit is the first port that connections may get.
func limit() int {
	var first, last int
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return outgoing
	}
	if n, _ := fmt.Sscan(string(text), &first, &last); n != 2 || first <= lowest {
		return outgoing
	}
	return first
}
