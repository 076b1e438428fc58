// SPDX-License-Identifier: Apache-2.0

// Package jsontext is the grammar of JSON: where a value ends and where the fields of an object lie, what is wrong with
// it, and strings with escapes.
package jsontext
