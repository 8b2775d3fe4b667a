package influxdb

import (
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/pacewire/pacewire/plugin"
)

// Config is what an operator may set.
type Config struct {
	URL     string `json:"url" jsonschema:"where the server is; a path before its own paths is kept"`
	Version int    `json:"version" jsonschema:"of InfluxDB: 1 for 1.x and VictoriaMetrics, 2, or 3"`

	Database       string        `json:"database" jsonschema:"versions 1 and 3: the database to write to"`
	Retention      string        `json:"retention" jsonschema:"version 1: the retention policy to write to; empty: the default one"`
	CreateDatabase bool          `json:"create_database" jsonschema:"version 1: make the database if there is none"`
	Username       string        `json:"username" jsonschema:"version 1: the user, if the server wants one"`
	Password       plugin.Secret `json:"password" jsonschema:"version 1: the password of that user"`

	Org    string        `json:"org" jsonschema:"version 2: the organisation"`
	Bucket string        `json:"bucket" jsonschema:"version 2: the bucket to write to"`
	Token  plugin.Secret `json:"token" jsonschema:"versions 2 and 3: the token, if the server wants one"`

	Compression string `json:"compression" jsonschema:"gzip or none; auto: none to a server on this machine, else gzip"`

	CAFile             string `json:"ca_file" jsonschema:"PEM file with the certificates to trust instead of the system's"`
	InsecureSkipVerify bool   `json:"insecure_skip_verify" jsonschema:"take any certificate: for tests only"`
}

const (
	auto    = "auto"
	gzipped = "gzip"
	none    = "none"
)

// Validate reports what is wrong with c. It does not repeat the URL: there may be a password in it.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := checkURL(c.URL); err != nil {
		fault("url: %w", err)
	}
	if c.Version < 1 || c.Version > 3 {
		fault("version %d: want 1, 2 or 3", c.Version)
	}
	if c.Version == 2 && c.Bucket == "" {
		fault("bucket is empty: version 2 writes to a bucket")
	}
	if c.Version == 3 && c.Database == "" {
		fault("database is empty: version 3 writes to a database")
	}
	if c.Version != 2 && (c.Bucket != "" || c.Org != "") {
		fault("bucket and org are of version 2: set version: 2 or use database")
	}
	if c.Version != 1 && (c.Username != "" || c.Password != "" || c.Retention != "" || c.CreateDatabase) {
		fault("username, password, retention and create_database are of version 1: set version: 1 or use token")
	}
	if c.Version == 1 && c.Token != "" {
		fault("token is of versions 2 and 3: set version or use username and password")
	}
	if c.CreateDatabase && c.Database == "" {
		fault("create_database without database: name it")
	}
	if c.Compression != auto && c.Compression != gzipped && c.Compression != none {
		fault("compression %q: want auto, gzip or none", c.Compression)
	}
	return errors.Join(faults...)
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("want http://host:8086 or https://host:8086")
	case u.User != nil:
		return errors.New("has a user name or password in it: use username and password, or token")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("has a query or a fragment in it: use database, retention, org and bucket")
	}
	return nil
}

// local reports whether u is on this machine.
func local(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
