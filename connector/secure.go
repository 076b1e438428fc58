// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLS says how a connector's connections are encrypted; it has the same shape in all connectors. The zero value trusts
// what the system trusts.
type TLS struct {
	CA         string `yaml:"ca" doc:"file with the certificates to trust, instead of the system's"`
	Cert       string `yaml:"cert" doc:"file with our certificate, where the other side asks for one"`
	Key        string `yaml:"key" doc:"file with the key of cert"`
	ServerName string `yaml:"server_name" doc:"name in the other side's certificate, where it is not that of the address"`
}

// Config reads the files.
//
// Errors: that of a file that cannot be read or holds no certificate, with its name.
func (t *TLS) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls.ca: %s holds no certificate in PEM form", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("tls: cert and key belong together, and one of them is missing")
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// Auth says who we are; it has the same shape in all connectors.
type Auth struct {
	Token string `yaml:"token" doc:"what the other side knows us by" example:"${file:/run/secrets/token}"`
}
