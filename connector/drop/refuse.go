// SPDX-License-Identifier: Apache-2.0

//go:build !fault

package drop

// faults are settings that exist with the build tag fault only.
type faults struct{}

func (faults) start() (refuser, error) { return nil, nil }
