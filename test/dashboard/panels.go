// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// dashboard is what is read of docs/grafana/forebay.json.
type dashboard struct {
	Panels []struct {
		Title   string
		Type    string
		Targets []query
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

type query struct{ Expr, LegendFormat string }

func readPanels(file string) (*dashboard, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	d := &dashboard{}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

// silent are metrics that may have no series here, and why.
func silent() map[string]string {
	return map[string]string{
		"forebay_writer_moves_total": "a request seldom meets a server that no longer leads",
	}
}

var (
	inQuery  = regexp.MustCompile(`forebay_[a-z_]+`)
	inLegend = regexp.MustCompile(`\{\{ *([a-z_]+) *\}\}`)
	labelled = regexp.MustCompile(`^label_values\(([a-z_]+), *([a-z_]+)\)$`)
)

// asked is where queries go, and from when on they ask.
type asked struct {
	prometheus string
	since      time.Time
}

// check asks each query, as Grafana fills it in with all pipelines and tables.
func (d *dashboard) check(ctx context.Context, at asked) error {
	var errs []error
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		values, err := at.variable(ctx, v.Definition)
		if err == nil && len(values) == 0 {
			err = errors.New("it has no values")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("variable %s: %w", v.Name, err))
		}
		fmt.Printf("%-40s %s\n", "variable "+v.Name, strings.Join(values, ", "))
	}
	for _, p := range d.Panels {
		legends := map[string]string{}
		for i, q := range p.Targets {
			where := fmt.Sprintf("%s %c", p.Title, 'A'+i)
			if err := q.check(ctx, at, where, legends); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w: %s", where, err, q.Expr))
			}
		}
	}
	return errors.Join(errs...)
}

// name is what the legend calls a series.
func (q query) name(labels map[string]string) string {
	return inLegend.ReplaceAllStringFunc(q.LegendFormat, func(label string) string {
		return labels[inLegend.FindStringSubmatch(label)[1]]
	})
}

// check asks a query. legends are the names of the panel's series so far.
func (q query) check(ctx context.Context, at asked, where string, legends map[string]string) error {
	found, err := at.series(ctx, q.Expr)
	if err != nil {
		return err
	}
	names := make([]string, len(found))
	for i, s := range found {
		names[i] = q.name(s.Metric)
		if other, twice := legends[names[i]]; twice {
			return fmt.Errorf("two series are called %q: %v and %s", names[i], s.Metric, other)
		}
		legends[names[i]] = fmt.Sprint(s.Metric)
	}
	fmt.Printf("%-40s %3d series: %s\n", where, len(found), strings.Join(names, ", "))
	reason := silent()[inQuery.FindString(q.Expr)]
	switch {
	case len(found) == 0 && reason != "":
		fmt.Printf("%-40s %s\n", "", reason)
	case len(found) == 0:
		return errors.New("it shows nothing")
	}
	return nil
}

type sample struct {
	Metric map[string]string
	Values [][2]any
}

// series are those of a query that have a value.
func (a asked) series(ctx context.Context, query string) ([]sample, error) {
	query = strings.NewReplacer("$pipeline", ".*", "$table", ".*", "$__rate_interval", "8s").Replace(query)
	values := url.Values{
		"query": {query}, "step": {"2"},
		"start": {strconv.FormatInt(a.since.Unix(), 10)}, "end": {strconv.FormatInt(time.Now().Unix(), 10)},
	}
	var answer struct{ Data struct{ Result []sample } }
	text, err := get(ctx, a.prometheus+"/api/v1/query_range?"+values.Encode())
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	var found []sample
	for _, s := range answer.Data.Result {
		for _, v := range s.Values {
			if v[1] != "NaN" {
				found = append(found, s)
				break
			}
		}
	}
	return found, err
}

// variable are the values of a label.
func (a asked) variable(ctx context.Context, definition string) ([]string, error) {
	m := labelled.FindStringSubmatch(definition)
	if m == nil {
		return nil, fmt.Errorf("%q is not label_values(METRIC, LABEL)", definition)
	}
	text, err := get(ctx, a.prometheus+"/api/v1/label/"+m[2]+"/values?"+url.Values{"match[]": {m[1]}}.Encode())
	if err != nil {
		return nil, err
	}
	var answer struct{ Data []string }
	err = json.Unmarshal(text, &answer)
	return answer.Data, err
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(response.Body)
	err = errors.Join(err, response.Body.Close())
	if err == nil && response.StatusCode != http.StatusOK {
		err = &statusError{code: response.StatusCode, text: string(text)}
	}
	return text, err
}
