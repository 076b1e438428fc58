// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"io/fs"

	"github.com/forebay-io/forebay"
)

// Codes of what stops a pipeline that reads files.
const (
	codeNoMatch     = "no-match"
	codeUnreadable  = "file-unreadable"
	codeChanged     = "file-changed"
	codeTruncated   = "file-truncated"
	codeCorrupt     = "file-corrupt"
	codeGridChanged = "ranges-not-allowed"
	codeTooMany     = "too-many-ranges"
)

const startOver = "bring the earlier content back, or give the pipeline another name to start over"

// advice is what an error says beside its cause.
type advice struct{ op, code, cure string }

func misconfigured(a advice, format string, args ...any) error {
	e := forebay.Errorf(a.op, forebay.ClassMisconfigured, format, args...)
	e.Code, e.Cure = a.code, a.cure
	return e
}

// systemError classifies what the operating system answered: what a person can mend is misconfigured, the
// rest may pass.
func systemError(op string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrInvalid) {
		return misconfigured(advice{op, codeUnreadable, ""}, "%w", err)
	}
	return forebay.Errorf(op, forebay.ClassTransient, "%w", err)
}
