// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"

	"github.com/forebay-io/forebay"
)

// Guarantee is what a pipeline promises end to end.
type Guarantee string

// The guarantees, from the weakest. Effectively-once cannot be asked for: it is what check calls exactly-once
// results by overwriting.
const (
	GuaranteeStrongest     Guarantee = ""
	GuaranteeNone          Guarantee = "none"
	GuaranteeAtLeastOnce   Guarantee = "at-least-once"
	GuaranteeEffectiveOnce Guarantee = "effectively-once"
	GuaranteeExactlyOnce   Guarantee = "exactly-once"
)

func (g Guarantee) valid() bool {
	return g == GuaranteeStrongest || g == GuaranteeNone || g == GuaranteeAtLeastOnce || g == GuaranteeExactlyOnce
}

func (g Guarantee) rank() int {
	switch g {
	case GuaranteeNone:
		return 1
	case GuaranteeAtLeastOnce:
		return 2
	case GuaranteeEffectiveOnce:
		return 3
	case GuaranteeExactlyOnce:
		return 4
	default:
		return 0
	}
}

// Link is one sentence of the explanation of a guarantee.
type Link struct {
	// Part is source, transform, sink or end to end.
	Part string
	// Gives is the strongest guarantee that the part allows.
	Gives Guarantee
	Says  string
}

// Plan is the guarantee of a pipeline, link by link.
type Plan struct {
	Guarantee Guarantee
	Strongest Guarantee
	Way       forebay.Way
	Links     []Link
}

// chain is what a guarantee depends on.
type chain struct {
	source        forebay.SourceInfo
	sink          forebay.SinkInfo
	deterministic bool
	transforms    int
	// inPlace says that the steps edit JSON and no rows are made.
	inPlace bool
}

// plan decides the guarantee of a chain. It is the one place where the capabilities of both ends meet.
//
// Errors: misconfigured (code guarantee-impossible) where more is wanted than the chain can give.
func plan(c chain, wanted Guarantee) (Plan, error) {
	source, transform, sink := c.sourceLink(), c.transformLink(), c.sinkLink()
	p := Plan{Way: c.sink.Way, Links: []Link{source, transform, sink}}
	p.Strongest = weakest(source, transform, sink)
	p.Guarantee = wanted
	if wanted == GuaranteeStrongest {
		p.Guarantee = p.Strongest
	}
	if p.Guarantee.rank() > p.Strongest.rank() {
		reason := source
		for _, link := range p.Links {
			if link.Gives == p.Strongest {
				reason = link
				break
			}
		}
		return p, &forebay.Error{
			Op: "plan", Class: forebay.ClassMisconfigured, Code: "guarantee-impossible",
			Err:  fmt.Errorf("%s cannot be given: %s", wanted, reason.Says),
			Cure: p.cure(),
		}
	}
	p.Links = append(p.Links, c.endLink(p))
	return p, nil
}

// cure is what to write instead of a guarantee that cannot be given.
func (p Plan) cure() string {
	if !p.Strongest.valid() {
		return fmt.Sprintf("the strongest here is %s: leave guarantee out to get it", p.Strongest)
	}
	return fmt.Sprintf("the strongest here is %s: write guarantee: %s, or leave it out", p.Strongest, p.Strongest)
}

func weakest(links ...Link) Guarantee {
	lowest := GuaranteeExactlyOnce
	for _, link := range links {
		if link.Gives.rank() < lowest.rank() {
			lowest = link.Gives
		}
	}
	return lowest
}

func (c chain) sourceLink() Link {
	if c.source.Replayable {
		return Link{"source", GuaranteeExactlyOnce, fmt.Sprintf(
			"%s can be read again from any position that was stored", c.source.Connector)}
	}
	return Link{"source", GuaranteeNone, fmt.Sprintf(
		"%s cannot go back: what was read and not delivered when the process dies is lost (a drain loses nothing)",
		c.source.Connector)}
}

func (c chain) transformLink() Link {
	switch {
	case c.transforms == 0:
		return Link{"transform", GuaranteeExactlyOnce, "there is none"}
	case c.deterministic:
		says := "the same record always becomes the same result"
		if c.inPlace {
			says += "; records stay JSON, and what no step touches comes out byte for byte"
		}
		return Link{"transform", GuaranteeExactlyOnce, says}
	case c.sink.Way == forebay.WayIdempotent:
		return Link{
			"transform", GuaranteeAtLeastOnce,
			"a step is not deterministic, so that a record sent again may overwrite with something else",
		}
	default:
		return Link{"transform", GuaranteeExactlyOnce, "a step is not deterministic, which this sink does not need"}
	}
}

func (c chain) sinkLink() Link {
	switch c.sink.Way {
	case forebay.WayProgress:
		return Link{"sink", GuaranteeExactlyOnce, fmt.Sprintf(
			"%s stores the positions in the transaction that stores the records", c.sink.Name)}
	case forebay.WayTwoPhase:
		return Link{"sink", GuaranteeExactlyOnce, fmt.Sprintf(
			"what goes into %s is prepared at each checkpoint and committed once the checkpoint is durable", c.sink.Name)}
	case forebay.WayIdempotent:
		return Link{"sink", GuaranteeEffectiveOnce, fmt.Sprintf(
			"%s overwrites by key: a record sent again leaves the same result", c.sink.Name)}
	default:
		return Link{"sink", GuaranteeAtLeastOnce, fmt.Sprintf(
			"%s takes records one after the other and cannot tell a repeat from a new one", c.sink.Name)}
	}
}

func (c chain) endLink(p Plan) Link {
	var says string
	switch p.Guarantee {
	case GuaranteeExactlyOnce:
		says = "each record is in the target once, whatever is killed when"
	case GuaranteeEffectiveOnce:
		says = "each record may be sent more than once, and the result is as if it had been once"
	case GuaranteeAtLeastOnce:
		says = "no record is lost; after a crash, those since the last checkpoint are sent again"
	default:
		says = "a crash can lose and repeat records; a drain does neither"
	}
	return Link{"end to end", p.Guarantee, says}
}
