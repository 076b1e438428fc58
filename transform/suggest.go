// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/nearest"
)

// columnsShownMax bounds a list of names in a message.
const columnsShownMax = 12

// columnsHint says which columns there are.
func columnsHint(schema *forebay.Schema) string {
	names := schema.Names()
	if len(names) == 0 {
		return "no columns are left"
	}
	if len(names) > columnsShownMax {
		return fmt.Sprintf("the columns are %s and %d more", strings.Join(names[:columnsShownMax], ", "),
			len(names)-columnsShownMax)
	}
	return "the columns are " + strings.Join(names, ", ")
}

// unknownColumn is the error for a name that the schema does not have.
func unknownColumn(index int, name string, schema *forebay.Schema) *ColumnError {
	e := &ColumnError{Index: index, Column: name, Message: fmt.Sprintf("no column is called %q", name)}
	if e.Nearest = nearest.Name(name, schema.Names()); e.Nearest == "" {
		e.Cure = columnsHint(schema)
	}
	return e
}

func sortedNames[V any](table map[string]V) []string {
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
