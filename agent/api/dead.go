package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A deadLetter is a batch, or a part of one, that a plugin could not deliver.
type deadLetter struct {
	ID         uint64   `json:"id"`
	At         int64    `json:"at"` // ns, when it was set aside
	Plugin     string   `json:"plugin"`
	Reason     string   `json:"reason"`
	Error      string   `json:"error"`
	Host       string   `json:"host"` // whom the batch is about
	From       string   `json:"from"` // the plugin that has made it
	SourceID   string   `json:"source_id"`
	Deliveries int      `json:"deliveries"`
	Points     int      `json:"points"`
	Bytes      int      `json:"bytes"`
	State      string   `json:"state,omitzero"`    // "given again": its plugin went before it had settled it
	KeptAt     string   `json:"kept_at,omitzero"`  // the host that keeps it, and can give it to its plugin again: what is here is a copy
	LeftOut    int      `json:"left_out,omitzero"` // bytes of content that it is without, as they were too many for a letter
	Lines      []string `json:"lines,omitzero"`    // of one that is asked for: its points as line protocol
}

func letterOf(l bus.Letter, whole bool) deadLetter {
	d := deadLetter{ID: l.Seq, At: l.At.UnixNano(), Plugin: l.Plugin, Reason: l.Reason, Error: l.Error, SourceID: l.SourceID, Deliveries: l.Deliveries, Bytes: len(l.Body),
		KeptAt: l.Home, LeftOut: l.LeftOut}
	d.Host, d.From = l.Source()
	if l.Again {
		d.State = "given again"
	}
	b, err := l.Points()
	if err != nil {
		return d
	}
	d.Points = b.Len()
	if whole && d.Points > 0 {
		d.Lines = strings.Split(strings.TrimSuffix(string(b.AppendLines(nil)), "\n"), "\n")
	}
	return d
}

// deadPage is a list of dead letters, the oldest first.
type deadPage struct {
	Letters []deadLetter `json:"letters"`
	Next    uint64       `json:"next"`          // ask with it as after for those behind
	More    bool         `json:"more,omitzero"` // there are some behind
}

const mostLetters = 1000 // of a list

func (c *call) letters() error {
	conn, err := c.s.conn()
	if err != nil {
		return err
	}
	most, err := c.limit(100, mostLetters)
	if err != nil {
		return err
	}
	after, err := c.sequence(c.query.Get("after"))
	if err != nil {
		return err
	}
	plugin, reason := c.query.Get("plugin"), c.query.Get("reason")
	if plugin != "" && !pluginName(plugin) {
		return invalid("plugin", "%.80q is no name of a plugin", plugin)
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), eventTime)
	defer cancel()
	page := deadPage{Letters: []deadLetter{}, Next: after}
	err = conn.Letters(ctx, plugin, after+1, func(l bus.Letter) error {
		if !c.s.events.take(ctx, len(l.Body)) {
			return ctx.Err()
		}
		if page.More = len(page.Letters) == most; page.More {
			return errEnough
		}
		if page.Next = l.Seq; reason == "" || reason == l.Reason {
			page.Letters = append(page.Letters, letterOf(l, false))
		}
		return nil
	})
	if err == nil {
		err = ctx.Err() // a tap that is ended early does not say so
	}
	if err != nil && !errors.Is(err, errEnough) {
		return late(err)
	}
	return c.json(http.StatusOK, page)
}

// found returns the letter that the address names, and the bus where it is.
func (c *call) found() (*bus.Conn, bus.Letter, error) {
	conn, err := c.s.conn()
	if err != nil {
		return nil, bus.Letter{}, err
	}
	text := c.r.PathValue("letter")
	id, err := strconv.ParseUint(text, 10, 62)
	if err != nil || id == 0 {
		return nil, bus.Letter{}, invalid("letter", "%.80q is no id of a dead letter: want a number", text)
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), c.s.o.Times.Ask)
	defer cancel()
	l, err := conn.Letter(ctx, id)
	return conn, l, late(err)
}

func (c *call) letter() error {
	_, l, err := c.found()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, letterOf(l, true))
}

func (c *call) dropLetter() error {
	conn, l, err := c.found()
	if err != nil {
		return err
	}
	if err := conn.DropLetter(c.r.Context(), l.Seq); err != nil {
		return late(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// retried tells where a letter was given again.
type retried struct {
	ID     uint64 `json:"id"`
	Plugin string `json:"plugin"`
	Host   string `json:"host"`
}

// retryLetter gives a letter to its plugin again. That is settled later: what is refused again is a new letter.
func (c *call) retryLetter() error {
	conn, l, err := c.found()
	if err != nil {
		return err
	}
	if err := retryable(l); err != nil {
		return err
	}
	host, err := c.reader(l.Plugin)
	if err != nil {
		return err
	}
	ctx, cancel := c.s.whileServing(context.WithoutCancel(c.r.Context()), c.s.o.Times.Operate) // half done would be two letters
	defer cancel()
	c.lasts(c.s.o.Times.Operate)
	_, err = conn.RetryLetters(ctx, []bus.Letter{l}, func(ctx context.Context, from, to uint64) error {
		_, err := c.s.change(ctx, host, telemetry.ChangeAgain, map[string]any{"plugin": l.Plugin, "from": from, "to": to})
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, retried{l.Seq, l.Plugin, host})
}

// retryable returns why a letter cannot be given again here.
func retryable(l bus.Letter) error {
	err := l.Retryable()
	switch {
	case l.Plugin == bus.Uplink: // what is here is a copy: the bus of such a machine has no hub
		host := cmp.Or(l.Home, "its machine")
		return problem(http.StatusConflict, "kept_elsewhere", "the uplink of host %s has set the letter aside, and sends on what it is given there", host).
			hint("on that machine: pacewire dead retry --plugin '%s'", l.Plugin)
	case errors.Is(err, bus.ErrElsewhere):
		return problem(http.StatusConflict, "kept_elsewhere", "%v", err).
			hint("on the machine of host %s: pacewire dead retry --plugin '%s', or pacewire dead list for its number there", l.Home, l.Plugin)
	}
	return err
}

// reader returns the host whose plugin is given a letter: the one that is asked for, else the first where it runs.
func (c *call) reader(plugin string) (string, error) {
	if name := c.query.Get("host"); name != "" {
		h, err := c.hostCalled(name)
		return h.Host, err
	}
	list, _ := c.s.o.Hub.Plugins(hub.Filter{State: "running"}, hub.Page{})
	for _, p := range list {
		if p.Name == plugin {
			return p.Host, nil
		}
	}
	return "", problem(http.StatusConflict, "no_reader", "the plugin %s, which has set the letter aside, runs on no host", plugin).
		hint("start it, or name its host: ?host=web1")
}

// replay gives a plugin a part of the past again.
func (c *call) replay() error {
	since, err := c.since("since")
	if err != nil {
		return err
	}
	if since.IsZero() {
		return invalid("since", "from when on? since=2h, or a time like 2026-01-02T15:04:05Z")
	}
	until, err := c.since("until")
	if err != nil {
		return err
	}
	args := map[string]any{"since": since.UTC().Format(time.RFC3339Nano)}
	if !until.IsZero() {
		args["until"] = until.UTC().Format(time.RFC3339Nano)
	}
	return c.operatePlugin(telemetry.ChangeReplay, args)
}

// stopReplay ends a replay before it is through.
func (c *call) stopReplay() error {
	return c.operatePlugin(telemetry.ChangeReplay, map[string]any{"stop": true})
}
