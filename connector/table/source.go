// SPDX-License-Identifier: Apache-2.0

package table

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// The values of Source.Mode.
const (
	ModeContinuous = "continuous"
	ModeOnce       = "once"
)

// The values of Source.From.
const (
	FromStart  = "start"
	FromLatest = "latest"
)

// Source reads a table: what it holds, then its changes. Each tablet is a split.
type Source struct {
	Name   string `yaml:"name" doc:"the table" required:"true" example:"flights"`
	Mode   string `yaml:"mode" doc:"once: end where the table ends now" default:"continuous" enum:"continuous|once"`
	From   string `yaml:"from" doc:"latest: changes from now on only" default:"start" enum:"start|latest"`
	Remote `yaml:",inline"`
	// Conn is a tablet server to use instead of the embedded one; it stays the caller's.
	Conn tablet.Conn `yaml:"-"`
}

// Info describes the source.
//
// Errors: misconfigured, with everything that is wrong.
func (s Source) Info() (forebay.SourceInfo, error) {
	info := forebay.SourceInfo{
		Connector: "table",
		Identity: []forebay.Setting{
			{Name: "name", Value: s.Name}, {Name: "mode", Value: s.mode()}, {Name: "from", Value: cmp.Or(s.From, FromStart)},
		},
		Bounded:    s.mode() == ModeOnce,
		Replayable: true,
		Blocks:     true,
		Typed:      true,
		Tables:     s.Conn == nil && s.Address == "",
	}
	if err := s.validate(); err != nil {
		return info, misconfigured(err)
	}
	return info, nil
}

func (s Source) mode() string { return cmp.Or(s.Mode, ModeContinuous) }

func (s Source) validate() error {
	var problems []error
	if !regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`).MatchString(s.Name) {
		problems = append(problems, fmt.Errorf(
			"name: %q is no name of a table: use 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-'", s.Name))
	}
	if s.Mode != "" && s.Mode != ModeContinuous && s.Mode != ModeOnce {
		problems = append(problems, fmt.Errorf("mode: %q is neither continuous nor once", s.Mode))
	}
	if s.From != "" && s.From != FromStart && s.From != FromLatest {
		problems = append(problems, fmt.Errorf("from: %q is neither start nor latest", s.From))
	}
	if s.Mode == ModeOnce && s.From == FromLatest {
		problems = append(problems, errors.New("from: latest and mode: once together read nothing; leave one of them out"))
	}
	return errors.Join(append(problems, s.Remote.validate())...)
}

// Start looks the table up.
//
// Errors: misconfigured where there is no such table.
func (s Source) Start(ctx context.Context, env forebay.SourceContext) (forebay.Feed, error) {
	if _, err := s.Info(); err != nil {
		return nil, err
	}
	f := &feed{source: s, conn: s.Conn}
	switch {
	case f.conn != nil:
	case s.Address != "":
		dialled, err := s.dial(ctx, env.Logger)
		if err != nil {
			return nil, err
		}
		f.conn, f.close = dialled, dialled.Close
	default:
		if f.conn, _ = env.Tables.(tablet.Conn); f.conn == nil {
			return nil, misconfigured(errors.New("there is no tablet server: give a state directory, or address"))
		}
	}
	if err := f.look(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
