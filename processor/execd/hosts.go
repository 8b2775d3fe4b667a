package execd

import (
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// hosts are those that points were given about: what a program says of others is about our own, whatever it calls them.
type hosts struct {
	own   string
	mu    sync.Mutex
	given map[string]bool
}

// add notes that a program is given points about a host.
func (h *hosts) add(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.given[host] {
		h.given[strings.Clone(host)] = true
	}
}

// of returns the host that a point with such a tag is about.
func (h *hosts) of(tag string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.given[tag] {
		return tag
	}
	return h.own
}

// divide hands the points of b to send, those about each host together.
func (h *hosts) divide(b *telemetry.Batch, send func(host string, b *telemetry.Batch)) {
	if host, ok := h.only(b); ok {
		send(host, b)
		return
	}
	parts := map[string]*telemetry.Batch{}
	for g := range b.Groups() {
		h.rows(g, parts)
	}
	dropped := *b.Drops()
	for host, part := range parts {
		for code, n := range dropped {
			part.Drops()[code] += n
		}
		dropped = telemetry.Drops{} // they are counted once
		send(host, part)
	}
}

// only returns the host that all points of b are about.
func (h *hosts) only(b *telemetry.Batch) (host string, ok bool) {
	host = h.own
	first := true
	for g := range b.Groups() {
		tag, same := g.Tag("host").Const()
		if !same || !first && h.of(tag) != host {
			return "", false
		}
		host, first = h.of(tag), false
	}
	return host, true
}

// rows adds each point of g to the batch of its host.
func (h *hosts) rows(g *telemetry.Group, parts map[string]*telemetry.Batch) {
	keys := g.TagKeys(nil)
	tags, texts := make([]telemetry.TagView, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		tags[i] = g.Tag(key)
	}
	columns := g.FieldColumns()
	fields, values := make([]telemetry.Field, len(columns)), make([]telemetry.Value, len(columns))
	for i := range columns {
		fields[i] = telemetry.Field{Name: columns[i].Name, Type: columns[i].Type()}
	}
	about := g.Tag("host")
	for row := range g.Len() {
		for i := range tags {
			texts[i] = tags[i].At(row)
		}
		for i := range columns {
			values[i] = columns[i].Value(row)
		}
		host := h.of(about.At(row))
		if parts[host] == nil {
			parts[host] = &telemetry.Batch{}
		}
		parts[host].Group(g.Series, keys, fields).Row(time.Unix(0, g.Time(row)), texts, values...)
	}
}
