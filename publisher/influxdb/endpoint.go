package influxdb

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// An endpoint is where and how a version takes points.
type endpoint struct {
	version  int
	write    *url.URL
	query    *url.URL // version 1: takes statements
	where    string   // write without its query, for people
	database string
	bucket   string
	header   http.Header
	local    bool
}

func newEndpoint(cfg Config) (endpoint, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return endpoint{}, err
	}
	base = base.JoinPath("/") // without it a URL of no path would get a relative one
	e := endpoint{
		version: cfg.Version, database: cfg.Database, bucket: cfg.Bucket, local: local(base),
		header: http.Header{"User-Agent": {"pacewire"}, "Content-Type": {"text/plain; charset=utf-8"}},
	}
	path, args, auth := "/write", url.Values{"precision": {"ns"}}, ""
	switch cfg.Version {
	case 1:
		set(args, "db", cfg.Database)
		set(args, "rp", cfg.Retention)
		if cfg.Username != "" || cfg.Password != "" {
			auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.Username+":"+cfg.Password.Reveal()))
		}
		e.query = base.JoinPath("/query")
	case 2:
		path = "/api/v2/write"
		set(args, "org", cfg.Org)
		set(args, "bucket", cfg.Bucket)
		auth = bearing("Token ", cfg.Token.Reveal())
	case 3:
		path = "/api/v3/write_lp"
		args = url.Values{"precision": {"nanosecond"}, "accept_partial": {"false"}}
		set(args, "db", cfg.Database)
		auth = bearing("Bearer ", cfg.Token.Reveal())
	}
	if auth != "" {
		e.header.Set("Authorization", auth)
	}
	e.write = base.JoinPath(path)
	e.where = e.write.String()
	e.write.RawQuery = args.Encode()
	return e, nil
}

func set(args url.Values, key, value string) {
	if value != "" {
		args.Set(key, value)
	}
}

func bearing(scheme, token string) string {
	if token = strings.TrimSpace(token); token == "" {
		return ""
	}
	return scheme + token
}

// leaks reports whether others on the way could read the credentials.
func (e endpoint) leaks() bool {
	return e.write.Scheme == "http" && !e.local && e.header.Get("Authorization") != ""
}
