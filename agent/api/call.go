package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/telemetry"
)

// A call is a request that has passed the guard, and its answer.
type call struct {
	s     *Server
	w     *recorder
	r     *http.Request
	route *route
	query url.Values
}

// parameters refuses a query that the route does not know, or that says something twice.
func (c *call) parameters() *Problem {
	var err error
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return invalid("", "the query cannot be read: %v", err)
	}
	for name, values := range c.query {
		switch {
		case !slices.Contains(c.route.query, name):
			p := invalid(name, "%s has no parameter %.100q", c.route.pattern(), name)
			if near := config.Suggest(name, c.route.query); near != "" {
				return p.hint("did you mean %s?", near)
			}
			return p.hint("GET /openapi.json tells what it takes")
		case len(values) > 1 && name != "tag" && name != "label":
			return invalid(name, "%s is there twice", name)
		}
		for _, v := range values {
			if !plainText(v) {
				return invalid(name, "%s is no text of at most %d bytes", name, mostName)
			}
		}
	}
	return nil
}

// mostName bounds names, and everything else that stands in an address.
const mostName = 255

// plainText reports whether text may be a name: UTF-8 without control characters.
func plainText(text string) bool {
	return len(text) <= mostName && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// host returns the host that the address names.
func (c *call) host() (telemetry.HostStatus, error) { return c.hostCalled(c.r.PathValue("host")) }

// hostCalled returns the host of an id or name; a wrong one has the nearest as a hint.
func (c *call) hostCalled(id string) (telemetry.HostStatus, error) {
	if id == "" || !plainText(id) {
		return telemetry.HostStatus{}, invalid("host", "a host's id is a text of 1 to %d bytes", mostName)
	}
	h, err := c.s.o.Hub.Host(id)
	if !errors.Is(err, hub.ErrNoHost) {
		return h, err
	}
	const most = 1000 // hosts whose names are compared
	some, _ := c.s.o.Hub.Hosts(hub.Filter{}, hub.Page{Most: most})
	var names []string
	for _, other := range some {
		names = append(names, other.Host, other.Name)
	}
	p := problem(http.StatusNotFound, "no_host", "%v", err).at("host").hint("pacewire host list")
	if near := config.Suggest(id, names); near != "" {
		p = p.hint("did you mean %s?", near)
	}
	return h, p
}

// plugin returns the name of the plugin in the address.
func (c *call) plugin() (string, error) {
	name := c.r.PathValue("plugin")
	if !processName(name) {
		return "", invalid("plugin", "%.80q is no name of a plugin: letters a-z, digits, _ and -, at most 63; and with .2 or so, of one of its processes", name)
	}
	return name, nil
}

// processName reports whether name may be that of a plugin or of one of its processes.
func processName(name string) bool {
	plugin, _ := telemetry.PluginOf(name)
	return pluginName(plugin)
}

func pluginName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	return name != "" && len(name) <= 63 && strings.Trim(name, letters+"_-") == "" && strings.IndexByte(letters, name[0]) >= 0
}

// limit returns how long a list may be.
func (c *call) limit(usual, most int) (int, error) { return c.number("limit", usual, most) }

// number returns a parameter between 1 and most.
func (c *call) number(name string, usual, most int) (int, error) {
	text := c.query.Get(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, invalid(name, "%s=%s: want 1 to %d", name, text, most)
	}
	return n, nil
}

// duration returns a parameter such as 30s, of at most most.
func (c *call) duration(name string, usual, most time.Duration) (time.Duration, error) {
	text := c.query.Get(name)
	if text == "" {
		return usual, nil
	}
	d, err := config.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		return 0, invalid(name, "%s=%s: want a time from 0s to %s, with its unit", name, text, most)
	}
	return d, nil
}

// since returns a parameter that is a time as 2026-01-02T15:04:05Z, or how long ago as 2h; the zero time when it is not there.
func (c *call) since(name string) (time.Time, error) {
	text := c.query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := config.ParseDuration(text); err == nil && d > 0 {
		return time.Now().Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return t, invalid(name, "%s=%s: want how long ago, such as 2h, or a time like 2026-01-02T15:04:05Z", name, text)
	}
	return t, nil
}

// yes returns a parameter that is a switch.
func (c *call) yes(name string) (bool, error) {
	switch c.query.Get(name) {
	case "1", "true":
		return true, nil
	case "", "0", "false":
		if c.query.Has(name) && c.query.Get(name) == "" {
			return true, nil // ?facts
		}
		return false, nil
	}
	return false, invalid(name, "%s=%s: want 1 or 0", name, c.query.Get(name))
}

// pairs returns parameters of the form key=value.
func (c *call) pairs(name string) (map[string]string, error) {
	var all map[string]string
	for _, text := range c.query[name] {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, invalid(name, "%s=%s: want %s=key=value", name, text, name)
		}
		if all == nil {
			all = map[string]string{}
		}
		all[key] = value
	}
	return all, nil
}

// body reads the body, of at most most bytes.
func (c *call) body(most int) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(c.r.Body, int64(most)+1))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || len(text) > most {
		return nil, tooLarge(most)
	}
	if err != nil {
		return nil, problem(http.StatusBadRequest, "body", "the body has not come whole: %v", err)
	}
	return text, nil
}

// decode reads a body of JSON into v. Without a body v stays as it is.
func (c *call) decode(v any) error {
	text, err := c.body(mostBody)
	if err != nil || len(text) == 0 {
		return err
	}
	return decodeStrictly(text, v)
}

// json answers with v.
func (c *call) json(status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(append(text, '\n')) // who is gone needs no answer
	return nil
}

// lasts lets the answer take longer than others.
func (c *call) lasts(d time.Duration) {
	rc := http.NewResponseController(c.w)
	_ = rc.SetReadDeadline(time.Time{}) // else the request would end with it; both fail only where there is no connection
	_ = rc.SetWriteDeadline(time.Now().Add(d + writeTime))
}
