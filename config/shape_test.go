// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"reflect"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/config"
)

// shape is a file like a pipeline's, for the tests.
type shape struct {
	Name      string         `yaml:"name" required:"true" pattern:"[a-z0-9][a-z0-9_-]{0,62}" doc:"The name." example:"f"`
	Source    sourceUnion    `yaml:"source" required:"true" doc:"Exactly one connector."`
	Transform []step         `yaml:"transform" doc:"In order, one key each."`
	Sink      sinkShape      `yaml:"sink"`
	Guarantee string         `yaml:"guarantee" enum:"exactly-once|at-least-once|none"`
	State     string         `yaml:"state" default:"./forebay-data"`
	Lanes     int            `yaml:"lanes" default:"0" min:"0" max:"1024" doc:"0 = as many as cores or splits."`
	Memory    forebay.Bytes  `yaml:"memory" default:"256MB" min:"16MB"`
	Writer    writerShape    `yaml:"writer"`
	Errors    errorsShape    `yaml:"errors"`
	Timeout   time.Duration  `yaml:"shutdown.timeout" default:"25s" doc:"How long a drain may take."`
	Listen    string         `yaml:"http.listen" example:"127.0.0.1:7878"`
	Verbose   bool           `yaml:"log.verbose"`
	Ratio     float64        `yaml:"ratio" min:"0" max:"1"`
	Small     int8           `yaml:"small"`
	Count     uint16         `yaml:"count"`
	TLS       *tlsShape      `yaml:"tls"`
	Labels    map[string]int `yaml:"labels"`
	Columns   []column       `yaml:"columns"`
	Zone      zone           `yaml:"zone"`
	Any       any            `yaml:"any"`
	Hook      func()
}

type writerShape struct {
	BatchSize    forebay.Bytes `yaml:"batch.size" default:"2MB" doc:"A batch is sent when it holds this much."`
	BatchTimeout time.Duration `yaml:"batch.timeout" default:"500ms"`
	Memory       forebay.Bytes `yaml:"buffer.memory" default:"64MB"`
	Profile      string        `yaml:"profile" enum:"throughput|latency|weak-network"`
}

type errorsShape struct {
	Rejected string `yaml:"rejected" default:"dead-letter" enum:"dead-letter|stop|drop"`
	Max      int64  `yaml:"max" default:"unlimited" unlimited:"true" min:"0"`
}

type tlsShape struct {
	CA  string `yaml:"ca" required:"true"`
	Key string `yaml:"key" secret:"true"`
}

type column struct {
	Name string `yaml:",key"`
	Type string `yaml:",value" enum:"int64|string"`
}

type sinkShape struct {
	Table *tableShape `yaml:"table"`
}

type tableShape struct {
	Name config.Text `yaml:"name" required:"true"`
	Key  []string    `yaml:"key" min:"1"`
}

type fileShape struct {
	Path   string        `yaml:"path" required:"true" example:"flights.csv.gz" doc:"A path or a glob."`
	Format format        `yaml:"format"`
	Range  forebay.Bytes `yaml:"range"`
}

type generateShape struct {
	Count int64 `yaml:"count"`
}

// format is an interface whose choices the registry gives.
type format interface{ Extension() string }

type csvFormat struct {
	Header bool   `yaml:"header" default:"true"`
	Comma  string `yaml:"comma" default:"," max:"1"`
}

func (csvFormat) Extension() string { return ".csv" }

type rawFormat struct {
	Lines bool `yaml:"lines"`
}

func (*rawFormat) Extension() string { return "" }

func choices(typ reflect.Type) []config.Choice {
	if typ != reflect.TypeFor[format]() {
		return nil
	}
	return []config.Choice{
		{Name: "csv", New: func() any { return &csvFormat{} }},
		{Name: "raw", New: func() any { return &rawFormat{} }},
	}
}

// sourceUnion is exactly one connector.
type sourceUnion struct { //nolint:recvcheck // reading sets it, printing takes the value
	Name string
	Held any
}

func (u *sourceUnion) UnmarshalConfig(v *config.Value) config.Problems {
	e, problems := v.One("connector", []string{"file", "generate"})
	if e.Value == nil {
		return problems
	}
	u.Name = e.Name
	switch e.Name {
	case "file":
		var f fileShape
		problems = append(problems, e.Value.Decode(&f)...)
		u.Held = f
	case "generate":
		var g generateShape
		problems = append(problems, e.Value.Decode(&g)...)
		u.Held = g
	}
	return problems
}

func (u sourceUnion) PrintConfig() []config.Printed {
	return []config.Printed{{Key: u.Name, Value: u.Held}}
}

// step is one item of transform.
type step struct {
	Filter config.Text
	Set    config.Ordered[config.Text]
}

func (s *step) UnmarshalConfig(v *config.Value) config.Problems {
	e, problems := v.One("transform", []string{"filter", "set"})
	if e.Value == nil {
		return problems
	}
	if e.Name == "filter" {
		return append(problems, e.Value.Decode(&s.Filter)...)
	}
	return append(problems, e.Value.Decode(&s.Set)...)
}

// zone reads itself the way the standard library's types do; its error holds the value.
type zone struct{ name string }

func (z *zone) UnmarshalText(text []byte) error {
	if string(text) != "UTC" && string(text) != "Europe/Berlin" {
		return errors.New("unknown zone " + string(text))
	}
	z.name = string(text)
	return nil
}

func (z zone) MarshalText() ([]byte, error) { return []byte(z.name), nil }

// env is an environment and a file system for the tests.
var (
	env = map[string]string{
		"TABLE": "flights", "LANES": "7", "PASSWORD": "hunter2-secret", "DIGITS": "0123", "BAD": "hunter2-bad", "EMPTY": "",
		"SHORT": "q7", "WORD": "true", "LIST": "[a, b]", "HASH": "a #b: c", "DB_PASSWORD": "x",
	}
	files = map[string]string{"cert.pem": "-----BEGIN\nabc\n-----END\n", "lanes": "3\r\n"}
)

func options(sets ...string) config.Options {
	return config.Options{
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		EnvNames: func() []string {
			var names []string
			for name := range env {
				names = append(names, name)
			}
			return names
		},
		ReadFile: readFile,
		Sets:     sets,
		Choices:  choices,
	}
}
