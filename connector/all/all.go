// SPDX-License-Identifier: Apache-2.0

package all

import (
	"github.com/forebay-io/forebay/connector"
	"github.com/forebay-io/forebay/connector/drop"
	"github.com/forebay-io/forebay/connector/file"
	"github.com/forebay-io/forebay/connector/generate"
	"github.com/forebay-io/forebay/connector/stdin"
	"github.com/forebay-io/forebay/connector/stdout"
	"github.com/forebay-io/forebay/connector/table"
)

// Registry lists the connectors that the binary has.
func Registry() connector.Registry {
	return connector.Registry{
		file.Spec(),
		generate.Spec(),
		stdin.Spec(),
		table.Spec(),
		stdout.Spec(),
		drop.Spec(),
	}
}
