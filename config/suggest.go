// SPDX-License-Identifier: Apache-2.0

package config

import "github.com/forebay-io/forebay/internal/nearest"

// Nearest is the known name that a misspelled one was probably meant to be, or "" when none is clearly close.
func Nearest(name string, known []string) string { return nearest.Name(name, known) }
