// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/forebay-io/forebay"
)

// Right is what a token may do with a table.
type Right string

// The rights.
const (
	RightRead  Right = "read"
	RightWrite Right = "write"
)

// Limits of a tokens file.
const (
	tokensMax   = 10_000
	tokenMin    = 16 // characters: a shorter one can be guessed
	tokenMax    = 512
	tokenPrefix = "sha256:"
)

// Tokens are the tokens that a front knows, and what each may do.
//
// A tokens file has one token a line: the token itself or sha256: and the 64 hexadecimal digits of its SHA-256, then
// its rights, read:TABLES and write:TABLES, where TABLES is the name of a table or a pattern with * and ?. Empty lines
// and lines that begin with # are skipped. Reading needs read, everything else write; a pipeline's progress is that of
// its dead-letter table, _dlq.PIPELINE.
type Tokens struct {
	grants []*grant
}

// grant is a token's line.
type grant struct {
	sum         [sha256.Size]byte
	line        int
	read, write []string
}

// ParseTokens reads a tokens file, whose name is for messages. It reports every problem at once, by line, and shows no
// token.
//
// Errors: misconfigured.
func ParseTokens(name string, text []byte) (*Tokens, error) {
	t := &Tokens{}
	lines := map[[sha256.Size]byte]int{}
	var problems []error
	for i, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		g, err := parseGrant(fields)
		if err == nil {
			if first, twice := lines[g.sum]; twice {
				err = fmt.Errorf("the token of line %d again: give all its rights on one line", first)
			}
			lines[g.sum] = i + 1
			g.line = i + 1
			t.grants = append(t.grants, g)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", name, i+1, err))
		}
	}
	if len(t.grants) > tokensMax {
		problems = append(problems, fmt.Errorf("%s: %d tokens are more than %d", name, len(t.grants), tokensMax))
	}
	if len(t.grants) == 0 && len(problems) == 0 {
		problems = append(problems, fmt.Errorf("%s: it holds no token, so nobody could do anything", name))
	}
	if len(problems) > 0 {
		e := forebay.Errorf("read tokens", forebay.ClassMisconfigured, "%w", errors.Join(problems...))
		e.Cure = "a line is TOKEN or sha256:HEX, then read:TABLES and write:TABLES, such as write:clicks or read:*"
		return nil, e
	}
	return t, nil
}

func parseGrant(fields []string) (*grant, error) {
	g := &grant{}
	if digits, hashed := strings.CutPrefix(fields[0], tokenPrefix); hashed {
		sum, err := hex.DecodeString(digits)
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("%s is followed by %d hexadecimal digits", tokenPrefix, 2*sha256.Size)
		}
		copy(g.sum[:], sum)
	} else {
		if len(fields[0]) < tokenMin || len(fields[0]) > tokenMax {
			return nil, fmt.Errorf("a token has %d to %d characters, and this one has %d", tokenMin, tokenMax, len(fields[0]))
		}
		g.sum = sha256.Sum256([]byte(fields[0]))
	}
	if len(fields) == 1 {
		return nil, errors.New("the token has no rights")
	}
	for k, field := range fields[1:] {
		right, pattern, found := strings.Cut(field, ":")
		if _, err := path.Match(pattern, "x"); !found || pattern == "" || err != nil {
			return nil, fmt.Errorf("right %d is not read:TABLES or write:TABLES", k+1)
		}
		switch Right(right) {
		case RightRead:
			g.read = append(g.read, pattern)
		case RightWrite:
			g.write = append(g.write, pattern)
		default:
			// The field is not shown: it may be a token with a blank in it.
			return nil, fmt.Errorf("right %d is neither read nor write", k+1)
		}
	}
	return g, nil
}

// find looks a token up, in a time that does not depend on how much of it is right.
func (t *Tokens) find(token string) *grant {
	sum := sha256.Sum256([]byte(token))
	var found *grant
	for _, g := range t.grants {
		if subtle.ConstantTimeCompare(sum[:], g.sum[:]) == 1 {
			found = g
		}
	}
	return found
}

func (g *grant) may(right Right, table string) bool {
	patterns := g.read
	if right == RightWrite {
		patterns = g.write
	}
	for _, pattern := range patterns {
		if match, err := path.Match(pattern, table); match && err == nil {
			return true
		}
	}
	return false
}

// caller is who makes a call.
type caller struct {
	open  bool // the front asks for no tokens
	grant *grant
}

// caller finds out who makes a call.
func (f *Front) caller(ctx context.Context) caller {
	if f.config.Tokens == nil {
		return caller{open: true}
	}
	for _, value := range metadata.ValueFromIncomingContext(ctx, "authorization") {
		if scheme, token, _ := strings.Cut(value, " "); strings.EqualFold(scheme, "bearer") {
			return caller{grant: f.config.Tokens.find(token)}
		}
	}
	return caller{}
}

// known says whether the caller may do anything at all.
func (c caller) known() bool { return c.open || c.grant != nil }

// refusal is what the caller lacks, as an answer; the code is 0 where he may.
func (c caller) refusal(right Right, table string) (code forebay.Code, message string) {
	switch {
	case c.open || c.grant != nil && c.grant.may(right, table):
		return 0, ""
	case c.grant == nil:
		return forebay.CodeUnauthorized, fmt.Sprintf("to %s table %q needs a token that this server knows", right, table)
	default:
		return forebay.CodeForbidden, fmt.Sprintf("the token of line %d of the tokens file has no right to %s table %q",
			c.grant.line, right, table)
	}
}

// allow is refusal as an error.
func (c caller) allow(op string, right Right, table string) error {
	code, message := c.refusal(right, table)
	if code == 0 {
		return nil
	}
	return accessError(op, code, message)
}

// allowAny checks a caller who may need either right.
func (c caller) allowAny(op, table string) error {
	if code, _ := c.refusal(RightWrite, table); code == 0 {
		return nil
	}
	return c.allow(op, RightRead, table)
}

// allowed checks that the caller is known, for what concerns no table.
func (c caller) allowed(op string) error {
	if c.known() {
		return nil
	}
	return accessError(op, forebay.CodeUnauthorized, "the call needs a token that this server knows")
}

func accessError(op string, code forebay.Code, message string) error {
	e := forebay.Errorf(op, forebay.ClassMisconfigured, "%s", message)
	e.Code, e.Cure = codeForbidden, "have the right added to the token's line"
	if code == forebay.CodeUnauthorized {
		e.Code, e.Cure = codeUnauthorized, "give a token with --token, FOREBAY_TOKEN or tablet.Config"
	}
	return e
}

// Codes of access errors.
const (
	codeUnauthorized = "unauthorized"
	codeForbidden    = "forbidden"
)
