// SPDX-License-Identifier: Apache-2.0

package object

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector"
)

// Config says how buckets are reached. The zero value is AWS as its environment describes it: region and credentials
// as its own tools find them.
type Config struct {
	Endpoint     string         `yaml:"endpoint" doc:"URL, where it is not AWS" example:"http://minio:9000"`
	Region       string         `yaml:"region" doc:"of the bucket; us-east-1 with an endpoint" example:"eu-central-1"`
	PathStyle    *bool          `yaml:"path_style" doc:"bucket in the path, not in the host; true with an endpoint"`
	AccessKey    string         `yaml:"access_key" doc:"without it credentials are found as AWS tools do"`
	SecretKey    string         `yaml:"secret_key" doc:"belongs to access_key" secret:"true"`
	SessionToken string         `yaml:"session_token" doc:"of temporary keys" secret:"true"`
	TLS          *connector.TLS `yaml:"tls" doc:"how connections are encrypted"`
	Timeout      time.Duration  `yaml:"timeout" doc:"without any byte, a request ends" default:"30s" min:"100ms"`
}

const (
	timeoutDefault = 30 * time.Second
	dialMax        = 10 * time.Second
	// connectionsMax bounds the connections that wait for the next request.
	connectionsMax = 64
	regionDefault  = "us-east-1"
)

const scheme = "s3://"

// IsURL tells an address of a bucket from a path.
func IsURL(path string) bool { return strings.HasPrefix(path, scheme) }

// Parse takes s3://bucket/key apart. The key may be empty.
func Parse(path string) (bucket, key string, err error) {
	rest, is := strings.CutPrefix(path, scheme)
	bucket, key, _ = strings.Cut(rest, "/")
	if !is || bucket == "" || strings.ContainsAny(bucket, "*?[ ") {
		return "", "", fmt.Errorf("%q is not the address of a bucket: write %sbucket/prefix", path, scheme)
	}
	return bucket, key, nil
}

// URL puts together what Parse takes apart.
func URL(bucket, key string) string { return scheme + bucket + "/" + key }

// Check lists what is wrong with the configuration, without a connection.
func (c Config) Check() error {
	var problems []error
	if (c.AccessKey == "") != (c.SecretKey == "") {
		problems = append(problems, errors.New("s3: access_key and secret_key belong together, and one of them is missing"))
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			problems = append(problems, fmt.Errorf("s3.endpoint: %q is not a URL such as https://host:port", c.Endpoint))
		}
	}
	if c.Timeout < 0 {
		problems = append(problems, fmt.Errorf("s3.timeout: %s is negative", c.Timeout))
	}
	return errors.Join(problems...)
}

// Bucket is one bucket.
//
// Concurrency: safe.
type Bucket struct {
	name    string
	client  *s3.Client
	timeout time.Duration
	http    *awshttp.BuildableClient
}

// Open makes the client of a bucket. It asks nothing of the bucket.
//
// Errors: misconfigured.
func Open(ctx context.Context, bucket string, c Config) (*Bucket, error) {
	wrong := func(err error) error {
		return &forebay.Error{Op: "open bucket " + bucket, Class: forebay.ClassMisconfigured, Err: err}
	}
	if err := c.Check(); err != nil {
		return nil, wrong(err)
	}
	b := &Bucket{name: bucket, timeout: cmp.Or(c.Timeout, timeoutDefault)}
	transport, err := c.transport(b.timeout)
	if err != nil {
		return nil, wrong(err)
	}
	b.http = transport
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithHTTPClient(transport)}
	if c.AccessKey != "" {
		keys := credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, c.SessionToken)
		options = append(options, awsconfig.WithCredentialsProvider(keys))
	}
	if c.Region != "" {
		options = append(options, awsconfig.WithRegion(c.Region))
	}
	loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, wrong(err)
	}
	own := c.Endpoint != "" || loaded.BaseEndpoint != nil
	if loaded.Region == "" && own {
		loaded.Region = regionDefault
	}
	if loaded.Region == "" {
		return nil, wrong(errors.New("s3.region: is missing; name the region of the bucket"))
	}
	b.client = s3.NewFromConfig(loaded, func(o *s3.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(strings.TrimSuffix(c.Endpoint, "/"))
		}
		o.UsePathStyle = own
		if c.PathStyle != nil {
			o.UsePathStyle = *c.PathStyle
		}
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	return b, nil
}

func (c Config) transport(timeout time.Duration) (*awshttp.BuildableClient, error) {
	encryption := c.TLS
	if encryption == nil {
		encryption = &connector.TLS{}
	}
	config, err := encryption.Config()
	if err != nil {
		return nil, fmt.Errorf("s3.%w", err)
	}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.TLSClientConfig = config
		t.DialContext = (&net.Dialer{Timeout: min(timeout, dialMax), KeepAlive: dialMax}).DialContext
		t.TLSHandshakeTimeout = min(timeout, dialMax)
		t.ResponseHeaderTimeout = timeout
		t.MaxIdleConnsPerHost = connectionsMax
	}), nil
}

// Name is the bucket's name.
func (b *Bucket) Name() string { return b.name }

// Close closes the connections that nobody uses.
func (b *Bucket) Close() error {
	b.http.GetTransport().CloseIdleConnections()
	return nil
}

// once makes a request go out a single time.
func once(o *s3.Options) { o.Retryer = aws.NopRetryer{} }
