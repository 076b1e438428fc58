// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

type sinkStub struct{ forebay.Sink }

func (sinkStub) Info() (forebay.SinkInfo, error) { return forebay.SinkInfo{}, nil }

func (sinkStub) Start(context.Context, forebay.SinkContext) (forebay.Target, error) { return nil, nil }

func TestRegistryNamesEverySpecThatIsWrong(t *testing.T) {
	t.Parallel()
	r := Registry{
		{Name: "good", Doc: "d", Sink: func() any { return &sinkStub{} }},
		{Name: "good", Doc: "d", Sink: func() any { return &sinkStub{} }},
		{Name: "nothing", Doc: "d"},
		{Name: "no doc", Sink: func() any { return &sinkStub{} }},
		{Name: "no source", Doc: "d", Source: func() any { return &sinkStub{} }},
		{Name: "no sink", Doc: "d", Sink: func() any { return 7 }},
	}
	err := r.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`"good" is listed twice`, `"nothing" is neither`, `("no doc") needs a name and a doc`,
		`"no source": a *connector.sinkStub is no source`, `"no sink": a int is no sink`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if err := r[:1].Validate(); err != nil {
		t.Error(err)
	}
}

func TestSumDoesNotDependOnOrderOrOnWhoAdds(t *testing.T) {
	t.Parallel()
	values := []string{"", "abc", "0123456789abcdef", "0123456789abcdefXYZ", strings.Repeat("z", 100)}
	b := forebay.NewBatch()
	b.Reset(forebay.Split{}, 0)
	var single, merged, reverse Sum
	for i, v := range values {
		b.Append(int64(i), []byte(v))
		single.Add([]byte(v))
		var part Sum
		part.Add([]byte(v))
		merged.Merge(part)
		reverse.Add([]byte(values[len(values)-1-i]))
	}
	var bulk Sum
	bulk.AddBatch(b)
	for name, got := range map[string]Sum{"bulk": bulk, "merged": merged, "reverse": reverse} {
		if diff := cmp.Diff(single, got); diff != "" {
			t.Errorf("%s differs (-one by one +got):\n%s", name, diff)
		}
	}
	if single.Records != 5 || single.Bytes != 138 || single.Low == 0 || single.High == 0 {
		t.Errorf("sum %s", single)
	}
}
