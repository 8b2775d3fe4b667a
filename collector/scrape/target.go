package scrape

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Labels with a meaning, as Prometheus names them. Those that begin with __ are no tags in the end.
const (
	addressLabel = "__address__"
	schemeLabel  = "__scheme__"
	pathLabel    = "__metrics_path__"
	paramLabel   = "__param_" // and the name of the parameter
	fileLabel    = "__meta_filepath"
	nameLabel    = "__name__"
)

// A target is where samples are asked for.
type target struct {
	url  string
	key  string // tells it from others
	tags []telemetry.Tag
	job  string
}

var errAddress = errors.New("want host:port, or a URL such as http://host:9100/metrics")

// newTarget returns the target that address and labels describe after the rules. ok is false when those drop it.
func newTarget(cfg Config, rules []rule, address string, more map[string]string) (t *target, ok bool, err error) {
	l := labels{{Key: schemeLabel, Value: cfg.Scheme}, {Key: pathLabel, Value: cfg.Path}, {Key: "job", Value: cfg.Job}}
	params := url.Values{}
	for name, values := range cfg.Params {
		params[name] = slices.Clone(values)
	}
	if err := l.address(address, params); err != nil {
		return nil, false, fmt.Errorf("target %q: %w", address, err)
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		l.set(paramLabel+name, params.Get(name))
	}
	for _, key := range slices.Sorted(maps.Keys(more)) {
		l.set(key, more[key])
	}
	if !l.relabel(rules) {
		return nil, false, nil
	}
	at, err := l.url(params)
	if err != nil {
		return nil, false, fmt.Errorf("target %q: %w", address, err)
	}
	t = &target{url: at, job: l.value("job")}
	if l.value("instance") == "" {
		l.set("instance", l.value(addressLabel))
	}
	for _, tag := range l {
		if !strings.HasPrefix(tag.Key, "__") && tag.Value != "" {
			t.tags = append(t.tags, tag)
		}
	}
	slices.SortFunc(t.tags, func(a, b telemetry.Tag) int { return strings.Compare(a.Key, b.Key) })
	t.key = fmt.Sprintf("%q %q", at, t.tags)
	return t, true, nil
}

// address sets what an address says: host:port, or a URL, whose parameters take the place of those in params.
func (l *labels) address(text string, params url.Values) error {
	if !strings.Contains(text, "://") {
		l.set(addressLabel, text)
		return nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return errAddress
	}
	if u.User != nil {
		return errors.New("take the name and the password out of the URL: they are the settings username and password")
	}
	l.set(schemeLabel, u.Scheme)
	l.set(addressLabel, u.Host)
	if u.Path != "" {
		l.set(pathLabel, u.EscapedPath())
	}
	maps.Copy(params, u.Query())
	return nil
}

// url returns where the labels lead. Of a parameter with several values a label tells the first: the others are in params.
func (l labels) url(params url.Values) (string, error) {
	scheme, host, path := l.value(schemeLabel), l.value(addressLabel), l.value(pathLabel)
	if scheme != "http" && scheme != "https" {
		return "", fmt.Errorf("scheme %q: want http or https", scheme)
	}
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	query := url.Values{}
	for _, tag := range l {
		if name, ok := strings.CutPrefix(tag.Key, paramLabel); ok {
			query[name] = append([]string{tag.Value}, params[name][min(1, len(params[name])):]...)
		}
	}
	text := scheme + "://" + host + path
	if len(query) > 0 {
		text += "?" + query.Encode()
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(host, "/?#") {
		return "", errAddress
	}
	return text, nil
}

// first returns how long to wait until the first scrape after now. Targets have their places in the interval, and keep them over
// restarts.
func (t *target) first(every time.Duration, now time.Time) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.key)) // never fails
	place := time.Duration(h.Sum64() % uint64(every))
	passed := time.Duration(now.UnixNano() % int64(every))
	return (place - passed + every) % every
}
