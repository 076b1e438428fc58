// SPDX-License-Identifier: Apache-2.0

package stdout

import (
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/forebay-io/forebay"
)

// classify says what the error of a write means. An output whose reader is gone never comes back; of every
// other failure it is not known how much was printed.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe), errors.Is(err, fs.ErrClosed):
		return &forebay.Error{
			Op: "write to stdout", Class: forebay.ClassMisconfigured, Code: "output-closed", Err: err,
			Cure: "the program that reads this output has ended; start both again",
		}
	default:
		return &forebay.Error{Op: "write to stdout", Class: forebay.ClassAmbiguous, Err: err}
	}
}
