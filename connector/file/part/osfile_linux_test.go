// SPDX-License-Identifier: Apache-2.0

package part

import "testing"

func TestKernelVersionOfAnyReleaseIsKnownOrZero(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]int{
		"6.18.44-fc-v595": 6018, "5.8.0": 5008, "5.7-rc1": 5007, "4.19": 4019, "5.10+": 5010, "6": 0, "": 0, "x.y": 0,
	} {
		if got := kernelVersion(release); got != want {
			t.Errorf("%q is %d, want %d", release, got, want)
		}
	}
}
