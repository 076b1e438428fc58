// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/forebay-io/forebay/config"
)

const description = `Delivers streams into external systems, exactly once wherever both ends allow it.

Begin with:  forebay run examples/quickstart/pipeline.yaml`

// commands is the command line.
type commands struct {
	Run        runCommand        `cmd:"" help:"Run pipelines until their sources end or a signal stops them."`
	Check      checkCommand      `cmd:"" help:"Check a pipeline file and explain its guarantee."`
	Serve      serveCommand      `cmd:"" help:"Serve the tables of a state directory on the network."`
	Table      tableCommands     `cmd:"" help:"Look at tables, make and drop them."`
	Checkpoint checkpointCommand `cmd:"" help:"Look at what pipelines remember, or start one over."`
	Dlq        deadLetterCommand `cmd:"" help:"Look at rejected records."`
	Bench      benchCommand      `cmd:"" help:"Audit output against input."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// stateDefault is the state directory of a command that names none.
const stateDefault = "./forebay-data"

// stateFlag names the state directory.
type stateFlag struct {
	State string `help:"State directory (default ${default})." placeholder:"DIR" default:"./forebay-data"` // stateDefault
}

// command parses a command line and runs what it says.
func (a *app) command(ctx context.Context, args []string) error {
	var c commands
	helped := false
	parser, err := kong.New(&c, kong.Name("forebay"), kong.Description(description), kong.Writers(a.out, a.err),
		kong.Exit(func(int) { helped = true }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.Vars{
			"levels":   ",debug,info,warn,error",
			"patience": "How long a stop waits for the answers of accepted requests",
			"takeOver": "Take over a target that belongs to a run of another state directory; what that run has not " +
				"published is gone, and what this state directory does not know is read again.",
			"set":     "Change the file, such as lanes=2 or sink.table.name=other; repeatable.",
			"format":  "csv, ndjson or table (default table on a terminal, else csv).",
			"input":   "Input file (.csv, .ndjson, also .gz or .zst, .parquet, .avro), whose columns are compared; repeatable.",
			"audited": "Pipeline file whose source and transforms make the input; it knows how files were split.",
		})
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if helped {
		return nil
	}
	if err != nil {
		return a.usageError(parser, err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return parsed.Run(a)
}

// usageError words what kong found wrong like every other error.
func (a *app) usageError(parser *kong.Kong, err error) error {
	message, cure := strings.Replace(err.Error(), `one of "",`, "one of ", 1), "see forebay --help"
	if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context != nil {
		if command := e.Context.Command(); command != "" {
			words := slices.DeleteFunc(strings.Fields(command), func(w string) bool { return w[0] == '<' || w[0] == '[' })
			cure = "see forebay " + strings.Join(words, " ") + " --help"
		}
		message = withNearest(parser, e.Context, message)
	}
	return wrong(cure, "%s", message)
}

// withNearest adds the nearest known name where kong names none.
func withNearest(parser *kong.Kong, ctx *kong.Context, message string) string {
	message = strings.Replace(message, ", did you mean", "; did you mean", 1)
	what, unknown := "", ""
	for _, prefix := range []string{"unknown flag --", "unexpected argument "} {
		if rest, found := strings.CutPrefix(message, prefix); found {
			what, unknown = prefix, rest
		}
	}
	if what == "" || strings.Contains(message, "did you mean") {
		return message
	}
	var known []string
	node := ctx.Selected()
	if node == nil {
		node = parser.Model.Node
	}
	for _, child := range node.Children {
		known = append(known, child.Name)
	}
	if what == "unknown flag --" {
		known = nil
		for _, group := range node.AllFlags(true) {
			for _, flag := range group {
				known = append(known, flag.Name)
			}
		}
	}
	if near := config.Nearest(unknown, known); near != "" {
		return fmt.Sprintf("%s; did you mean %q?", message, near)
	}
	if what != "unknown flag --" && len(known) > 0 {
		return message + "; known: " + strings.Join(known, ", ")
	}
	return message
}
