package collectd

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// EventType is the type of the events that notifications are.
const EventType = "notification"

// A notification is a line of PUTNOTIF.
type notification struct {
	id       identifier
	severity string
	time     string
	message  string
}

// notification takes what stands behind PUTNOTIF, and adds an event, and a state of the check that it is about.
func (r *reader) notification(text string) error {
	n, err := parseNotification(text)
	if err != nil {
		return err
	}
	state, ok := states()[strings.ToLower(n.severity)]
	if !ok {
		return faultf(report.Syntax, "severity %.40q: want failure, warning or okay", n.severity)
	}
	if n.message == "" {
		return faultf(report.Syntax, "there is no message: want message=TEXT as the last option")
	}
	at, err := r.time(n.time)
	if err != nil {
		return err
	}
	check := cmp.Or(n.id.String(), r.options.Plugin, "collectd")
	host := hostTag(n.id.host)
	r.report.Append(r.b, r.line, telemetry.Point{
		Series: nagios.StateSeries, Time: at, Tags: telemetry.Tags{"host": host, "check": check},
		Fields: telemetry.Fields{"state": int(state), "text": n.message},
	})
	r.event(at, host, check, state, n.message)
	return nil
}

// event adds the event of a notification. An event is of the host of its batch unless it says another one: the batch has one for
// that moment only, as who sends it decides what its host is.
func (r *reader) event(at time.Time, host, check string, state nagios.State, message string) {
	own := r.b.Host()
	r.b.SetHost(cmp.Or(own, here))
	e := telemetry.Event{
		Host: cmp.Or(host, r.b.Host()), Plugin: r.options.Plugin, Type: EventType,
		Message: fmt.Sprintf("%s is %s: %s", check, state, message), To: state.String(),
	}
	if !at.IsZero() {
		e.Time = at.UnixNano()
	}
	e.AppendTo(r.b)
	r.b.SetHost(own)
	r.report.Points++
}

func states() map[string]nagios.State {
	return map[string]nagios.State{"okay": nagios.OK, "warning": nagios.Warning, "failure": nagios.Critical}
}

// parseNotification reads options, of which message is the last: it has the rest of the line, in quotes or not. Options that are not
// known say nothing here.
func parseNotification(text string) (n notification, err error) {
	s := scanner{text}
	into := map[string]*string{
		"severity": &n.severity, "time": &n.time, "host": &n.id.host, "plugin": &n.id.plugin, "plugin_instance": &n.id.instance,
		"type": &n.id.typ, "type_instance": &n.id.typeInstance,
	}
	for {
		s.rest = strings.TrimLeft(s.rest, blanks)
		if message, ok := cutFold(s.rest, "message="); ok {
			n.message = unquoted(strings.TrimSpace(message))
			return n, nil
		}
		field, more, err := s.next()
		if err != nil || !more {
			return n, err
		}
		key, value, ok := option(field)
		if !ok {
			return n, faultf(report.Syntax, "%.40q: want KEY=VALUE", field)
		}
		if field := into[strings.ToLower(key)]; field != nil {
			*field = value
		}
	}
}

// cutFold is strings.CutPrefix for letters of any size.
func cutFold(text, prefix string) (after string, ok bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}

// unquoted returns a text that is in quotes as a whole without them.
func unquoted(text string) string {
	s := scanner{text}
	if !strings.HasPrefix(text, `"`) || !strings.HasSuffix(text, `"`) {
		return text
	}
	if field, ok, err := s.next(); ok && err == nil && s.rest == "" {
		return field
	}
	return text
}
