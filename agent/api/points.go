package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// An outlet publishes points.
type outlet struct {
	mu    sync.Mutex
	conn  *bus.Conn
	pub   *bus.Publisher
	boot  string // random, so that nobody has used its ids
	count uint64
}

// publisher returns the publisher on conn, which may be another one than before.
func (o *outlet) publisher(conn *bus.Conn, host string) (*bus.Publisher, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pub != nil && o.conn == conn {
		return o.pub, nil
	}
	if o.pub != nil {
		o.pub.Close()
		o.pub = nil
	}
	pub, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: host, Plugin: "api"})
	if err != nil {
		return nil, err
	}
	boot := make([]byte, 8)
	_, _ = rand.Read(boot) // never fails
	o.conn, o.pub, o.boot = conn, pub, hex.EncodeToString(boot)
	return pub, nil
}

// id returns the next id. It says e, as those do that are not numbered without holes: points come here for many subjects.
func (o *outlet) id(host, plugin string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count++
	return bus.Token(host) + "/" + bus.Token(plugin) + "/" + o.boot + "/e" + strconv.FormatUint(o.count, 10)
}

func (o *outlet) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pub != nil {
		o.pub.Close()
		o.pub = nil
	}
}

// sendAs is the plugin from which points come that name none, as with pacewire send.
const sendAs = "send"

// points stores points. They are stored all, or, where one of them cannot be read, none.
func (c *call) points() error {
	host, as, err := c.source()
	if err != nil {
		return err
	}
	body, err := c.body(mostBody)
	if err != nil {
		return err
	}
	var b telemetry.Batch
	if err := b.Decode(c.r.Header.Get("Content-Type"), "", body, time.Now().Truncate(time.Microsecond)); err != nil {
		return badPoints(err)
	}
	if n := b.Drops().Total(); n > 0 {
		return c.badLine(body, &b)
	}
	conn, err := c.s.conn()
	if err != nil {
		return err
	}
	out, err := c.s.out.publisher(conn, c.s.o.Host)
	if err != nil {
		return err
	}
	if err := c.store(out, &b, host, as); err != nil {
		return late(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// store waits until points are stored. A publisher would wait for a bus as long as it takes: nobody keeps a request open for that.
func (c *call) store(out *bus.Publisher, b *telemetry.Batch, host, as string) error {
	ctx, cancel := context.WithTimeout(c.r.Context(), c.s.o.Times.Store)
	defer cancel()
	stored, all := 0, b.Len()
	for f := range b.Frames(telemetry.TargetFrame, func() []byte { return nil }) {
		err := f.Err
		if err == nil {
			err = out.Publish(ctx, bus.Message{
				Subject: bus.MetricsSubject(host, as), ID: c.s.out.id(host, as), ContentType: string(telemetry.ContentMsgPack), Body: f.Body,
			})
		}
		if err != nil {
			return fmt.Errorf("%d of %s stored: %w", stored, amount.Of(all, "point", "points"), err)
		}
		stored += f.Points
	}
	return nil
}

// source returns host and plugin from which the points come.
func (c *call) source() (host, as string, err error) {
	host, as = cmp.Or(c.query.Get("host"), c.s.o.Host), cmp.Or(c.query.Get("as"), sendAs)
	if host == "" {
		return "", "", invalid("host", "which host are the points about?").hint("POST %s/points?host=NAME", root)
	}
	if h, err := c.s.o.Hub.Host(host); err == nil {
		host = h.Host // it may have been a name
	}
	if !pluginName(as) || as == bus.Agent || as == "all" {
		return "", "", invalid("as", "as=%s: want the name of a plugin: letters a-z, digits, _ and -; agent and all are reserved", as)
	}
	return host, as, nil
}

// badPoints returns why a body is no batch.
func badPoints(err error) error {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, telemetry.CodeContentType), errors.Is(err, telemetry.CodeEncoding):
		status = http.StatusUnsupportedMediaType
	case errors.Is(err, telemetry.CodeTooLarge):
		status = http.StatusRequestEntityTooLarge
	}
	return problem(status, "points", "nothing is stored: %v", err).hint("-H 'Content-Type: text/x-influx' --data-binary 'cpu,core=0 usage=42'")
}

// badLine tells what was wrong with points that could not be read.
func (c *call) badLine(body []byte, b *telemetry.Batch) error {
	reasons := ""
	b.Drops().Each(func(code telemetry.Code, n int) { reasons += fmt.Sprintf(" %s %d", code, n) })
	p := problem(http.StatusBadRequest, "points", "nothing is stored, as some points cannot be read:%s", reasons)
	if err := firstBadLine(c.r.Header.Get("Content-Type"), body); err != nil {
		p.Detail += "; the first: " + err.Error()
	}
	return p.hint("mend or leave them out")
}

// firstBadLine returns what is wrong with the first line of line protocol that cannot be read; nil where none is known.
func firstBadLine(contentType string, body []byte) error {
	if contentType != "" && contentType != string(telemetry.ContentLines) {
		return nil
	}
	var b telemetry.Batch
	return new(telemetry.LineDecoder).Decode(&b, body, time.Now())
}
