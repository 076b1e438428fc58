// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"time"
)

const zoneCure = "write a name such as UTC, Europe/Berlin or America/New_York"

// loadZone finds a time zone by its name; empty means UTC. X5: the machine's own zone is refused, as it gives
// other results on another machine.
func loadZone(name string) (*time.Location, error) {
	switch name {
	case "", "UTC":
		return time.UTC, nil
	case "Local":
		return nil, fmt.Errorf("the zone Local differs from machine to machine")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("no time zone is called %q", name)
	}
	return zone, nil
}
