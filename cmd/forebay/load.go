// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/connector"
	"github.com/forebay-io/forebay/connector/all"
	"github.com/forebay-io/forebay/connector/stdin"
	"github.com/forebay-io/forebay/connector/stdout"
)

// fileFlags change what a pipeline file says.
type fileFlags struct {
	Set   []string `help:"${set}" sep:"none" placeholder:"PATH=VALUE"`
	State string   `help:"State directory instead of the file's." placeholder:"DIR"`
}

// registry are the connectors; those of the terminal use the command's own input and output.
func (a *app) registry() connector.Registry {
	registry := all.Registry()
	for i, s := range registry {
		switch s.Name {
		case "stdin":
			registry[i].Source = func() any { return &stdin.Source{In: a.in} }
		case "stdout":
			registry[i].Sink = func() any { return &stdout.Sink{Out: a.out} }
		}
	}
	return registry
}

// load reads a pipeline file.
func (a *app) load(file string, flags fileFlags) (*config.Pipeline, config.Problems, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, unreadable(file, err)
	}
	loader := config.Loader{
		Registry: a.registry(),
		Options: config.Options{
			LookupEnv: a.lookupEnv, EnvNames: a.envNames, ReadFile: os.ReadFile, Sets: flags.Set, State: flags.State,
		},
	}
	p, problems := loader.Load(file, text)
	return p, problems, nil
}

func (a *app) envNames() []string {
	var names []string
	for _, entry := range a.environ() {
		name, _, _ := strings.Cut(entry, "=")
		names = append(names, name)
	}
	return names
}

// unreadable says why a pipeline file cannot be read, and which one was meant.
func unreadable(file string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return wrong("", "cannot read the pipeline file: %w", err)
	}
	message := fmt.Sprintf("there is no pipeline file %q", file)
	var names []string
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return wrong("paths are relative to the working directory", "%s: the folder does not exist either", message)
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
			names = append(names, name)
		}
	}
	if near := config.Nearest(filepath.Base(file), names); near != "" {
		message += fmt.Sprintf("; did you mean %q?", filepath.Join(filepath.Dir(file), near))
	}
	return wrong("paths are relative to the working directory", "%s", message)
}
