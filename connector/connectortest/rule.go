// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"fmt"
	"slices"
	"strings"
)

// Rule is a promise of a two-phase sink. docs/connectors/writing-one.md explains each under its number.
type Rule struct {
	ID string
	// Says is the promise, Cure where to look when it is broken.
	Says, Cure string
}

// The rules of two-phase sinks.
const (
	ruleHidden    = "T1"
	ruleVisible   = "T2"
	ruleRepeat    = "T3"
	ruleAnswers   = "T4"
	ruleCrash     = "T5"
	ruleNames     = "T6"
	ruleBegin     = "T7"
	ruleEmpty     = "T8"
	ruleHeld      = "T9"
	ruleLast      = "T10"
	ruleAbort     = "T11"
	ruleSiblings  = "T12"
	ruleListed    = "T13"
	ruleNotListed = "T14"
	ruleLine      = "T15"
	ruleClose     = "T16"
	ruleFenced    = "T17"
	ruleOwner     = "T18"
	ruleRetry     = "T19"
	ruleNoted     = "T20"
	ruleLanes     = "T21"
)

// Rules lists the rules of two-phase sinks.
func Rules() []Rule {
	return []Rule{
		{
			ruleHidden, "nothing is visible before its commit",
			"keep what is written and prepared where readers do not look, and publish it in Commit alone",
		},
		{
			ruleVisible, "a commit that is answered makes everything of it visible, once",
			"publish all of it before answering done or already, and answer lost where it is not there",
		},
		{
			ruleRepeat, "a commit can be repeated, by this run or a later one",
			"look first whether it is published, and answer already",
		},
		{
			ruleAnswers, "every request is answered with what is so, in its place",
			"set the Outcome of each request before Commit returns nil, and Err where it is lost or fatal",
		},
		{
			ruleCrash, "what wait returned survives a kill at any point, and what no checkpoint has is gone",
			"make it durable, with the folder or the note that leads to it, before wait returns",
		},
		{
			ruleNames, "an id is never used again",
			"make it of the pipeline, the epoch, the holder, and a number that only rises while the target is open",
		},
		{
			ruleBegin, "each Prepare gives what was written since the one before, and nothing else",
			"begin anew with the first Write after a Prepare, and hand over each piece once",
		},
		{
			ruleEmpty, "nothing written gives nothing",
			"begin with the first record, and return an empty Prepared where there was none",
		},
		{
			ruleHeld, "what is held comes back exactly as its Data describes it",
			"go on from LaneContext.Restored at the end that Data names, and cut off what lies behind it",
		},
		{
			ruleLast, "the last checkpoint holds nothing",
			"finish what is held, also what was restored, when Prepare is told that it is the last",
		},
		{
			ruleAbort, "Abort removes for good, and can be repeated",
			"remove it, take what is gone already as done, and answer lost to a commit that still asks for it",
		},
		{
			ruleSiblings, "Abort touches nothing that it was not given",
			"remove by the exact id: not by a prefix, a lane or a folder",
		},
		{
			ruleListed, "ListOpen and Opened together find everything that is not committed",
			"list what is open, held and prepared, of every owner up to the given one",
		},
		{
			ruleNotListed, "ListOpen lists nothing of newer owners, nothing of other pipelines, nothing committed",
			"compare the pipeline and the epoch of each, exactly",
		},
		{
			ruleLine, "Prepare draws the line when it returns, however late wait runs",
			"set the piece aside in Prepare, so that Write goes on with another while wait makes it durable",
		},
		{
			ruleClose, "Close gives up what was not prepared, and nothing else",
			"remove in Close what no Prepare has handed over, and leave the rest to Commit and Abort",
		},
		{
			ruleFenced, "after a fence an older owner publishes nothing and disturbs nothing",
			"make the fence a name or a condition that the commit of an older owner cannot pass as it publishes",
		},
		{
			ruleOwner, "the fence belongs to the newest owner of each pipeline, over restarts, until it is forgotten",
			"store epoch and holder by a conditional write that only a greater epoch, or the same owner, passes",
		},
		{
			ruleRetry, "a retry goes on from its changed committable, and ends",
			"look up what became of the attempt before, and accept the committable in the form that Changed gave it",
		},
		{
			ruleNoted, "what ListOpen could not find again is noted by Opened before it is used",
			"call LaneContext.Opened before the first byte goes into it, and give up what could not be noted",
		},
		{
			ruleLanes, "lanes write, prepare and wait at the same time",
			"share nothing between lanes without a lock, and number what they make in one place",
		},
	}
}

// ruleOf finds a rule by its id.
func ruleOf(id string) Rule {
	rules := Rules()
	return rules[slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })]
}

// title is the name of the check of a rule.
func title(id string) string { return id + ": " + ruleOf(id).Says }

// broken reports that a rule is broken, with what was seen and what to do.
func broken(t T, id, format string, args ...any) {
	t.Helper()
	r := ruleOf(id)
	t.Errorf("rule %s (%s): %s; what to do: %s", r.ID, r.Says, fmt.Sprintf(format, args...), r.Cure)
}

// spans prints ids as ranges, such as 0-9, 12.
func spans(ids []int64) string {
	slices.Sort(ids)
	var out strings.Builder
	for i := 0; i < len(ids); {
		end := i
		for end+1 < len(ids) && ids[end+1] == ids[end]+1 {
			end++
		}
		if out.Len() > 0 {
			out.WriteString(", ")
		}
		if end > i {
			fmt.Fprintf(&out, "%d-%d", ids[i], ids[end])
		} else {
			fmt.Fprintf(&out, "%d", ids[i])
		}
		i = end + 1
	}
	return out.String()
}
