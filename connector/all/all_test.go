// SPDX-License-Identifier: Apache-2.0

package all

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

func TestRegistryIsValid(t *testing.T) {
	t.Parallel()
	r := Registry()
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"file", "generate", "stdin", "table"}, r.Sources().Names()); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"file", "table", "stdout", "drop"}, r.Sinks().Names()); diff != "" {
		t.Errorf("sinks (-want +got):\n%s", diff)
	}
}

func TestEachConfigurationIsAValueAndKnowsItsName(t *testing.T) {
	t.Parallel()
	for _, s := range Registry() {
		if s.Source != nil {
			value := reflect.ValueOf(s.Source()).Elem().Interface()
			source, ok := value.(forebay.Source)
			if !ok {
				t.Errorf("a %T is no source: a program cannot write it as a value", value)
				continue
			}
			// Without its required settings it may have problems, but it has its name.
			if info, _ := source.Info(); info.Connector != s.Name {
				t.Errorf("source %q calls itself %q", s.Name, info.Connector)
			}
		}
		if s.Sink != nil {
			value := reflect.ValueOf(s.Sink()).Elem().Interface()
			sink, ok := value.(forebay.Sink)
			if !ok {
				t.Errorf("a %T is no sink: a program cannot write it as a value", value)
				continue
			}
			if info, _ := sink.Info(); info.Connector != s.Name {
				t.Errorf("sink %q calls itself %q", s.Name, info.Connector)
			}
		}
	}
}
