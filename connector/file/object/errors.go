// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/forebay-io/forebay"
)

// Codes of what a bucket refuses.
const (
	CodeNoBucket  = "no-bucket"
	CodeNoObject  = "no-object"
	CodeNoUpload  = "no-upload"
	CodeNoPart    = "no-part"
	CodeDenied    = "access-denied"
	CodeRegion    = "wrong-region"
	CodeTLS       = "tls"
	CodeCondition = "condition-failed"
	CodeChanged   = "file-changed"
	CodeRefused   = "request-refused"
)

// CodeOf is the code of a failed request, "" where it has none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*forebay.Error](err); ok {
		return e.Code
	}
	return ""
}

// request is what failed.
type request struct {
	op string
	// write says that it changes something, so that no answer leaves open whether it did.
	write bool
}

// answer is what an answer of the bucket means.
type answer struct {
	class      forebay.Class
	code, cure string
}

const (
	cureBucket = "make the bucket, or mend the path"
	cureDenied = "check access_key, secret_key and what they are allowed to do with the bucket"
	cureRegion = "set s3.region to that of the bucket, and s3.endpoint if it is not AWS"
	cureTLS    = "check s3.endpoint, and set s3.tls.ca where its authority is a private one"
	cureChange = "bring the earlier object back, or give the pipeline another name to start over"
)

// answers are those whose code says what they mean.
var answers = map[string]answer{
	"NoSuchBucket":                 {forebay.ClassMisconfigured, CodeNoBucket, cureBucket},
	"InvalidBucketName":            {forebay.ClassMisconfigured, CodeNoBucket, cureBucket},
	"NoSuchKey":                    {forebay.ClassMisconfigured, CodeNoObject, ""},
	"NotFound":                     {forebay.ClassMisconfigured, CodeNoObject, ""},
	"NoSuchUpload":                 {forebay.ClassLost, CodeNoUpload, ""},
	"InvalidPart":                  {forebay.ClassLost, CodeNoPart, ""},
	"InvalidPartOrder":             {forebay.ClassLost, CodeNoPart, ""},
	"EntityTooSmall":               {forebay.ClassLost, CodeNoPart, ""},
	"AccessDenied":                 {forebay.ClassMisconfigured, CodeDenied, cureDenied},
	"AllAccessDisabled":            {forebay.ClassMisconfigured, CodeDenied, cureDenied},
	"AccountProblem":               {forebay.ClassMisconfigured, CodeDenied, cureDenied},
	"InvalidAccessKeyId":           {forebay.ClassMisconfigured, CodeDenied, cureDenied},
	"SignatureDoesNotMatch":        {forebay.ClassMisconfigured, CodeDenied, cureDenied},
	"ExpiredToken":                 {forebay.ClassMisconfigured, CodeDenied, "renew the temporary keys"},
	"InvalidToken":                 {forebay.ClassMisconfigured, CodeDenied, "renew the temporary keys"},
	"RequestTimeTooSkewed":         {forebay.ClassMisconfigured, CodeDenied, "set the clock of this machine"},
	"PermanentRedirect":            {forebay.ClassMisconfigured, CodeRegion, cureRegion},
	"AuthorizationHeaderMalformed": {forebay.ClassMisconfigured, CodeRegion, cureRegion},
	"IllegalLocationConstraintException": {
		forebay.ClassMisconfigured, CodeRegion, cureRegion,
	},
	"InvalidObjectState":         {forebay.ClassMisconfigured, CodeRefused, "bring it back from its archive first"},
	"PreconditionFailed":         {forebay.ClassTransient, CodeCondition, ""},
	"ConditionalRequestConflict": {forebay.ClassTransient, CodeCondition, ""},
	"SlowDown":                   {forebay.ClassThrottled, "", ""},
	"ServiceUnavailable":         {forebay.ClassThrottled, "", ""},
	"TooManyRequests":            {forebay.ClassThrottled, "", ""},
	"RequestLimitExceeded":       {forebay.ClassThrottled, "", ""},
	"Throttling":                 {forebay.ClassThrottled, "", ""},
	"ThrottlingException":        {forebay.ClassThrottled, "", ""},
	"RequestTimeout":             {forebay.ClassTransient, "", ""},
	"OperationAborted":           {forebay.ClassTransient, "", ""},
}

// fail gives an error of the client library its class.
func (b *Bucket) fail(ctx context.Context, r request, err error) error {
	if _, has := errors.AsType[*forebay.Error](err); has {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && !r.write {
		return &forebay.Error{Op: r.op, Class: forebay.ClassTransient, Err: cause}
	}
	e := &forebay.Error{Op: r.op, Err: err}
	if a, ok := errors.AsType[smithy.APIError](err); ok {
		e.Err = errors.New(strings.TrimSuffix(strings.TrimSpace(a.ErrorCode()+": "+a.ErrorMessage()), ":"))
	}
	m := meaning(r, err)
	e.Class, e.Code, e.Cure = m.class, m.code, m.cure
	if e.Class == forebay.ClassThrottled {
		e.RetryAfter = retryAfter(err)
	}
	return e
}

func meaning(r request, err error) answer {
	if a, ok := errors.AsType[smithy.APIError](err); ok {
		if known, is := answers[a.ErrorCode()]; is {
			return known
		}
	}
	if status := statusOf(err); status != 0 {
		return meaningOfStatus(r, status)
	}
	if untrusted(err) {
		return answer{forebay.ClassMisconfigured, CodeTLS, cureTLS}
	}
	if strings.Contains(err.Error(), "get credentials") {
		return answer{forebay.ClassMisconfigured, CodeDenied, "set access_key and secret_key, or what AWS tools use"}
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return answer{forebay.ClassTransient, "", "check s3.endpoint and s3.region"}
	}
	if !r.write || errors.Is(err, syscall.ECONNREFUSED) {
		return answer{class: forebay.ClassTransient}
	}
	return answer{class: forebay.ClassAmbiguous}
}

func meaningOfStatus(r request, status int) answer {
	switch {
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return answer{forebay.ClassMisconfigured, CodeDenied, cureDenied}
	case status == http.StatusNotFound:
		return answer{forebay.ClassMisconfigured, CodeNoObject, ""}
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect:
		return answer{forebay.ClassMisconfigured, CodeRegion, cureRegion}
	case status == http.StatusPreconditionFailed, status == http.StatusConflict:
		return answer{forebay.ClassTransient, CodeCondition, ""}
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return answer{class: forebay.ClassThrottled}
	case status == http.StatusRequestTimeout:
		return answer{class: forebay.ClassTransient}
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError:
		return answer{forebay.ClassMisconfigured, CodeRefused, ""}
	case r.write:
		return answer{class: forebay.ClassAmbiguous}
	default:
		return answer{class: forebay.ClassTransient}
	}
}

func statusOf(err error) int {
	if r, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && r.Response != nil {
		return r.HTTPStatusCode()
	}
	return 0
}

// untrusted says that the other side does not speak TLS, or is not whom we trust.
func untrusted(err error) bool {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, other := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return unknown || other || invalid || record || errors.Is(err, http.ErrSchemeMismatch)
}

// retryAfter is how long the bucket asks to wait, in whole seconds.
func retryAfter(err error) time.Duration {
	r, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || r.Response == nil {
		return 0
	}
	seconds, err := strconv.Atoi(r.Response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
