// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var c stageConfig
	flag.StringVar(&c.prometheus, "prometheus", "prometheus", "the binary of Prometheus")
	flag.StringVar(&c.forebay, "forebay", "", "the binary of Forebay; built where it is not given")
	dashboard := flag.String("dashboard", "docs/grafana/forebay.json", "the dashboard")
	load := flag.Duration("for", 3*time.Minute, "how long the load runs before the queries are asked")
	hold := flag.Bool("hold", false, "keep everything running afterwards, until an interrupt")
	flag.Parse()

	panels, err := readPanels(*dashboard)
	if err != nil {
		return err
	}
	began := time.Now()
	s, err := begin(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	fmt.Printf("Prometheus at http://%s, load for %v\n", s.prometheus, *load)
	if err := s.wait(ctx, *load); err != nil {
		return err
	}
	err = panels.check(ctx, asked{prometheus: "http://" + s.prometheus, since: began})
	if !*hold {
		return err
	}
	fmt.Printf("everything runs until an interrupt; wrong: %v\n", err)
	if failed := s.wait(ctx, 24*time.Hour); ctx.Err() == nil {
		err = errors.Join(err, failed)
	}
	return err
}
