package config

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// bus reads bus: as embedded, a URL, a list of URLs, or a map.
func (l *loader) bus(s *source, n *yaml.Node) Bus {
	b := Bus{Sync: "always"}
	if n.Kind != yaml.MappingNode {
		b.URLs = s.urls("bus", n)
		b.Embedded = b.URLs == nil
		return b
	}
	var compress *yaml.Node
	embedded := map[string]func(*yaml.Node){
		"listen":    func(n *yaml.Node) { b.Listen = s.loopback("bus.listen", n, s.address("bus.listen", n), busWay) },
		"store":     func(n *yaml.Node) { b.Store = s.text("bus.store", n) },
		"sync":      func(n *yaml.Node) { b.Sync = s.sync(n) },
		"max_store": func(n *yaml.Node) { b.MaxStore = s.store(n) },
		"max_age":   func(n *yaml.Node) { b.MaxAge = s.duration("bus.max_age", n, time.Second) },
	}
	external := map[string]func(*yaml.Node){
		"replicas": func(n *yaml.Node) { b.Replicas = s.copies(n) },
		"spool":    func(n *yaml.Node) { b.Spool, compress = s.spool(n) },
		"creds_file": func(n *yaml.Node) {
			b.CredsFile = s.text("bus.creds_file", n)
			l.secretFile(s, "bus.creds_file", n)
		},
		"tls": func(n *yaml.Node) { b.TLS = l.tls(s, n) },
	}
	known := map[string]func(*yaml.Node){"urls": func(n *yaml.Node) { b.URLs = s.urls("bus.urls", n) }}
	maps.Copy(known, embedded)
	maps.Copy(known, external)
	s.fields("bus", n, known, []string{"urls", "listen", "store", "sync", "max_store", "max_age", "creds_file", "tls", "replicas", "spool"})
	b.Embedded = b.URLs == nil
	if compress != nil {
		l.compressible(s, compress, b.URLs)
	}
	for _, e := range entries(n) {
		switch {
		case embedded[e.name] != nil && !b.Embedded && b.Spool == nil:
			s.fault(e.key, "set it on the NATS server, or remove urls:", "bus: %s is of the embedded bus, and urls: says that the bus is elsewhere", e.name)
		case external[e.name] != nil && !hasKey(n, "urls"):
			s.fault(e.key, "name the bus: urls: tls://bus.example:4222, or remove "+e.name, "bus: %s is of a bus elsewhere, and without urls: it is embedded", e.name)
		}
	}
	return b
}

// spool reads spool: as true, or as a map of how it is sent on, compressed where compress says so; nil: there is none.
func (s *source) spool(n *yaml.Node) (p *Spool, compress *yaml.Node) {
	p = &Spool{Order: SpoolOldest}
	if n.Kind != yaml.MappingNode {
		if !s.flag("bus.spool", n) {
			return nil, nil
		}
		return p, nil
	}
	s.fields("bus.spool", n, map[string]func(*yaml.Node){
		"order":  func(n *yaml.Node) { p.Order = s.oneOf("bus.spool.order", n, SpoolOldest, SpoolLive) },
		"window": func(n *yaml.Node) { p.Window = s.window(n) },
		"compress": func(n *yaml.Node) {
			if p.Compress = s.flag("bus.spool.compress", n); p.Compress {
				compress = n
			}
		},
	}, []string{"order", "window", "compress"})
	return p, compress
}

// compressible refuses to compress, which stands at n, where the way there cannot be.
func (l *loader) compressible(s *source, n *yaml.Node, urls []string) {
	if l.BusURL != "" {
		urls = strings.Split(l.BusURL, ",")
	}
	for _, text := range urls {
		if scheme, _, _ := strings.Cut(strings.TrimSpace(text), "://"); scheme == "ws" || scheme == "wss" {
			continue
		}
		s.fault(n, "name where its servers take WebSocket connections, such as wss://bus.example:443, or leave compress out",
			"bus.spool.compress: NATS compresses WebSocket connections alone, and %s is none", text)
		return
	}
}

// leastStore is what a store must hold: some messages of each stream.
const leastStore = 8 << 20

// store reads how much the embedded bus keeps.
func (s *source) store(n *yaml.Node) int64 {
	bytes := s.size("bus.max_store", n)
	if bytes > 0 && bytes < leastStore {
		s.fault(n, "write 8MiB, or leave it out for 2GiB", "bus.max_store: want at least 8MiB, got %s", s.got(n))
	}
	return bytes
}

// copies reads how many servers of a cluster keep a stream. Most of them have to be there, so an even number is no safer than one less.
func (s *source) copies(n *yaml.Node) int {
	count := s.count("bus.replicas", n, 5)
	if away := count/2 - 1; count > 0 && count%2 == 0 {
		s.warn(n, fmt.Sprintf("write %d", count+1), "bus.replicas: most servers that keep a stream have to be there: of %d %s may be away, as of %d", count, []string{"none", "one"}[away], count-1)
	}
	return count
}

