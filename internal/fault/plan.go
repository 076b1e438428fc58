// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Action is what happens at an armed point.
type Action string

// The actions.
const (
	Kill Action = "kill" // SIGKILL: the process is gone
	Stop Action = "stop" // SIGSTOP: it stands until SIGCONT
)

// Trap arms one point.
type Trap struct {
	Point  string
	Hit    int64 // 1 is the first hit
	Action Action
}

// String is the form that ParsePlan reads.
func (t Trap) String() string { return fmt.Sprintf("%s=%d*%s", t.Point, t.Hit, t.Action) }

// ParsePlan reads a list such as "commit-built=3*kill,fenced=1*stop". A point may be armed several times.
func ParsePlan(text string) ([]Trap, error) {
	var plan []Trap
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		point, what, _ := strings.Cut(item, "=")
		count, action, _ := strings.Cut(what, "*")
		hit, err := strconv.ParseInt(count, 10, 64)
		t := Trap{Point: point, Hit: hit, Action: Action(action)}
		switch {
		case !slices.Contains(points[:], point):
			return nil, fmt.Errorf("fault plan %q: no kill point is called %q: use one of %s",
				item, point, strings.Join(points[:], ", "))
		case err != nil || hit < 1:
			return nil, fmt.Errorf("fault plan %q: %q is no hit: write a number from 1", item, count)
		case t.Action != Kill && t.Action != Stop:
			return nil, fmt.Errorf("fault plan %q: %q is no action: write %s or %s", item, action, Kill, Stop)
		}
		plan = append(plan, t)
	}
	return plan, nil
}
