package plugin

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A busLog writes log records to another handler, and sends those that an operator would note over the bus as well, up to
// a rate that does not trouble it.
type busLog struct {
	slog.Handler
	conn    *bus.Conn
	subject string
	attrs   []slog.Attr
	rate    *rate
}

// logsPerSecond is how many records a plugin may send over the bus; stderr gets them all.
const logsPerSecond = 50

func newBusLog(h slog.Handler, conn *bus.Conn, subject string) *busLog {
	return &busLog{Handler: h, conn: conn, subject: subject, rate: &rate{}}
}

// Handle writes r, and sends it.
func (h *busLog) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level < slog.LevelInfo || !h.rate.allow(time.Now(), logsPerSecond) {
		return err
	}
	record := telemetry.LogRecord{Level: levelName(r.Level), Message: r.Message, Time: r.Time.UnixNano(), Attrs: map[string]any{}}
	add := func(a slog.Attr) bool {
		if a.Key != "" {
			record.Attrs[a.Key] = shorten(a.Value.Resolve().String())
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	if body, encodeErr := telemetry.EncodeControl(record, telemetry.MsgPack); encodeErr == nil {
		_ = h.conn.Tell(h.subject, body) // without a bus the record is on stderr
	}
	return err
}

// WithAttrs returns a handler that adds attrs.
func (h *busLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	n.Handler = h.Handler.WithAttrs(attrs)
	n.attrs = append(append([]slog.Attr{}, h.attrs...), attrs...)
	return &n
}

// WithGroup returns a handler whose records on stderr are grouped; over the bus they are flat.
func (h *busLog) WithGroup(name string) slog.Handler {
	n := *h
	n.Handler = h.Handler.WithGroup(name)
	return &n
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	}
	return "info"
}

// rate lets so many through in each second.
type rate struct {
	mu     sync.Mutex
	second int64
	n      int
}

func (r *rate) allow(now time.Time, most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := now.Unix(); s != r.second {
		r.second, r.n = s, 0
	}
	r.n++
	return r.n <= most
}
