// SPDX-License-Identifier: Apache-2.0

// Package tuning turns the knobs of the writers of a Go program over HTTP, as http.listen does for those of a pipeline.
package tuning

import (
	"maps"
	"net/http"
	"slices"

	"github.com/forebay-io/forebay/internal/admin"
	"github.com/forebay-io/forebay/writer"
)

// Handler answers /tuning: GET shows the knobs of the writers by their names, PATCH and POST change those that the JSON
// body names, from the next request on, as in {"name": "clicks", "batch.size": "5MB"}; without a name they are those of
// all writers. What is wrong answers 400 and changes nothing. Requests of pages from elsewhere are refused.
//
// Concurrency: safe; running is called from several goroutines, and says which writers run now.
func Handler(running func() map[string]*writer.Writer) http.Handler {
	return admin.NewServer(admin.Config{Tunables: func() []admin.Tunable {
		writers := running()
		out := make([]admin.Tunable, 0, len(writers))
		for _, name := range slices.Sorted(maps.Keys(writers)) {
			out = append(out, admin.Writer(name, writers[name]))
		}
		return out
	}})
}
