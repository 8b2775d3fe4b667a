package statsd

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	maxDirect = 4096 // points that wait for the bus without having waited for a flush
	maxEvents = 256  // in one flush
)

// room returns the batch of what does not wait for the flush; nil: it is full, since the bus does not take it.
func (t *table) room() *telemetry.Batch {
	if t.direct == nil {
		t.direct = new(telemetry.Batch)
		t.direct.SetHost(t.host)
	}
	if t.waiting >= maxDirect {
		return nil
	}
	t.waiting++
	return t.direct
}

// takeDirect returns what does not wait for the flush, nil when there is nothing.
func (t *table) takeDirect() *telemetry.Batch {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.direct
	t.direct, t.waiting = nil, 0
	return b
}

// A notice is what an event and a service check have in common.
type notice struct {
	time    int64 // s; 0: now
	host    string
	tags    label
	key     string
	source  string
	alert   string
	message string
}

// read reads the sections of a notice. The message of a service check, which is the last, may have bars in it.
func (n *notice) read(text []byte) (r reason) {
	for len(text) > 0 && r == fine {
		if message, ok := bytes.CutPrefix(text, []byte("m:")); ok {
			n.message = unescape(message)
			return fine
		}
		var s []byte
		s, text = cutBar(text)
		r = n.section(s)
	}
	return r
}

func (n *notice) section(s []byte) (r reason) {
	if list, ok := bytes.CutPrefix(s, []byte{'#'}); ok {
		n.tags.add(list, ",", ":=")
		if len(n.tags.tags) > maxTags {
			return badTags
		}
		return fine
	}
	name, value, _ := strings.Cut(string(s), ":")
	switch name {
	case "d":
		n.time, r = seconds([]byte(value))
	case "h":
		n.host = value
	case "k":
		n.key = value
	case "s":
		n.source = value
	case "t":
		n.alert = value
	}
	return r
}

// unescape returns text with line feeds for \n.
func unescape(text []byte) string { return strings.ReplaceAll(string(text), `\n`, "\n") }

// event takes a line such as _e{5,4}:title|text|t:error.
func (t *table) event(line []byte) reason {
	title, text, rest, ok := cutEvent(line)
	if !ok {
		return badEvent
	}
	var n notice
	if r := n.read(rest); r != fine {
		return r
	}
	alert := cmp.Or(n.alert, "info")
	switch alert {
	case "error", "warning", "info", "success":
	default:
		return badEvent
	}
	if t.events >= maxEvents {
		return eventsFull
	}
	b := t.room()
	if b == nil {
		return backlog
	}
	t.events++
	e := telemetry.Event{
		Time: n.time * int64(time.Second), Host: cmp.Or(n.host, t.host), Plugin: t.plugin, Type: alert,
		Message: strings.Join(nonEmpty(unescape(title), unescape(text), n.tags.text()), "\n"), Reason: n.source, Incident: n.key,
	}
	if n.time == 0 {
		e.Time = time.Now().UnixNano()
	}
	e.AppendTo(b)
	return fine
}

// cutEvent parts _e{5,4}:title|text|rest. The lengths are in bytes.
func cutEvent(line []byte) (title, text, rest []byte, ok bool) {
	head, body, _ := bytes.Cut(line[len("_e{"):], []byte("}:"))
	first, second, _ := strings.Cut(string(head), ",")
	n, err1 := strconv.ParseUint(first, 10, 31)
	m, err2 := strconv.ParseUint(second, 10, 31)
	if err1 != nil || err2 != nil || n == 0 || n+1+m > uint64(len(body)) || body[n] != '|' {
		return nil, nil, nil, false
	}
	title, text, rest = body[:n], body[n+1:n+1+m], body[n+1+m:]
	if len(rest) > 0 && rest[0] != '|' {
		return nil, nil, nil, false
	}
	return title, text, bytes.TrimPrefix(rest, []byte{'|'}), true
}

// text returns the tags as a person reads them.
func (l label) text() string {
	var all []string
	for _, t := range l.tags {
		all = append(all, t.Key+":"+t.Value)
	}
	return strings.Join(all, ", ")
}

// nonEmpty returns those of texts that say something.
func nonEmpty(texts ...string) (some []string) {
	for _, text := range texts {
		if text != "" {
			some = append(some, text)
		}
	}
	return some
}

// check takes a line such as _sc|name|2|h:host|m:text.
func (t *table) check(line []byte) reason {
	name, rest := cutBar(line[len("_sc|"):])
	state, rest := cutBar(rest)
	if len(name) == 0 || len(state) != 1 || state[0] < '0' || state[0] > '3' {
		return badCheck
	}
	var n notice
	if r := n.read(rest); r != fine {
		return r
	}
	b := t.room()
	if b == nil {
		return backlog
	}
	tags := telemetry.Tags{}
	for _, tag := range n.tags.tags {
		tags[tag.Key] = tag.Value
	}
	tags["check"] = string(name)
	if n.host != "" {
		tags["host"] = n.host
	}
	p := telemetry.Point{Series: nagios.StateSeries, Tags: tags, Fields: telemetry.Fields{"state": int64(state[0] - '0'), "text": n.message}}
	if n.time != 0 {
		p.Time = time.Unix(n.time, 0)
	}
	b.Append(p)
	return fine
}
