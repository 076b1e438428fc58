// SPDX-License-Identifier: Apache-2.0

//go:build race

package net_test

// raceEnabled says that everything is several times slower.
const raceEnabled = true
