package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/telemetry"
)

// Lengths of lists.
const (
	usualList = 500
	mostList  = 5000
)

// hostPage is a list of hosts.
type hostPage struct {
	Hosts []telemetry.HostStatus `json:"hosts"`
	Next  string                 `json:"next,omitzero"` // there are more: ask with it as after
}

// filter returns which hosts are meant.
func (c *call) filter() (hub.Filter, error) {
	labels, err := c.pairs("label")
	return hub.Filter{
		Host: c.query.Get("host"), State: c.query.Get("state"), Owner: c.query.Get("owner"), Site: c.query.Get("site"), Label: labels,
	}, err
}

func (c *call) hosts() error {
	f, err := c.filter()
	if err != nil {
		return err
	}
	f.State = strings.ToUpper(f.State)
	switch f.State {
	case "", telemetry.HostUnknown, telemetry.HostUp, telemetry.HostOverdue, telemetry.HostDown, telemetry.HostLeft:
	default:
		return invalid("state", "state=%s: want UNKNOWN, UP, OVERDUE, DOWN or LEFT", f.State)
	}
	most, err := c.limit(usualList, mostList)
	if err != nil {
		return err
	}
	list, more := c.s.o.Hub.Hosts(f, hub.Page{After: c.query.Get("after"), Most: most})
	p := hostPage{Hosts: append([]telemetry.HostStatus{}, list...)}
	if more && len(list) > 0 {
		p.Next = list[len(list)-1].Host
	}
	steady := p
	steady.Hosts = make([]telemetry.HostStatus, len(p.Hosts))
	for i, h := range p.Hosts {
		steady.Hosts[i] = steadily(h)
	}
	return c.tagged(steady, p)
}

// steadily returns h without what each beat changes.
func steadily(h telemetry.HostStatus) telemetry.HostStatus {
	h.Beat, h.AgeMS, h.HostUpMS, h.RTTUS, h.OffsetUS, h.Load = 0, 0, 0, 0, 0, nil
	h.Received, h.Lost, h.AckLost, h.Late, h.Duplicate, h.Saved = 0, 0, 0, 0, 0, 0
	return h
}

// tagged answers with v, whose ETag is that of steady; who has it already is told so.
func (c *call) tagged(steady, v any) error {
	text, err := json.Marshal(steady)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	tag := `W/"` + hex.EncodeToString(sum[:12]) + `"`
	c.w.Header().Set("ETag", tag)
	for have := range strings.SplitSeq(c.r.Header.Get("If-None-Match"), ",") {
		if have = strings.TrimSpace(have); have == tag || have == "*" {
			c.w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	return c.json(http.StatusOK, v)
}

func (c *call) oneHost() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	return c.tagged(steadily(h), h)
}

func (c *call) forget() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	if err := c.s.o.Hub.Forget(c.r.Context(), h.Host); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// longestSilence bounds a maintenance: what is silenced for ever is forgotten.
const longestSilence = 366 * 24 * time.Hour

func (c *call) silence() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	var body struct {
		For string `json:"for"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	d, err := config.ParseDuration(body.For)
	if err != nil || d < time.Second || d > longestSilence {
		return invalid("for", "for %q: want how long, from 1s to %s", body.For, longestSilence).hint(`-d '{"for": "2h"}'`)
	}
	return c.silenceUntil(h.Host, time.Now().Add(d))
}

func (c *call) unsilence() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	return c.silenceUntil(h.Host, time.Time{})
}

func (c *call) silenceUntil(host string, until time.Time) error {
	if err := c.s.o.Hub.Silence(c.r.Context(), host, until); err != nil {
		return err
	}
	h, err := c.s.o.Hub.Host(host)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, h)
}
