// SPDX-License-Identifier: Apache-2.0

package table

import (
	"errors"
	"fmt"
	"slices"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// PartitionBy divides a table into partitions, which are made when their first row comes.
type PartitionBy struct {
	Column   string `yaml:"column" doc:"gives the partition of a row; part of the key" required:"true" example:"day"`
	Template string `yaml:"template" doc:"one for each day, hour (UTC) or value" required:"true" enum:"day|hour|value"`
	Limit    int    `yaml:"limit" doc:"of partitions, 1000 where it is not given; may be raised later" min:"1" max:"65536"`
}

func (s Sink) partitionBy() forebay.PartitionBy {
	if s.PartitionBy == nil {
		return forebay.PartitionBy{}
	}
	return forebay.PartitionBy(*s.PartitionBy)
}

// partitionTypes says what the column of each template may be.
func partitionTypes(template string) (usage, bool) {
	switch template {
	case tablet.TemplateDay:
		return usage{allowed: []forebay.Kind{forebay.KindDate, forebay.KindTimestamp}, right: "a date or timestamp; cast it"},
			true
	case tablet.TemplateHour:
		return usage{allowed: []forebay.Kind{forebay.KindTimestamp}, right: "a timestamp; cast it"}, true
	case tablet.TemplateValue:
		return usage{
			allowed: []forebay.Kind{
				forebay.KindString, forebay.KindInt32, forebay.KindInt64, forebay.KindBool, forebay.KindDate,
			},
			right: "a string, int32, int64, bool or date; cast it, or take the template day or hour for a timestamp",
		}, true
	default:
		return usage{}, false
	}
}

// validate checks what can be said without columns.
func (p *PartitionBy) validate(s Sink) error {
	if p == nil {
		return nil
	}
	var problems []error
	if p.Column == "" {
		problems = append(problems, errors.New("partition_by.column: it is missing; name the column to part by"))
	}
	if _, known := partitionTypes(p.Template); !known {
		problems = append(problems, fmt.Errorf("partition_by.template: %q is none of day, hour and value", p.Template))
	}
	if p.Column != "" && len(s.Key) > 0 && !slices.Contains(s.Key, p.Column) {
		problems = append(problems, fmt.Errorf(
			"partition_by.column: %q is not part of the key, so two rows with one key could lie in two partitions; "+
				"add it to key, or take a column of the key", p.Column))
	}
	if s.Tablets >= 0 && s.Tablets <= TabletsMax {
		if most := tablet.TabletsMax / s.tablets(); p.Limit < 0 || p.Limit > most {
			problems = append(problems, fmt.Errorf(
				"partition_by.limit: %d is outside 1 to %d, with %d tablets for each partition", p.Limit, most, s.tablets()))
		}
	}
	return errors.Join(problems...)
}

// check checks the column.
func (p *PartitionBy) check(schema *forebay.Schema) error {
	if p == nil {
		return nil
	}
	use, _ := partitionTypes(p.Template)
	return checkColumn(schema, "partition_by.column", p.Column, use)
}