// window reads how much may be on the way at a time: a message at least, and no more than a server takes from one connection.
func (s *source) window(n *yaml.Node) int64 {
	size := s.size("bus.spool.window", n)
	if size != 0 && (size < 1<<20 || size > 64<<20) {
		s.fault(n, "leave it out for 8MiB", "bus.spool.window: want 1MiB to 64MiB, got %s", s.got(n))
	}
	return size
}

// urls reads one URL or several; "embedded" gives nil, and no other value does: a bus that is misspelt is no embedded one.
func (s *source) urls(key string, n *yaml.Node) []string {
	out := []string{}
	list, nodes := s.texts(key, n)
	for i, text := range list {
		if text == "embedded" && len(list) == 1 {
			return nil
		}
		if s.url(key, nodes[i], text) {
			out = append(out, text)
		}
	}
	return out
}

func (s *source) url(key string, n *yaml.Node, text string) bool {
	u, err := url.Parse(text)
	if err == nil && u.Host != "" && strings.Contains(" nats tls ws wss ", " "+u.Scheme+" ") {
		if _, written := s.written[n]; u.User != nil && !written {
			s.warn(n, "put them into a file and name it: bus: { urls: ..., creds_file: ... }", "%s: the credentials stand in plain text", key)
		}
		return true
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "", text
	}
	hint := ""
	if scheme != "nats" && !strings.ContainsAny(rest, " /") {
		hint = "did you mean nats://" + rest + "?"
	}
	hint = didYouMean(text, []string{"embedded"}, hint)
	s.fault(n, hint, "%s: want embedded, or a URL such as nats://bus.example:4222, got %s", key, s.got(n))
	return false
}

func (s *source) sync(n *yaml.Node) string {
	if n.Value == "always" {
		return "always"
	}
	text := s.text("bus.sync", n)
	d, ok := parseDuration(text)
	if text != "" && (!ok || d < time.Millisecond) {
		hint := didYouMean(text, []string{"always"}, durationHint(text))
		if ok {
			hint = "write always, or 1ms or more"
		}
		s.fault(n, hint, "bus.sync: want always, or a duration such as 1s, got %s", s.got(n))
		return ""
	}
	if d > longSync {
		s.warn(n, "write 1s, or leave it out for always", "bus.sync: a power cut may take what was acknowledged in the last %s", s.raw(n))
	}
	return text
}

// longSync is more than who wants fewer writes gains by.
const longSync = time.Minute

// tls reads the names of certificates and of a key, which is a secret.
func (l *loader) tls(s *source, n *yaml.Node) (t TLS) {
	if !s.isMap("bus.tls", n, "{ ca_file: /etc/pacewire/ca.pem }") {
		return t
	}
	s.fields("bus.tls", n, map[string]func(*yaml.Node){
		"ca_file":   func(n *yaml.Node) { t.CAFile = s.text("bus.tls.ca_file", n) },
		"cert_file": func(n *yaml.Node) { t.CertFile = s.text("bus.tls.cert_file", n) },
		"key_file": func(n *yaml.Node) {
			t.KeyFile = s.text("bus.tls.key_file", n)
			l.secretFile(s, "bus.tls.key_file", n)
		},
	}, []string{"ca_file", "cert_file", "key_file"})
	if (t.CertFile == "") != (t.KeyFile == "") {
		s.fault(n, "", "bus.tls: cert_file and key_file go together")
	}
	return t
}

func (s *source) log(n *yaml.Node) (g Log) {
	level := func(n *yaml.Node) { g.Level = s.oneOf("log.level", n, "debug", "info", "warn", "error") }
	if n.Kind == yaml.ScalarNode && !empty(n) {
		level(n)
		return g
	}
	if s.isMap("log", n, "{ level: info, format: text }") {
		s.fields("log", n, map[string]func(*yaml.Node){
			"level":  level,
			"format": func(n *yaml.Node) { g.Format = s.oneOf("log.format", n, "text", "json") },
		}, []string{"level", "format"})
	}
	return g
}

// secretFile looks whether a file that holds a secret is there and nobody else's.
func (l *loader) secretFile(s *source, key string, n *yaml.Node) {
	if l.Offline || n.Value == "" {
		return
	}
	switch info, err := os.Stat(n.Value); {
	case os.IsNotExist(err):
		s.warn(n, "", "%s: there is no file %s yet", key, s.raw(n))
	case err != nil || info.IsDir():
		s.warn(n, "", "%s: %s cannot be read as a file", key, s.raw(n))
	case info.Mode().Perm()&0o004 != 0 && !l.InsecureFiles:
		s.fault(n, "chmod 0600 "+s.raw(n), "%s: every user of this machine may read %s", key, s.raw(n))
	}
}
